//! The members of a StatefulSet, as a restart sees them.

use firecamp_core::contract::endpoint::POOL_LABEL;
use serde_json::Value;

use super::progress::{StopReason, Stopped};
use crate::common::json::{at, text};
use crate::wait::decide::why_not_attached;
use crate::wait::facts::Address;

/// The label of a pod with the revision of the template that it was created from.
const REVISION: &str = "controller-revision-hash";

/// The number of characters of a container's message that are shown.
const SHOWN: usize = 120;

/// A StatefulSet and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// NAMESPACE/NAME.
    pub set: String,
    /// Whether the controller has processed the last change of the StatefulSet.
    pub observed: bool,
    /// The revision of pods that are created now.
    pub update_revision: String,
    /// How the primary is known, for messages.
    pub primary_by: String,
    /// Why a member did not say whether it is the primary.
    pub unanswered: Option<String>,
    /// Whether the members are those of a Deployment.
    pub stateless: bool,
    /// All replicas, in the order of their ordinals.
    pub members: Vec<MemberFacts>,
}

/// A replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFacts {
    /// The name of its pod.
    pub name: String,
    /// Its static address.
    pub address: Option<String>,
    /// Its pod, if it exists.
    pub pod: Option<PodFacts>,
}

/// The pod of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its UID.
    pub uid: String,
    /// The revision of the template that it was created from.
    pub revision: String,
    /// Its node, once it is scheduled.
    pub node: Option<String>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it is ready: all of its volumes are mounted, and its probes succeed.
    pub ready: bool,
    /// Why it is not ready, if the kubelet or the scheduler says so.
    pub problem: Option<String>,
    /// Why its static address is not attached to it; none if it is, or if it needs none.
    pub address_missing: Option<String>,
    /// Whether a Deployment replaces it, because it is of an earlier template.
    pub replaced: bool,
    /// Its role.
    pub role: Role,
}

/// The role of a member in its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is the primary.
    Primary,
    /// It is not the primary.
    Other,
    /// It was not asked, or did not answer.
    Unknown,
}

impl Role {
    /// The role, if it is known.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Primary => Some("primary"),
            Self::Other => Some("other"),
            Self::Unknown => None,
        }
    }
}

impl Facts {
    /// A member by the name of its pod.
    pub fn member(&self, name: &str) -> Option<&MemberFacts> {
        self.members.iter().find(|one| one.name == name)
    }

    /// The members that are the primary.
    pub fn primaries(&self) -> impl Iterator<Item = &MemberFacts> {
        let is_primary = |pod: &PodFacts| pod.role == Role::Primary && !pod.terminating;
        self.members.iter().filter(move |one| one.pod.as_ref().is_some_and(is_primary))
    }

    /// What to wait for if the controller has not processed the last change.
    pub fn not_observed(&self) -> Option<Stopped> {
        let (kind, reason) = if self.stateless {
            ("Deployment", StopReason::DeploymentNotObserved)
        } else {
            ("StatefulSet", StopReason::StatefulSetNotObserved)
        };
        let message = format!("the {kind} controller has not processed the last change yet");
        (!self.observed).then(|| Stopped { object: self.set.clone(), reason, message })
    }

    /// Why no member is the primary.
    pub(super) fn no_primary(&self) -> String {
        let why = self.unanswered.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("no member is the primary according to {}{why}", self.primary_by)
    }
}

/// The facts of a StatefulSet, its pods and the addresses of its members. Roles are unknown.
pub fn parse(set: &Value, pods: &[Value], addresses: &[Address]) -> Facts {
    let (namespace, name) = (text(set, "/metadata/namespace"), text(set, "/metadata/name"));
    let number = |pointer: &str| at(set, pointer).as_u64().unwrap_or_default();
    let first = number("/spec/ordinals/start");
    let replicas = at(set, "/spec/replicas").as_u64().unwrap_or(1);
    let needs_address = at(set, "/spec/template/metadata/labels").get(POOL_LABEL).is_some();
    let member = |ordinal: u64| {
        let name = format!("{name}-{ordinal}");
        let pod = pods.iter().find(|pod| text(pod, "/metadata/name") == name);
        let own = addresses.iter().find(|address| address.member == name);
        let parsed = |pod: &Value| {
            let missing = match own {
                Some(own) => why_not_attached(own, text(pod, "/metadata/uid")).map(|(_, why)| why),
                None => needs_address.then(|| "its member has no StaticIP yet".to_owned()),
            };
            parse_pod(pod, missing)
        };
        let address = own.map(|own| own.address.clone());
        MemberFacts { pod: pod.map(parsed), name, address }
    };
    Facts {
        set: format!("{namespace}/{name}"),
        observed: number("/status/observedGeneration") >= number("/metadata/generation"),
        update_revision: text(set, "/status/updateRevision").to_owned(),
        primary_by: String::new(),
        unanswered: None,
        stateless: false,
        members: (first..first.saturating_add(replicas)).map(member).collect(),
    }
}

pub(in crate::service) fn parse_pod(pod: &Value, address_missing: Option<String>) -> PodFacts {
    let ready = condition(pod, "Ready").is_some_and(|one| text(one, "/status") == "True");
    let node = text(pod, "/spec/nodeName");
    let revision = at(pod, "/metadata/labels").get(REVISION).and_then(Value::as_str);
    PodFacts {
        uid: text(pod, "/metadata/uid").to_owned(),
        revision: revision.unwrap_or_default().to_owned(),
        node: Some(node.to_owned()).filter(|node| !node.is_empty()),
        terminating: !at(pod, "/metadata/deletionTimestamp").is_null(),
        ready,
        problem: if ready { None } else { problem(pod) },
        address_missing,
        replaced: false,
        role: Role::Unknown,
    }
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    let all = at(pod, "/status/conditions").as_array()?;
    all.iter().find(|one| text(one, "/type") == kind)
}

/// What keeps a pod from being ready: a container that waits or ended, or no node.
fn problem(pod: &Value) -> Option<String> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = lists.iter().filter_map(|list| at(pod, list).as_array()).flatten();
    let waits = |one: &Value| {
        let reason = text(one, "/state/waiting/reason");
        // The reason of containers that wait for the init containers says nothing.
        let is_cause = !reason.is_empty() && reason != "PodInitializing";
        let message = text(one, "/state/waiting/message");
        let shown: String = message.chars().take(SHOWN).collect();
        let more = if shown.len() < message.len() { " …" } else { "" };
        let message = if shown.is_empty() { shown } else { format!(" ({shown}{more})") };
        is_cause.then(|| format!("container {}: {reason}{message}", text(one, "/name")))
    };
    let scheduled = || {
        let one = condition(pod, "PodScheduled")?;
        let refused = text(one, "/status") == "False";
        refused.then(|| format!("{}: {}", text(one, "/reason"), text(one, "/message")))
    };
    containers.into_iter().find_map(waits).or_else(scheduled)
}
