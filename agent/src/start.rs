//! From a configuration to an agent that runs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use firecamp_cloud::LazyCloud;
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::HostFailure;
use firecamp_host::preflight::{Node, NodeFiles};
use firecamp_host::{HostTimeouts, LinuxHost, Monitor};
use firecamp_registry::RegistryUrl;
use firecamp_run::config::AgentConfig;
use firecamp_run::process::{FirstSignal, Signals};
use firecamp_run::recent::Recent;
use firecamp_run::report::Report;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tracing::Instrument as _;

use crate::agent::Agent;
use crate::cluster;
use crate::counted::Counted;
use crate::http::{self, Pages};
use crate::keep::Keep;
use crate::late::LateRegistry;
use crate::others;
use crate::outside::{Outside, World};
use crate::publish::{self, Bulletin, LateBoard};
use crate::source::AnySource;
use crate::status::Status;
use crate::volumes;

/// The systems of a real node.
struct Real;

impl World for Real {
    type Cloud = Counted<LazyCloud>;
    type Kernel = LinuxHost;
    type Registry = LateRegistry;
    type Source = AnySource;
    type Files = Node<LinuxHost>;
}

/// The program, from its arguments and variables to its exit code.
pub fn main() -> ExitCode {
    let (started, log) = match firecamp_run::start::agent() {
        Ok(started) => started,
        Err(ended) => return ended,
    };
    started.run(FirstSignal::Ends, async |config, signals| {
        // One thread, on which errands take turns: a runner's state is not shared.
        let local = LocalSet::new();
        let run = Box::pin(run(config, signals, log));
        local.run_until(run).await.unwrap_or_else(|failed| failed)
    })
}

/// Runs the agent until a signal ends it, on a thread with a `LocalSet`.
async fn run(config: AgentConfig, signals: Signals, log: Recent) -> Result<Report, Report> {
    let keep = Keep::wait(&config.places.run_dir, &signals.end).await.map_err(refused)?;
    let Some(keep) = keep else {
        return Ok(Report::new(Exit::Success, "ended by a signal before another agent's end"));
    };
    let listener = bind(config.listen).await?;
    let monitor = Monitor::open().map_err(|HostFailure { detail, .. }| refused(detail))?;
    let host = LinuxHost::new(&config.places.run_dir, HostTimeouts::default());
    let registry = LateRegistry::new(config.places.registry.clone());
    let source = AnySource::new(&config.places.registry, config.node.clone(), registry.clone());
    let in_cluster = !matches!(config.places.registry, RegistryUrl::File(_));
    let files = NodeFiles::new(Path::new("/"), &config.places.run_dir, in_cluster);
    let files = files.with_kernel(host.clone());
    let (status, bulletin, end) = (Status::logging(log), Bulletin::default(), &signals.end);
    let cloud = || Counted::new(LazyCloud::named("firecamp-agent"), &status.calls);
    let outside = Outside::<Real>::new(cloud(), host, registry.clone(), source, files);
    let board = board(&config, &registry);
    let AgentConfig { node, cluster, eni, listen, metrics, .. } = config;
    tracing::info!(%node, %cluster, %listen, "The agent begins");
    let span = tracing::info_span!("agent", %node);
    let names = (node.clone(), cluster.clone());
    let whole = cluster::run(names, (cloud(), registry), &status.steward, end);
    let agent = Agent::new((node.clone(), cluster, eni), outside, keep, (&status, &bulletin));
    let served = http::serve((listener, Pages::All), &status, end);
    let scraped = async {
        if let Some(at) = metrics {
            others::serve(at, &status, end).await;
        }
    };
    let told = publish::run((node, board.as_ref()), &bulletin, &status, end);
    let volumes = volumes::follow(board.as_ref(), &bulletin, &status, end);
    let all =
        async { tokio::join!(served, scraped, whole, told, volumes, agent.run(monitor, end)) };
    let ((), (), (), (), (), ended) = Box::pin(all).instrument(span).await;
    ended.map_err(|failure| refused(failure.detail))?;
    Ok(Report::new(Exit::Success, "ended by a signal: everything stays as it is"))
}

async fn bind(at: SocketAddr) -> Result<TcpListener, Report> {
    TcpListener::bind(at).await.map_err(|why| refused(format!("serve on {at}: {why}")))
}

/// Where the agent publishes: nowhere, if the registry is files.
fn board(config: &AgentConfig, registry: &LateRegistry) -> Option<LateBoard> {
    match &config.places.registry {
        RegistryUrl::File(_) => None,
        RegistryUrl::InCluster | RegistryUrl::Kubeconfig(_) => {
            Some(LateBoard::new(registry.clone(), config.node.clone()))
        }
    }
}

fn refused(why: impl Into<String>) -> Report {
    Report::new(Exit::NodeUnsuitable, why)
}
