//! What is missing until something is as it is waited for: facts in, what is missing out. Pure.

use std::collections::BTreeMap;

use firecamp_core::outside::Controller;
use firecamp_kube::{PodLife, PodSeen, SetSeen};
use firecamp_registry::api::{AttachmentState, Kind as _, StaticIPSpec};
use serde::Serialize;

use super::facts::{Address, Facts, Want};
use super::reason::Reason;

/// Nobody reads more, and a StatefulSet may be given any number of replicas.
const MOST: usize = 200;

/// Something that is not yet as it is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// The kind of the object.
    pub kind: &'static str,
    /// Its name, after its namespace if it has one.
    pub name: String,
    /// The node that it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Since when it is as it is, as far as that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What is missing, in one stable word.
    pub reason: Reason,
    /// The same for people.
    pub message: String,
}

/// What is missing; nothing once it is as it is waited for.
pub fn missing(want: Want, facts: &Facts) -> Vec<Missing> {
    match want {
        Want::Released => released(facts),
        Want::Attached => attached(facts),
    }
}

fn released(facts: &Facts) -> Vec<Missing> {
    let pods = facts.pods.iter().filter(|pod| facts.has_pod(pod));
    let addresses = facts.addresses.iter().filter(|address| facts.has_address(address));
    let set = facts.object.as_ref().and_then(|set| wants_pods(facts, set));
    let all = set.into_iter().chain(pods.map(|pod| remains(facts, pod)));
    all.chain(addresses.filter_map(|one| held(facts, one)))
        .chain(unread(facts))
        .take(MOST)
        .collect()
}

/// A StatefulSet that is there makes pods as long as it is to have some, or as its controller
/// goes by what it was before.
fn wants_pods(facts: &Facts, set: &SetSeen) -> Option<Missing> {
    let SetSeen { replicas, first: _, observed, deleting } = *set;
    if deleting {
        return None;
    }
    if replicas > 0 {
        let words = format!("it is to have {replicas} pods");
        return Some(of_set(facts, Reason::SetWantsPods, words));
    }
    not_observed(facts, observed)
}

fn not_observed(facts: &Facts, observed: bool) -> Option<Missing> {
    let words = "its controller has not acted on its last change yet".to_owned();
    (!observed).then(|| of_set(facts, Reason::SetNotObserved, words))
}

fn remains(facts: &Facts, pod: &PodSeen) -> Missing {
    let (reason, since, mut message) = match &pod.life {
        PodLife::Live => (Reason::PodLive, pod.created.clone(), "nobody has deleted it".to_owned()),
        PodLife::Ended => {
            (Reason::PodEnded, pod.created.clone(), "its containers have ended".to_owned())
        }
        PodLife::Ending { since, until } => {
            let words = format!("it is being deleted; its grace period ends at {until}");
            (Reason::PodTerminating, since.clone(), words)
        }
    };
    if pod.controller.is_none() {
        message.push_str("; no StatefulSet controls it any more");
    }
    of_pod(facts, pod, reason, since, message)
}

fn held(facts: &Facts, address: &Address) -> Option<Missing> {
    let holder = address.holder.as_ref()?;
    let (reason, state) = match holder.state {
        AttachmentState::Attached => (Reason::AddressHeld, "attached"),
        AttachmentState::Attaching => (Reason::AddressHeld, "being attached"),
        AttachmentState::Releasing => (Reason::AddressReleasing, "on its way out of EC2"),
        AttachmentState::Parked | AttachmentState::Released => return None,
    };
    let there = facts.pods.iter().any(|pod| pod.uid == holder.pod_uid);
    let pod = if there { "which is there" } else { "which is gone" };
    let message = format!(
        "the address of {}/{} is {state}, for the pod with UID {}, {pod}",
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
        None => return vec![of_set(facts, Reason::SetMissing, "there is none".to_owned())],
        Some(set) if set.deleting => {
            return vec![of_set(facts, Reason::SetDeleted, "it is being deleted".to_owned())];
        }
        Some(set) => set,
    };
    let pods: BTreeMap<&str, &PodSeen> =
        facts.pods.iter().map(|pod| (pod.name.as_str(), pod)).collect();
    let numbers = set.first..set.first.saturating_add(set.replicas);
    let members = numbers.map(|number| format!("{}-{number}", facts.set));
    let lacks = members.filter_map(|name| lacks(facts, &name, pods.get(name.as_str()).copied()));
    let mut all: Vec<Missing> = not_observed(facts, set.observed).into_iter().collect();
    all.extend(lacks.take(MOST));
    if !all.is_empty() {
        // One of these may be what a member seems to lack.
        all.extend(unread(facts));
    }
    all.truncate(MOST);
    all
}

