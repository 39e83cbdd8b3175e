//! Builds the protocol's input from the configuration.

use std::time::Duration;

use firecamp_core::ports::SocketScope;
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_engine::Rng;
use firecamp_run::config::StopConfig;
use firecamp_run::flags::StopMode;

/// A sidecar drains all sockets for the whole grace period, because the service has ended. A hook
/// drains only connections for a limited time, because the service still runs.
pub(crate) fn input(config: &StopConfig) -> ReleaseInput {
    let (await_stop, scope, drain) = match config.mode {
        StopMode::Wait => (true, SocketScope::All, Duration::MAX),
        StopMode::Release => (false, SocketScope::Connections, config.drain),
    };
    ReleaseInput {
        member: config.identity.member.clone(),
        pod: config.identity.pod.clone(),
        run: Rng::default().run_id(),
        unassign: config.unassign,
        await_stop,
        by: Releaser::Stop,
        scope,
        drain,
        grace: config.grace,
    }
}
