//! Changes of objects at a fixed rate, and how long each takes to reach the agent of its node.

use std::convert::Infallible;
use std::time::Duration;

use firecamp_testkit::kubernetes::Api;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::agents;
use super::arrivals::Arrivals;
use super::fleet::{MEMBERS, Node, PODS};
use super::load::{good, merge, post};
use super::objects::{self, NAMESPACE, NODES, STATIC_IPS};
use crate::failure::Failure;

/// How long a change may take until it is seen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a kubelet reports a Node that does not change (its default,
/// `nodeStatusReportFrequency`).
const HEARTBEAT: Duration = Duration::from_mins(5);
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// How often an agent's metrics are read.
const POLL: Duration = Duration::from_millis(5);
/// The metric that shows the number of addresses on an agent's node.
const ATTACHED: &str = "firecamp_agent_attached_addresses";
/// Spreads changes over nodes and objects: coprime to their numbers.
const STRIDE: u32 = 7919;

/// A rate of changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) per_second: u32,
    pub(super) seconds: u32,
    /// The number of the first change: the API server ignores a change that repeats an earlier one.
    first: u32,
}

/// Enough changes to see them beside the work at rest, in a fleet of any size.
pub(super) const RATE: Rate = Rate { per_second: 20, seconds: 60, first: 0 };
/// The changes of the second round: other ones than those of the first, for half the time.
pub(super) const SECOND: Rate = Rate { seconds: RATE.seconds / 2, first: RATE.count(), ..RATE };

impl Rate {
    pub(super) const fn count(self) -> u32 {
        self.per_second.saturating_mul(self.seconds)
    }

    /// Awaits each change in turn, at this rate or more slowly.
    async fn each(
        self,
        mut change: impl AsyncFnMut(u32) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut ticks = interval(Duration::from_secs(1) / self.per_second.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in self.first..self.first.saturating_add(self.count()) {
            ticks.tick().await;
            change(number).await?;
        }
        Ok(())
    }
}

/// The node and the number of an object for a change.
fn place(nodes: &[Node], number: u32, objects: u32) -> Option<(Node, u32)> {
    let count = u32::try_from(nodes.len()).ok().filter(|count| *count > 0)?;
    let picked = number.wrapping_mul(STRIDE);
    let node = nodes.get(usize::try_from(picked % count).ok()?)?;
    Some((*node, picked / count % objects))
}

/// Changes StaticIPs of these nodes. Returns the milliseconds from each request to the arrival of
/// its event at the watch of the replayed agent.
pub(super) async fn static_ips(
    api: &Api,
    nodes: &[Node],
    rate: Rate,
    arrivals: &Arrivals,
) -> Result<Vec<f64>, Failure> {
    arrivals.forget();
    let mut sent = Vec::new();
    rate.each(async |number| {
        let Some((node, member)) = place(nodes, number, MEMBERS) else { return Ok(()) };
        let name = node.address(member).to_string();
        let run = format!("change-{number}");
        let change = json!({ "spec": { "attachment": { "run": run } } });
        let at = Instant::now();
        let changed = merge(api, &format!("{STATIC_IPS}/{name}"), &change).await?;
        sent.push((node.name(), name, version(&changed), at));
        Ok(())
    })
    .await?;
    let mut took = Vec::new();
    let begun = Instant::now();
    for (node, name, version, at) in sent {
        let seen = loop {
            if let Some(seen) = arrivals.at(&node, &name, &version) {
                break seen;
            }
            if begun.elapsed() > PATIENCE {
                let why = format!("version {version} of {name} did not reach {node}");
                return Err(Failure::new(why));
            }
            sleep(POLL).await;
        };
        took.push(milliseconds(seen.saturating_duration_since(at)));
    }
    Ok(took)
}

fn version(object: &Value) -> String {
    let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    version.unwrap_or_default().to_owned()
}

/// Changes the status of pods, as the kubelets do, each to another version than the first.
pub(super) async fn pods(api: &Api, nodes: &[Node], rate: Rate) -> Result<(), Failure> {
    let pods = objects::core(NAMESPACE, "pods");
    rate.each(async |number| {
        let Some((node, pod)) = place(nodes, number, PODS) else { return Ok(()) };
        let status = objects::pod_status(node, pod, number.saturating_add(1));
        let path = format!("{pods}/{}/status?fieldManager=kubelet", node.pod(pod));
        merge(api, &path, &status).await.map(drop)
    })
    .await
}

/// Deletes pods that are no members', and creates each anew, as a controller and a kubelet do.
pub(super) async fn replaced_pods(api: &Api, nodes: &[Node], rate: Rate) -> Result<(), Failure> {
    let pods = objects::core(NAMESPACE, "pods");
    rate.each(async |number| {
        let Some((node, pod)) = place(nodes, number, PODS - MEMBERS) else { return Ok(()) };
        let pod = MEMBERS + pod;
        let path = format!("{pods}/{}", node.pod(pod));
        good(&path, api.delete(&format!("{path}?gracePeriodSeconds=0")).await)?;
        post(api, &pods, &objects::pod(node, pod)).await?;
        let status = objects::pod_status(node, pod, number);
        merge(api, &format!("{path}/status?fieldManager=kubelet"), &status).await.map(drop)
    })
    .await
}

/// Reports each node as unchanged, as its kubelet does every five minutes. Ends only if it fails.
pub(super) async fn heartbeats(api: Api, nodes: Vec<Node>) -> Result<Infallible, Failure> {
    let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX).max(1);
    let mut ticks = interval(HEARTBEAT / count);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for node in &nodes {
            ticks.tick().await;
            let path = format!("{NODES}/{}/status?fieldManager=kubelet", node.name());
            let now = objects::heartbeat(Timestamp::now());
            good(&path, api.patch_as(STRATEGIC, &path, &now).await)?;
        }
    }
}

/// Releases addresses of nodes with a real agent, and attaches them again. Returns the milliseconds
/// from each request until the agent's metrics show the change.
pub(super) async fn real_agents(
    api: &Api,
    nodes: &[Node],
    count: u32,
) -> Result<Vec<f64>, Failure> {
    let mut took = Vec::new();
    for number in 0..count {
        let Some((node, member)) = place(nodes, number, MEMBERS) else { break };
        let metrics = agents::metrics(node)?;
        let before = agents::read_from(&metrics, ATTACHED).await?;
        for (state, wanted) in [("Parked", before - 1.0), ("Attached", before)] {
            let change = json!({ "spec": { "attachment": { "state": state } } });
            let at = Instant::now();
            merge(api, &format!("{STATIC_IPS}/{}", node.address(member)), &change).await?;
            while (agents::read_from(&metrics, ATTACHED).await? - wanted).abs() > 0.5 {
                if at.elapsed() > PATIENCE {
                    let name = node.name();
                    return Err(Failure::new(format!("the agent of {name} ignores {state}")));
                }
                sleep(POLL).await;
            }
            took.push(milliseconds(at.elapsed()));
        }
    }
    Ok(took)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn changes_are_spread_over_nodes_and_objects() {
        let nodes: Vec<Node> = (0..9).map(Node).collect();
        let places: BTreeSet<_> = (0..300).filter_map(|n| place(&nodes, n, MEMBERS)).collect();
        let used: BTreeSet<Node> = places.iter().map(|(node, _)| *node).collect();
        assert!(used.len() == nodes.len() && places.len() > 200, "{}", places.len());
        assert_eq!(place(&[], 1, MEMBERS), None);
    }
}
