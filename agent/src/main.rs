//! Keeps the static IP addresses of a node true: observe, plan, apply, tell.

use std::process::ExitCode;

use firecamp_run::process::FirstSignal;
use firecamp_run::start;
use tokio::task::LocalSet;

fn main() -> ExitCode {
    let started = match start::agent() {
        Ok(started) => started,
        Err(ended) => return ended,
    };
    started.run(FirstSignal::Ends, async |config, signals| {
        // One thread, on which errands take turns: a runner's state is not shared.
        let local = LocalSet::new();
        let run = Box::pin(firecamp_agent::run(config, signals));
        local.run_until(run).await.unwrap_or_else(|failed| failed)
    })
}
