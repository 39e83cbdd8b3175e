//! Determines the live pod of a member, and what a pod requests, from the pod object alone.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::agent::ResourceList;
use firecamp_core::ids::{NodeName, PodUid, ResourceName, SetName};
use firecamp_core::ports::{Controller, PodLifecycle, PodView};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;

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
}

/// An owner reference.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    api_version: String,
    kind: String,
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
    containers: Vec<Container>,
    init_containers: Vec<Container>,
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
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
}

/// Both times have whole seconds, so up to one second may have passed already.
const ROUNDING: Duration = Duration::from_secs(1);

/// The view of the pod `NAMESPACE/NAME`. `date` is the API server's clock: the clocks of the pod's
/// node and of this process may differ from it by more than a grace period.
pub(crate) fn view(
    body: &[u8],
    (namespace, name): (&str, &str),
    date: Option<&str>,
) -> Result<PodView, String> {
    let pod: Pod = serde_json::from_slice(body).map_err(|wrong| wrong.to_string())?;
    let PodMetadata { namespace: its_namespace, name: its_name, .. } = &pod.metadata;
    if (its_namespace.as_str(), its_name.as_str()) != (namespace, name) {
        return Err(format!("the response is about {its_namespace}/{its_name}"));
    }
    pod.view(date)
}

/// Parses a watched pod.
pub(crate) fn read(object: &str) -> Result<NodePod, String> {
    let pod: Pod = serde_json::from_str(object).map_err(|wrong| wrong.to_string())?;
    let requested = pod.spec.requested();
    let view = pod.view(None)?;
    let ended = matches!(view, PodView::Present { lifecycle: PodLifecycle::Terminal, .. });
    Ok(NodePod { view, requested: if ended { ResourceList::new() } else { requested } })
}

impl PodSpec {
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
    fn view(self, date: Option<&str>) -> Result<PodView, String> {
        let Pod { metadata, spec, status } = self;
        let node = match spec.node_name.as_str() {
            "" => None,
            name => Some(NodeName::new(name).map_err(|wrong| format!("spec.nodeName: {wrong}"))?),
        };
        let pod = PodUid::new(&metadata.uid).map_err(|wrong| format!("metadata.uid: {wrong}"))?;
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
mod tests {
    use super::*;

    const NOW: &str = "Fri, 20 Nov 2026 15:00:00 GMT";
    const UID: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11";

    fn pod(metadata: &str, spec: &str, status: &str) -> String {
        format!(
            r#"{{"metadata":{{"name":"redis-0","namespace":"prod","uid":"{UID}"{metadata}}},
                "spec":{{{spec}}},"status":{{{status}}}}}"#
        )
    }

    fn view_of(text: &str, date: Option<&str>) -> Result<(Option<String>, PodLifecycle), String> {
        match view(text.as_bytes(), ("prod", "redis-0"), date)? {
            PodView::Present { pod, node, lifecycle, .. } => {
                assert_eq!(pod.as_str(), UID);
                Ok((node.map(|node| node.to_string()), lifecycle))
            }
            other @ (PodView::Vouched | PodView::Absent) => Err(format!("{other:?}")),
        }
    }

