//! Determines the live pod of a member, and what a pod requests, from the pod object alone.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::agent::ResourceList;
use firecamp_core::contract::endpoint::POOL_LABEL;
use firecamp_core::contract::timing;
use firecamp_core::ids::{NodeName, PodUid, PoolName, ResourceName, SetName};
use firecamp_core::ports::{AskingPod, Controller, PodLifecycle, PodView};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The fields of a pod that are used here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    metadata: PodMetadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMetadata {
    name: String,
    namespace: String,
    uid: String,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    owner_references: Vec<Reference>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// An owner reference.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    #[serde(default)]
    controller: bool,
}

impl Reference {
    /// Whether the kind is Kubernetes' own StatefulSet: other API groups have kinds of that name.
    pub(crate) fn is_stateful_set(&self) -> bool {
        self.kind == "StatefulSet" && self.api_version.starts_with("apps/")
    }

    /// The controller reference, of which there is at most one.
    pub(crate) fn controller(all: &[Self]) -> Option<&Self> {
        all.iter().find(|one| one.controller)
    }

    /// The controller as a core record.
    pub(crate) fn to_controller(&self) -> Result<Controller, String> {
        let Self { api_version, kind, name, .. } = self;
        if self.is_stateful_set() {
            let name = SetName::new(name).map_err(|wrong| format!("ownerReferences: {wrong}"))?;
            return Ok(Controller::StatefulSet(name));
        }
        Ok(Controller::Other(format!("{kind} {name} ({api_version})")))
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) node_name: String,
    host_network: bool,
    termination_grace_period_seconds: Option<u64>,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    persistent_volume_claim: Option<IgnoredAny>,
    ephemeral: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    restart_policy: Option<String>,
    resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: BTreeMap<String, String>,
}

/// A watched pod of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePod {
    /// The pod, without the rest of its grace period: a watch event has no `Date`.
    pub view: PodView,
    /// How much of each extended resource of pools the pod occupies on its node; nothing once all
    /// its containers have terminated.
    pub requested: ResourceList,
    /// It has a network of its own: no `hostNetwork`.
    pub own_network: bool,
    /// It has the label of a pool, and its containers have started (phase Running).
    pub expects_address: bool,
    /// It has the label of a pool, its containers have not started (phase Pending), and it has no
    /// volume that may have to be attached to the node before.
    pub awaits_address: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Deserialize)]
struct PodIp {
    #[serde(default)]
    ip: String,
}

/// Both times have whole seconds, so up to one second may have passed already.
const ROUNDING: Duration = Duration::from_secs(1);

/// The pod `NAMESPACE/NAME`, without what it requests. `date` is the API server's clock: the clocks
/// of the pod's node and of this process may differ from it by more than a grace period.
pub(crate) fn fresh(
    body: &[u8],
    names: (&str, &str),
    date: Option<&str>,
) -> Result<NodePod, String> {
    let pod = named(body, names)?.of_node(date)?;
    Ok(NodePod { requested: ResourceList::new(), ..pod })
}

/// The pod `NAMESPACE/NAME` as one that asks for its address.
pub(crate) fn asking(body: &[u8], names: (&str, &str)) -> Result<AskingPod, String> {
    let Pod { metadata, spec, status } = named(body, names)?;
    let pool = metadata.labels.get(POOL_LABEL).map(|name| PoolName::new(name)).transpose();
    let grace = spec.termination_grace_period_seconds.map(Duration::from_secs);
    Ok(AskingPod {
        pod: uid(&metadata)?,
        node: node(&spec)?,
        host_network: spec.host_network,
        // One that cannot be read is none of those that ask, and no reason to ignore the pod.
        ips: status.pod_ips.iter().filter_map(|one| one.ip.parse().ok()).collect(),
        pool: pool.map_err(|wrong| format!("label {POOL_LABEL}: {wrong}")),
        grace: grace.unwrap_or(timing::PREDECESSOR_GRACE),
    })
}

fn named(body: &[u8], (namespace, name): (&str, &str)) -> Result<Pod, String> {
    let pod: Pod = serde_json::from_slice(body).map_err(|wrong| wrong.to_string())?;
    let PodMetadata { namespace: its_namespace, name: its_name, .. } = &pod.metadata;
    if (its_namespace.as_str(), its_name.as_str()) != (namespace, name) {
        return Err(format!("the response is about {its_namespace}/{its_name}"));
    }
    Ok(pod)
}

