//! Starts the agent from its configuration.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use firecamp_cloud::{CloudConfig, LazyCloud};
use firecamp_controllers::leader::AllowedZones;
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::HostFailure;
use firecamp_host::preflight::{Node, NodeFiles};
use firecamp_host::{HostTimeouts, LinuxHost, Monitor, PodNetworks};
use firecamp_registry::RegistryUrl;
use firecamp_run::config::{AgentConfig, PodNetworkSettings};
use firecamp_run::connect::AnyRegistry;
use firecamp_run::process::{FirstSignal, Signals};
use firecamp_run::recent_log::Recent;
use firecamp_run::report::Report;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::agent::Agent;
use crate::agent_files::AgentFiles;
use crate::endpoint::{Endpoint, Served};
use crate::http::{self, Pages};
use crate::kube_status::KubeStatus;
use crate::leader;
use crate::metrics_server;
use crate::ports::{Environment, MeteredCloud, Ports, SystemsOf};
use crate::publish::{self, SharedStatus};
use crate::source::{AnySource, BoundPod};
use crate::status::{EndpointMetrics, Status};
use crate::volumes;

/// Pods that were bound to this node and wait for their look-up; further ones get none.
const BOUND: usize = 256;

/// The systems of a real node.
struct NodeEnvironment;

impl Environment for NodeEnvironment {
    type Cloud = LazyCloud;
    type Kernel = LinuxHost;
    type Registry = AnyRegistry;
    type Source = AnySource;
    type Files = Node<LinuxHost>;
}

/// Runs the program: parses arguments and environment variables, and returns the exit code.
pub fn main() -> ExitCode {
    let (started, log) = match firecamp_run::start::agent() {
        Ok(started) => started,
        Err(ended) => return ended,
    };
    started.run(FirstSignal::Ends, async |config, signals| {
        // One thread: the state of an operation is not shared between threads.
        let local = LocalSet::new();
        let run = Box::pin(run(config, signals, log));
        local.run_until(run).await.unwrap_or_else(|failed| failed)
    })
}

/// Runs the agent until a signal stops it. Needs a thread with a `LocalSet`.
async fn run(config: AgentConfig, signals: Signals, log: Recent) -> Result<Report, Report> {
    let settings = CloudConfig::from_env().named("firecamp-agent");
    settings.check().map_err(|why| Report::from(&why))?;
    let files = AgentFiles::wait(&config.places.run_dir, &signals.end).await.map_err(refused)?;
    let Some(agent_files) = files else {
        return Ok(Report::new(
            Exit::Success,
            "stopped by a signal while waiting for another agent on this node",
        ));
    };
    let listener = bind(config.listen).await?;
    let monitor = Monitor::open().map_err(|HostFailure { detail, .. }| refused(detail))?;
    let host = LinuxHost::new(&config.places.run_dir, HostTimeouts::default());
    let host = host.with_pod_networks(config.pod_networks.clone().map(networks));
    let registry = AnyRegistry::new(config.places.registry.clone());
    let (report_bound, bound) = mpsc::channel(BOUND);
    let (url, node) = (&config.places.registry, config.node.clone());
    let source = AnySource::new(url, node, registry.clone(), report_bound);
    let in_cluster = !matches!(config.places.registry, RegistryUrl::File(_));
    let files = NodeFiles::new(Path::new("/"), &config.places.run_dir, in_cluster);
    let files = files.with_kernel(host.clone());
    let (status, shared_status, end) = (Status::new(log), SharedStatus::default(), &signals.end);
    let settings = settings.on_node(&config.places.run_dir);
    let cloud = || MeteredCloud {
        inner: LazyCloud::new(settings.clone()),
        observer: status.ec2_calls.clone(),
    };
    let ports = Ports::<NodeEnvironment>::new(cloud(), host, registry.clone(), source, files);
    let kube_status = kube_status(&config, &registry);
    let (endpoint, shared) = (status.endpoint.clone(), shared_status.clone());
    let asked = asked(&config, ports.systems(), endpoint, shared, bound, end);
    let AgentConfig { node, cluster, eni, listen, metrics, zones, .. } = config;
    tracing::info!(%node, %cluster, %listen, "agent started");
    let span = tracing::info_span!("agent", %node);
    let names = (node.clone(), cluster.clone(), zones.map(|all| AllowedZones::new(&all, &cluster)));
    let leader = leader::run(names, (cloud(), registry), (&status.leader, &shared_status), end);
    let agent =
        Agent::new((node.clone(), cluster, eni), ports, agent_files, (&status, &shared_status));
    let served = http::serve((listener, Pages::All), &status, end);
    let scraped = async {
        if let Some(at) = metrics {
            metrics_server::serve(at, &status, end).await;
        }
    };
    let reported = publish::run((node, kube_status.clone()), &shared_status, &status, end);
    let volumes = volumes::follow(kube_status, &shared_status, &status, end);
    let all = async {
        let agent = agent.run(monitor, end);
        tokio::join!(served, scraped, leader, reported, volumes, asked, agent)
    };
    let ((), (), (), (), (), (), ended) = Box::pin(all).instrument(span).await;
    ended.map_err(|failure| refused(failure.detail))?;
    Ok(Report::new(Exit::Success, "stopped by a signal; addresses stay configured"))
}

/// Serves the endpoint for pods, if the configuration has one.
fn asked<'a>(
    config: &AgentConfig,
    systems: Arc<SystemsOf<NodeEnvironment>>,
    metrics: EndpointMetrics,
    shared: SharedStatus,
    bound: mpsc::Receiver<BoundPod>,
    end: &'a CancellationToken,
) -> impl Future<Output = ()> + use<'a> {
    let AgentConfig { node, cluster, eni, places, endpoint, .. } = config;
    let (node, cluster, run_dir) = (node.clone(), cluster.clone(), places.run_dir.clone());
    let pod_networks = config.pod_networks.is_some();
    let (at, served) = (*endpoint, Served { node, cluster, rule: *eni, run_dir, pod_networks });
    async move {
        match at {
            Some(at) => {
                Endpoint::<NodeEnvironment>::serve(
                    at, served, systems, metrics, shared, bound, end,
                )
                .await;
            }
            None => shared.set_endpoint(Ok(false)),
        }
    }
}

fn networks(PodNetworkSettings { namespaces, cluster }: PodNetworkSettings) -> PodNetworks {
    PodNetworks { namespaces, ranges: cluster }
}

async fn bind(at: SocketAddr) -> Result<TcpListener, Report> {
    TcpListener::bind(at).await.map_err(|why| refused(format!("failed to listen on {at}: {why}")))
}

/// Where the agent's status is written. None for a file registry, which has no status.
fn kube_status(config: &AgentConfig, registry: &AnyRegistry) -> Option<Rc<KubeStatus>> {
    match &config.places.registry {
        RegistryUrl::File(_) => None,
        RegistryUrl::InCluster | RegistryUrl::Kubeconfig(_) => {
            Some(Rc::new(KubeStatus::new(registry.clone(), config.node.clone())))
        }
    }
}

fn refused(why: impl Into<String>) -> Report {
    Report::new(Exit::NodeUnsuitable, why)
}