    fn ending(end: &str, date: Option<&str>) -> PodLifecycle {
        let more = format!(r#","deletionTimestamp":"{end}","deletionGracePeriodSeconds":30"#);
        view_of(&pod(&more, r#""nodeName":"n1""#, r#""phase":"Running""#), date).unwrap().1
    }

    fn requested(spec: &str, status: &str) -> Vec<(String, u32)> {
        let pod = read(&pod("", &format!(r#""nodeName":"n1",{spec}"#), status)).unwrap();
        pod.requested.into_iter().map(|(name, amount)| (name.to_string(), amount)).collect()
    }

    fn slots_of(spec: &str, status: &str) -> u32 {
        let requested = requested(spec, status);
        assert!(requested.iter().all(|(name, _)| name == "firecamp.io/static-ip"), "{requested:?}");
        requested.iter().map(|(_, amount)| amount).sum()
    }

    #[test]
    fn each_resource_of_a_pool_is_counted_by_itself_and_no_other_resource() {
        let spec = r#""initContainers":[{"resources":{"requests":{"firecamp.io/static-ip-b":"1"}}}],
            "containers":[{"resources":{"requests":{"firecamp.io/static-ip":"2","cpu":"1",
            "firecamp.io/static-ips":"1","example.com/static-ip":"1"}}}]"#;
        let wanted = [("firecamp.io/static-ip", 2), ("firecamp.io/static-ip-b", 1)];
        let wanted = wanted.map(|(name, amount)| (name.to_owned(), amount));
        assert_eq!(requested(spec, r#""phase":"Running""#), wanted);
    }

    #[test]
    fn a_pod_occupies_the_slots_that_its_containers_request_at_the_same_time() {
        let one = r#"{"resources":{"requests":{"cpu":"1","firecamp.io/static-ip":"1"}}}"#;
        let sidecar = r#"{"restartPolicy":"Always",
            "resources":{"requests":{"firecamp.io/static-ip":"1"}}}"#;
        let spec = |init: &[&str], containers: &[&str]| {
            let (init, containers) = (init.join(","), containers.join(","));
            format!(r#""initContainers":[{init}],"containers":[{containers}]"#)
        };
        for (init, containers, slots) in [
            (vec![], vec!["{}"], 0),
            (vec![one], vec!["{}"], 1),
            (vec![one, one], vec!["{}"], 1),
            (vec![one], vec![one, one], 2),
            (vec![sidecar], vec![one], 2),
            (vec![sidecar, one], vec!["{}"], 2),
            (vec![one, sidecar], vec!["{}"], 1),
        ] {
            let spec = spec(&init, &containers);
            assert_eq!(slots_of(&spec, r#""phase":"Running""#), slots, "{spec}");
        }
    }

    #[test]
    fn a_pod_whose_containers_have_terminated_occupies_no_slot() {
        let spec = r#""containers":[{"resources":{"requests":{"firecamp.io/static-ip":"1"}}}]"#;
        assert_eq!(slots_of(spec, r#""phase":"Pending""#), 1);
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(slots_of(spec, &format!(r#""phase":"{phase}""#)), 0, "{phase}");
        }
    }

    #[test]
    fn a_pod_without_a_node_is_not_scheduled_yet() {
        let text = pod("", "", r#""phase":"Pending""#);
        assert_eq!(view_of(&text, Some(NOW)), Ok((None, PodLifecycle::Running)));
    }

    #[test]
    fn a_running_pod_has_its_node() {
        let text = pod("", r#""nodeName":"ip-10-0-0-7.ec2.internal""#, r#""phase":"Running""#);
        let node = Some("ip-10-0-0-7.ec2.internal".to_owned());
        assert_eq!(view_of(&text, Some(NOW)), Ok((node, PodLifecycle::Running)));
    }

    #[test]
    fn the_grace_period_of_a_deleted_pod_is_computed_by_the_servers_clock() {
        let lifecycle = ending("2026-11-20T15:00:30Z", Some(NOW));
        assert_eq!(lifecycle, PodLifecycle::Terminating(Some(Duration::from_secs(29))));
        for over in ["2026-11-20T15:00:00Z", "2026-11-20T14:00:00Z"] {
            assert_eq!(
                ending(over, Some(NOW)),
                PodLifecycle::Terminating(Some(Duration::ZERO)),
                "{over}"
            );
        }
    }

    #[test]
    fn without_the_servers_clock_the_grace_period_is_unknown() {
        for date in [None, Some("yesterday")] {
            assert_eq!(ending("2026-11-20T15:00:30Z", date), PodLifecycle::Terminating(None));
        }
        assert_eq!(ending("soon", Some(NOW)), PodLifecycle::Terminating(None));
    }

    #[test]
    fn a_pod_whose_containers_have_ended_is_terminal_deleted_or_not() {
        for phase in ["Succeeded", "Failed"] {
            let status = format!(r#""phase":"{phase}""#);
            for more in ["", r#","deletionTimestamp":"2026-11-20T15:00:30Z""#] {
                let lifecycle =
                    view_of(&pod(more, r#""nodeName":"n1""#, &status), Some(NOW)).unwrap().1;
                assert_eq!(lifecycle, PodLifecycle::Terminal, "{phase} {more}");
            }
        }
    }

    #[test]
    fn f105_only_the_apps_group_stateful_set_counts_as_the_controller_of_a_pod() {
        let controller = |version: &str, kind: &str, controls: bool| {
            let reference = format!(
                r#","ownerReferences":[{{"apiVersion":"v1","kind":"Node","name":"n","uid":"u"}},
                {{"apiVersion":"{version}","kind":"{kind}","name":"redis","uid":"s-1",
                "controller":{controls}}}]"#
            );
            let text = pod(&reference, "", "");
            match view(text.as_bytes(), ("prod", "redis-0"), None) {
                Ok(PodView::Present { controller, .. }) => controller.map(|it| it.to_string()),
                other => Some(format!("{other:?}")),
            }
        };
        let set = Controller::StatefulSet(SetName::new("redis").unwrap()).to_string();
        assert_eq!(controller("apps/v1", "StatefulSet", true), Some(set));
        assert_eq!(controller("apps/v1", "StatefulSet", false), None);
        for (version, kind) in [("apps/v1", "ReplicaSet"), ("apps.kruise.io/v1", "StatefulSet")] {
            let wanted = format!("{kind} redis ({version})");
            assert_eq!(controller(version, kind, true), Some(wanted));
        }
    }

    #[test]
    fn an_object_other_than_the_requested_pod_is_an_error() {
        let other = pod("", "", "").replace("redis-0", "redis-1");
        let cases = [
            (other.as_str(), "redis-1"),
            (r#"{"metadata":{"name":"redis-0","namespace":"prod"}}"#, "uid"),
            ("{}", "metadata"),
            ("", "EOF"),
            ("<html>", "expected"),
        ];
        for (text, named) in cases {
            let wrong = view(text.as_bytes(), ("prod", "redis-0"), None).unwrap_err();
            assert!(wrong.contains(named), "{text}: {wrong}");
        }
        let node = pod("", r#""nodeName":"a/b""#, "");
        let wrong = view(node.as_bytes(), ("prod", "redis-0"), None).unwrap_err();
        assert!(wrong.contains("spec.nodeName"), "{wrong}");
    }
}