fn uid(metadata: &PodMetadata) -> Result<PodUid, String> {
    PodUid::new(&metadata.uid).map_err(|wrong| format!("metadata.uid: {wrong}"))
}

fn node(spec: &PodSpec) -> Result<Option<NodeName>, String> {
    match spec.node_name.as_str() {
        "" => Ok(None),
        name => NodeName::new(name).map(Some).map_err(|wrong| format!("spec.nodeName: {wrong}")),
    }
}

/// Parses a watched pod.
pub(crate) fn read(object: &str) -> Result<NodePod, String> {
    let pod: Pod = serde_json::from_str(object).map_err(|wrong| wrong.to_string())?;
    pod.of_node(None)
}

impl PodSpec {
    fn has_persistent_volume(&self) -> bool {
        let persistent =
            |one: &Volume| one.persistent_volume_claim.is_some() || one.ephemeral.is_some();
        self.volumes.iter().any(persistent)
    }

    /// The pod's requests as scheduler and kubelet compute them.
    pub(crate) fn requested(&self) -> ResourceList {
        let all = self.init_containers.iter().chain(&self.containers);
        let names = all.flat_map(|container| container.resources.requests.keys());
        let names = names.filter_map(|name| ResourceName::new(name).ok());
        let amounts = names.map(|name| (self.amount(name.as_str()), name));
        amounts.filter(|(amount, _)| *amount > 0).map(|(amount, name)| (name, amount)).collect()
    }

    /// Containers and native sidecars run together; each other init container runs alone beside
    /// the sidecars that precede it (`k8s.io/component-helpers/resource`, `PodRequests`).
    fn amount(&self, resource: &str) -> u32 {
        let (mut sidecars, mut init) = (0_u32, 0_u32);
        for container in &self.init_containers {
            let together = sidecars.saturating_add(container.amount(resource));
            if container.restart_policy.as_deref() == Some("Always") {
                sidecars = together;
            }
            init = init.max(together);
        }
        let running = self.containers.iter().map(|container| container.amount(resource));
        running.fold(sidecars, u32::saturating_add).max(init)
    }
}

impl Container {
    /// Extended resources are whole numbers. A suffix means at least a thousand, which is more than
    /// any instance has, so no such pod is admitted.
    fn amount(&self, resource: &str) -> u32 {
        let text = self.resources.requests.get(resource);
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl Pod {
    fn of_node(self, date: Option<&str>) -> Result<NodePod, String> {
        let (mut requested, own_network) = (self.spec.requested(), !self.spec.host_network);
        let labelled = self.metadata.labels.contains_key(POOL_LABEL);
        let expects_address = labelled && self.status.phase == "Running";
        let awaits_address =
            labelled && self.status.phase == "Pending" && !self.spec.has_persistent_volume();
        let view = self.view(date)?;
        if matches!(view, PodView::Present { lifecycle: PodLifecycle::Terminal, .. }) {
            requested = ResourceList::new();
        }
        Ok(NodePod { view, requested, own_network, expects_address, awaits_address })
    }

    fn view(self, date: Option<&str>) -> Result<PodView, String> {
        let Pod { metadata, spec, status } = self;
        let (node, pod) = (node(&spec)?, uid(&metadata)?);
        let lifecycle = match (status.phase.as_str(), metadata.deletion_timestamp) {
            ("Succeeded" | "Failed", _) => PodLifecycle::Terminal,
            (_, Some(end)) => PodLifecycle::Terminating(left(&end, date)),
            (_, None) => PodLifecycle::Running,
        };
        let controller = Reference::controller(&metadata.owner_references);
        let controller = controller.map(Reference::to_controller).transpose()?;
        Ok(PodView::Present { pod, node, lifecycle, controller })
    }
}

/// The rest of the grace period. `deletionTimestamp` is its end, not its start.
fn left(end: &str, date: Option<&str>) -> Option<Duration> {
    let end: Timestamp = end.parse().ok()?;
    let now = rfc2822::DateTimeParser::new().parse_timestamp(date?).ok()?;
    let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
    Some(left.saturating_sub(ROUNDING))
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
