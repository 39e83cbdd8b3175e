//! What is missing until the awaited state is reached. Pure.

use std::collections::BTreeMap;

use firecamp_core::ports::Controller;
use firecamp_kube::{ObservedPod, ObservedSet, PodState};
use firecamp_registry::api::{AttachmentState, Kind as _, StaticIPSpec};
use serde::Serialize;

use super::facts::{Address, Facts, Want};
use super::reason::Reason;

/// The most entries in the output: a StatefulSet may have any number of replicas.
const MOST: usize = 200;

/// An object that is not in the awaited state yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// The kind of the object.
    pub kind: &'static str,
    /// Its name, with its namespace if it has one.
    pub name: String,
    /// Its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When its current state began, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What is missing; stable.
    pub reason: Reason,
    /// The same as text.
    pub message: String,
}

/// What is missing; empty once the awaited state is reached.
pub fn missing(want: Want, facts: &Facts) -> Vec<Missing> {
    match want {
        Want::Released => released(facts),
        Want::Attached => attached(facts),
    }
}

fn released(facts: &Facts) -> Vec<Missing> {
    let pods = facts.pods.iter().filter(|pod| facts.has_pod(pod));
    let addresses = facts.addresses.iter().filter(|address| facts.has_address(address));
    let set = facts.object.as_ref().and_then(|set| not_scaled_down(facts, set));
    let all = set.into_iter().chain(pods.map(|pod| remains(facts, pod)));
    all.chain(addresses.filter_map(|one| held(facts, one)))
        .chain(unread(facts))
        .take(MOST)
        .collect()
}

/// A StatefulSet creates pods while it has replicas, or while its controller has not processed its
/// last change yet.
fn not_scaled_down(facts: &Facts, set: &ObservedSet) -> Option<Missing> {
    let ObservedSet { replicas, first: _, observed, deleting } = *set;
    if deleting {
        return None;
    }
    if replicas > 0 {
        let words = format!("spec.replicas is {replicas}");
        return Some(of_set(facts, Reason::ReplicasNotZero, words));
    }
    not_observed(facts, observed)
}

fn not_observed(facts: &Facts, observed: bool) -> Option<Missing> {
    let words = "the controller has not processed its last change yet".to_owned();
    (!observed).then(|| of_set(facts, Reason::StatefulSetNotObserved, words))
}

fn remains(facts: &Facts, pod: &ObservedPod) -> Missing {
    let (reason, since, mut message) = match &pod.lifecycle {
        PodState::Live => {
            (Reason::PodNotDeleted, pod.created.clone(), "it is not deleted".to_owned())
        }
        PodState::Ended => {
            (Reason::PodFinished, pod.created.clone(), "its containers have terminated".to_owned())
        }
        PodState::Ending { since, until } => {
            let words = format!("terminating; its grace period ends at {until}");
            (Reason::PodTerminating, since.clone(), words)
        }
    };
    if pod.controller.is_none() {
        message.push_str("; no StatefulSet controls it");
    }
    of_pod(facts, pod, reason, since, message)
}

fn held(facts: &Facts, address: &Address) -> Option<Missing> {
    let holder = address.holder.as_ref()?;
    let (reason, state) = match holder.state {
        AttachmentState::Attached => (Reason::AddressHeld, "attached"),
        AttachmentState::Attaching => (Reason::AddressHeld, "being attached"),
        AttachmentState::Releasing => (Reason::Releasing, "being released from EC2"),
        AttachmentState::Parked | AttachmentState::Released => return None,
    };
    let there = facts.pods.iter().any(|pod| pod.uid == holder.pod_uid);
    let pod = if there { "which exists" } else { "which is gone" };
    let message = format!(
        "the address of {}/{} is {state} for the pod with UID {}, {pod}",
        facts.namespace, address.member, holder.pod_uid
    );
    Some(Missing {
        kind: StaticIPSpec::KIND,
        name: address.address.clone(),
        node: Some(holder.node.clone()),
        since: address.written.clone(),
        reason,
        message,
    })
}

