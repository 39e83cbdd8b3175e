//! Gives a StatefulSet member its static IP address.

use std::process::ExitCode;

use firecamp_core::contract::exit::Exit;
use firecamp_run::process::FirstSignal;
use firecamp_run::report::Report;
use firecamp_run::start;

fn main() -> ExitCode {
    match start::init() {
        Ok(started) => started.run(FirstSignal::Ends, async |config, _signals| {
            tracing::info!(member = %config.identity.member, "started");
            Report::new(Exit::Internal, "the engine is not wired yet")
        }),
        Err(ended) => ended,
    }
}
