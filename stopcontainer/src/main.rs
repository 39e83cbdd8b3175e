//! Takes a member's static IP address off its node when its pod ends.

use std::process::ExitCode;

use firecamp_core::contract::exit::Exit;
use firecamp_run::process::FirstSignal;
use firecamp_run::report::Report;
use firecamp_run::start;

fn main() -> ExitCode {
    match start::stop() {
        Ok(started) => started.run(FirstSignal::IsAwaited, async |config, signals| {
            tracing::info!(member = %config.identity.member, "started");
            signals.awaited.cancelled().await;
            Report::new(Exit::Internal, "the engine is not wired yet")
        }),
        Err(ended) => ended,
    }
}
