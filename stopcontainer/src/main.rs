//! Takes a member's static IP address off its node when its pod ends.

use std::process::ExitCode;
use std::time::Duration;

use firecamp_cloud::LazyCloud;
use firecamp_core::outside::SocketScope;
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_engine::{Dice, Ended, NoFile, Run, Signal, Systems};
use firecamp_host::{HostTimeouts, LinuxHost};
use firecamp_registry::{FileRegistry, RegistryUrl, Timeouts};
use firecamp_run::config::StopConfig;
use firecamp_run::flags::StopMode;
use firecamp_run::process::{FirstSignal, Signals};
use firecamp_run::report::Report;
use firecamp_run::start;

fn main() -> ExitCode {
    let started = match start::stop() {
        Ok(started) => started,
        Err(ended) => return ended,
    };
    let first = match started.config.mode {
        StopMode::Wait => FirstSignal::IsAwaited,
        StopMode::Release => FirstSignal::Ends,
    };
    started.run(first, async |config, signals| {
        release(&config, signals).await.unwrap_or_else(|failed| failed)
    })
}

async fn release(config: &StopConfig, signals: Signals) -> Result<Report, Report> {
    let RegistryUrl::File(directory) = &config.places.registry;
    let registry = FileRegistry::open(directory, Timeouts::default());
    let systems = Systems {
        cloud: LazyCloud::default(),
        host: LinuxHost::new(&config.places.run_dir, HostTimeouts::default()),
        registry: registry.map_err(|why| Report::from(&why))?,
        file: NoFile,
    };
    let signal = match config.mode {
        StopMode::Wait => Signal::Stop(signals.awaited),
        StopMode::Release => Signal::Interrupt(signals.end),
    };
    let member = config.identity.member.clone();
    let run = Run { member, pool: None, signal, dice: Dice::default() };
    let input = input(config);
    match firecamp_engine::run(input, &systems, &run).await {
        Ended::Outcome(outcome) => Ok(Report::from(&outcome)),
        Ended::Interrupted => Err(Report::interrupted()),
    }
}

/// A sidecar's service has ended, so everything is drained for as long as the grace period
/// lasts; a hook's service is still running, so only connections are, and only for a while.
fn input(config: &StopConfig) -> ReleaseInput {
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