/// What a replica lacks.
fn lacks(facts: &Facts, name: &str, pod: Option<&PodSeen>) -> Option<Missing> {
    let Some(pod) = pod else {
        return Some(Missing {
            kind: "Pod",
            name: format!("{}/{name}", facts.namespace),
            node: None,
            since: None,
            reason: Reason::PodMissing,
            message: "there is none".to_owned(),
        });
    };
    let ours = matches!(&pod.controller, Some(Controller::StatefulSet(by)) if *by == facts.set);
    let created = || pod.created.clone();
    match &pod.life {
        PodLife::Ending { .. } | PodLife::Ended => Some(remains(facts, pod)),
        PodLife::Live if !ours => {
            let by = pod.controller.as_ref().map_or("nothing".to_owned(), ToString::to_string);
            let words = format!("{by} controls it");
            Some(of_pod(facts, pod, Reason::PodOfOther, created(), words))
        }
        PodLife::Live if pod.node.is_none() => {
            let words = "it is on no node yet".to_owned();
            Some(of_pod(facts, pod, Reason::PodUnscheduled, created(), words))
        }
        PodLife::Live => lacks_address(facts, pod),
    }
}

fn lacks_address(facts: &Facts, pod: &PodSeen) -> Option<Missing> {
    let own: Vec<&Address> =
        facts.addresses.iter().filter(|address| address.member == pod.name).collect();
    let found: Vec<Option<(Reason, String)>> =
        own.iter().map(|one| falls_short(one, pod)).collect();
    if found.iter().any(Option::is_none) {
        return None;
    }
    let since = own.first().and_then(|address| address.written.clone());
    let none = || (Reason::NoAddress, "its member has no StaticIP yet".to_owned());
    let (reason, words) = found.into_iter().flatten().next().unwrap_or_else(none);
    let since = since.or_else(|| pod.created.clone());
    Some(of_pod(facts, pod, reason, since, words))
}

/// Why an address of the pod's member is not attached to this pod; nothing if it is.
fn falls_short(address: &Address, pod: &PodSeen) -> Option<(Reason, String)> {
    let ip = &address.address;
    let idle = || Some((Reason::NotAttached, format!("nobody holds its address {ip}")));
    let Some(holder) = &address.holder else { return idle() };
    let own = holder.pod_uid == pod.uid;
    match holder.state {
        AttachmentState::Attached if own => None,
        AttachmentState::Attaching if own => {
            Some((Reason::Attaching, format!("its address {ip} is being attached")))
        }
        AttachmentState::Attached | AttachmentState::Attaching => {
            let words = format!(
                "its address {ip} is still that of the pod with UID {} on {}",
                holder.pod_uid, holder.node
            );
            Some((Reason::HeldByOther, words))
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
    pod: &PodSeen,
    reason: Reason,
    since: Option<String>,
    message: String,
) -> Missing {
    let name = format!("{}/{}", facts.namespace, pod.name);
    Missing { kind: "Pod", name, node: pod.node.clone(), since, reason, message }
}

/// What cannot be read is not known to be as it should be.
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
        reason: Reason::Unread,
        message: one.why.clone(),
    })
}