fn attached(facts: &Facts) -> Vec<Missing> {
    let set = match &facts.object {
        None => {
            return vec![of_set(
                facts,
                Reason::StatefulSetNotFound,
                "it does not exist".to_owned(),
            )];
        }
        Some(set) if set.deleting => {
            return vec![of_set(
                facts,
                Reason::StatefulSetTerminating,
                "it is being deleted".to_owned(),
            )];
        }
        Some(set) => set,
    };
    let pods: BTreeMap<&str, &ObservedPod> =
        facts.pods.iter().map(|pod| (pod.name.as_str(), pod)).collect();
    let numbers = set.first..set.first.saturating_add(set.replicas);
    let members = numbers.map(|number| format!("{}-{number}", facts.set));
    let all_missing = members
        .filter_map(|name| missing_of_replica(facts, &name, pods.get(name.as_str()).copied()));
    let mut all: Vec<Missing> = not_observed(facts, set.observed).into_iter().collect();
    all.extend(all_missing.take(MOST));
    if !all.is_empty() {
        // One of these may be the StaticIP that a member seems to lack.
        all.extend(unread(facts));
    }
    all.truncate(MOST);
    all
}

/// What a replica is missing.
fn missing_of_replica(facts: &Facts, name: &str, pod: Option<&ObservedPod>) -> Option<Missing> {
    let Some(pod) = pod else {
        return Some(Missing {
            kind: "Pod",
            name: format!("{}/{name}", facts.namespace),
            node: None,
            since: None,
            reason: Reason::PodMissing,
            message: "it does not exist".to_owned(),
        });
    };
    let ours = matches!(&pod.controller, Some(Controller::StatefulSet(by)) if *by == facts.set);
    let created = || pod.created.clone();
    match &pod.lifecycle {
        PodState::Ending { .. } | PodState::Ended => Some(remains(facts, pod)),
        PodState::Live if !ours => {
            let by = pod.controller.as_ref().map_or("nothing".to_owned(), ToString::to_string);
            let words = format!("it is controlled by {by}");
            Some(of_pod(facts, pod, Reason::ControllerMismatch, created(), words))
        }
        PodState::Live if pod.node.is_none() => {
            let words = "it is not assigned to a node yet".to_owned();
            Some(of_pod(facts, pod, Reason::PodUnscheduled, created(), words))
        }
        PodState::Live => misses_address(facts, pod),
    }
}

fn misses_address(facts: &Facts, pod: &ObservedPod) -> Option<Missing> {
    let own: Vec<&Address> =
        facts.addresses.iter().filter(|address| address.member == pod.name).collect();
    let found: Vec<Option<(Reason, String)>> =
        own.iter().map(|one| why_not_attached(one, &pod.uid)).collect();
    if found.iter().any(Option::is_none) {
        return None;
    }
    let since = own.first().and_then(|address| address.written.clone());
    let none = || (Reason::NoAddress, "its member has no StaticIP yet".to_owned());
    let (reason, words) = found.into_iter().flatten().next().unwrap_or_else(none);
    let since = since.or_else(|| pod.created.clone());
    Some(of_pod(facts, pod, reason, since, words))
}

/// Why an address of a member is not attached to the pod with this UID; `None` if it is.
pub(crate) fn why_not_attached(address: &Address, uid: &str) -> Option<(Reason, String)> {
    let ip = &address.address;
    let idle = || Some((Reason::NotAttached, format!("its address {ip} is not attached")));
    let Some(holder) = &address.holder else { return idle() };
    let own = holder.pod_uid == uid;
    match holder.state {
        AttachmentState::Attached if own => None,
        AttachmentState::Attaching if own => {
            Some((Reason::Attaching, format!("its address {ip} is being attached")))
        }
        AttachmentState::Attached | AttachmentState::Attaching => {
            let words = format!(
                "its address {ip} is still attached to the pod with UID {} on {}",
                holder.pod_uid, holder.node
            );
            Some((Reason::HeldByAnotherPod, words))
        }
        AttachmentState::Releasing | AttachmentState::Parked | AttachmentState::Released => idle(),
    }
}

fn of_set(facts: &Facts, reason: Reason, message: String) -> Missing {
    let name = facts.label();
    Missing { kind: "StatefulSet", name, node: None, since: None, reason, message }
}

fn of_pod(
    facts: &Facts,
    pod: &ObservedPod,
    reason: Reason,
    since: Option<String>,
    message: String,
) -> Missing {
    let name = format!("{}/{}", facts.namespace, pod.name);
    Missing { kind: "Pod", name, node: pod.node.clone(), since, reason, message }
}

/// Unreadable StaticIPs of the StatefulSet are not known to be in the awaited state.
fn unread(facts: &Facts) -> impl Iterator<Item = Missing> {
    let unread = facts
        .unread
        .iter()
        .filter(move |(member, _)| member.as_ref().is_none_or(|name| facts.is_member(name)));
    unread.map(|(_, one)| Missing {
        kind: StaticIPSpec::KIND,
        name: one.what.clone(),
        node: None,
        since: None,
        reason: Reason::Unreadable,
        message: one.why.clone(),
    })
}
