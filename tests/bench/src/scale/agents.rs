//! The real agents, each in its node's namespaces.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::contract::env;
use firecamp_demo::process::Process;
use firecamp_testkit::kubernetes::Api;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::{Instant, sleep, sleep_until};

use super::fleet::Node;
use super::load::{Created, good};
use super::prometheus::sum;
use crate::boxed::fixture::Fixture;
use crate::failure::Failure;

/// The port of an agent's metrics for other machines.
const METRICS: u16 = 9475;
const PAUSE: Duration = Duration::from_millis(200);
/// The metric that shows that an agent has listed everything.
const SYNCED: &str = "firecamp_agent_registry_synced";

/// Running agents. Their processes end with the box at the latest.
#[derive(Default)]
pub(super) struct Agents {
    running: BTreeMap<Node, Process>,
}

impl Agents {
    /// Starts the agents of these nodes that do not run yet, one after the other.
    pub(super) async fn start(
        &mut self,
        fixture: &mut Fixture,
        nodes: &[(Node, &Created)],
        every: Duration,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        for (number, (node, created)) in (0_u32..).zip(nodes) {
            if self.running.contains_key(node) {
                continue;
            }
            sleep_until(begun + every.saturating_mul(number)).await;
            let registry = format!("kubernetes://{}", created.kubeconfig.display());
            let listen = format!("{}:{METRICS}", node.primary(0));
            let variables = [(env::METRICS_LISTEN, listen.as_str())];
            let process = fixture.start_agent(&node.name(), &registry, &variables)?;
            self.running.insert(*node, process);
        }
        Ok(())
    }

    /// Waits until every agent has listed its objects.
    pub(super) async fn synced(&self, within: Duration) -> Result<(), Failure> {
        let begun = Instant::now();
        for (node, process) in &self.running {
            while !read(*node, SYNCED).await.is_ok_and(|value| value > 0.5) {
                if begun.elapsed() > within {
                    let why = format!("did not list its objects within {within:?}");
                    return Err(process.failed(&why).into());
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Stops all agents, as the kubelet does.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        for process in self.running.values() {
            process.signal(Signal::SIGTERM)?;
        }
        for process in std::mem::take(&mut self.running).into_values() {
            if process.wait()?.exit != Some(0) {
                return Err(process.failed("did not stop in order").into());
            }
        }
        Ok(())
    }

    /// A failure of the agent of a node, with the end of its log.
    pub(super) fn failed(&self, node: Node, how: &str) -> Failure {
        match self.running.get(&node) {
            Some(process) => process.failed(how).into(),
            None => Failure::new(format!("no agent runs on {}", node.name())),
        }
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = (Node, Pid)> {
        self.running.iter().map(|(node, process)| (*node, process.pid()))
    }

    pub(super) fn pid(&self, node: Node) -> Result<Pid, Failure> {
        let found = self.running.get(&node).map(Process::pid);
        found.ok_or_else(|| Failure::new(format!("no agent runs on {}", node.name())))
    }
}

/// A metric of an agent.
pub(super) async fn read(node: Node, metric: &str) -> Result<f64, Failure> {
    let api = metrics(node)?;
    read_from(&api, metric).await
}

/// A client of an agent's metrics.
pub(super) fn metrics(node: Node) -> Result<Api, Failure> {
    Api::plain(&format!("http://{}:{METRICS}", node.primary(0))).map_err(Failure::new)
}

/// The same with a client that is already connected.
pub(super) async fn read_from(api: &Api, metric: &str) -> Result<f64, Failure> {
    Ok(sum(&good("/metrics", api.get("/metrics").await)?.text, metric, &[]))
}
