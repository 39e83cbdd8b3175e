//! Keeps the static IP addresses of a node true: observe, plan, apply, tell.

mod agent;
mod errands;
mod http;
mod keep;
mod source;
mod state;
mod status;
mod work;

use std::process::ExitCode;

use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::HostFailure;
use firecamp_host::{HostTimeouts, LinuxHost, Monitor};
use firecamp_registry::{FileRegistry, RegistryUrl, Timeouts};
use firecamp_run::config::AgentConfig;
use firecamp_run::process::{FirstSignal, Signals};
use firecamp_run::report::Report;
use firecamp_run::start;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::agent::Agent;
use crate::keep::Keep;
use crate::source::FileSource;
use crate::status::Status;
use crate::work::Outside;

fn main() -> ExitCode {
    let started = match start::agent() {
        Ok(started) => started,
        Err(ended) => return ended,
    };
    started.run(FirstSignal::Ends, async |config, signals| {
        // One thread, on which errands take turns: a runner's state is not shared.
        let local = LocalSet::new();
        local.run_until(run(config, signals)).await.unwrap_or_else(|failed| failed)
    })
}

async fn run(config: AgentConfig, signals: Signals) -> Result<Report, Report> {
    let RegistryUrl::File(directory) = &config.places.registry;
    let registry = FileRegistry::open(directory, Timeouts::default());
    let registry = registry.map_err(|why| Report::from(&why))?;
    let keep = Keep::open(&config.places.run_dir).map_err(refused)?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(|why| refused(format!("serve on {}: {why}", config.listen)))?;
    let monitor = Monitor::open().map_err(|HostFailure { detail, .. }| refused(detail))?;
    let host = LinuxHost::new(&config.places.run_dir, HostTimeouts::default());
    let source = FileSource::new(registry.clone());
    let outside = Outside::new(host, registry, source);
    let status = Status::default();
    tracing::info!(node = %config.node, cluster = %config.cluster, listen = %config.listen,
        "The agent begins");
    let agent = Agent::new(&config, outside, keep, &status);
    let served = http::serve(listener, &status, &signals.end);
    let ((), ended) = tokio::join!(served, agent.run(monitor, &signals.end));
    ended.map_err(|failure| refused(failure.detail))?;
    Ok(Report::new(Exit::Success, "ended by a signal: everything stays as it is"))
}

fn refused(why: impl Into<String>) -> Report {
    Report::new(Exit::NodeUnsuitable, why)
}
