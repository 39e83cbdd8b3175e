//! From the configuration to the protocol.

use std::time::Duration;

use firecamp_core::outside::SocketScope;
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_engine::Dice;
use firecamp_run::config::StopConfig;
use firecamp_run::flags::StopMode;

/// A sidecar's service has ended, so everything is drained for as long as the grace period
/// lasts; a hook's service is still running, so only connections are, and only for a while.
pub(crate) fn input(config: &StopConfig) -> ReleaseInput {
    let (await_stop, scope, drain) = match config.mode {
        StopMode::Wait => (true, SocketScope::All, Duration::MAX),
        StopMode::Release => (false, SocketScope::Connections, config.drain),
    };
    ReleaseInput {
        member: config.identity.member.clone(),
        pod: config.identity.pod.clone(),
        run: Dice::default().run_id(),
        unassign: config.unassign,
        await_stop,
        by: Releaser::Stop,
        scope,
        drain,
        grace: config.grace,
    }
}
