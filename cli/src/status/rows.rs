//! Claims, addresses and what the agents report, joined into one row for each member. Pure.

use std::collections::BTreeMap;

use firecamp_core::contract::cluster::{condition, reason};
use firecamp_registry::api::{
    AddressStatus, AttachmentState, NodeAttachments, Problem, StaticIPClaimSpec, StaticIPSpec,
    VOLUME_READY,
};
use serde::Serialize;

use crate::common::command_result::UnreadableObject;
use crate::common::registry_reader::{Found, Listing, Reported};

/// The objects that were read.
#[derive(Debug, Clone)]
pub struct RegistryObjects {
    /// All claims.
    pub claims: Listing<Found<StaticIPClaimSpec>>,
    /// All addresses.
    pub addresses: Listing<Found<StaticIPSpec>>,
    /// The NodeAttachments that the agents have published.
    pub reports: Vec<NodeAttachments>,
    /// Other objects that could not be read.
    pub unread: Vec<UnreadableObject>,
}

/// The output of `firecamp status -o json`. Stable: fields may be added but never change their
/// meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The registry.
    pub registry: String,
    /// One entry for each member, ordered by name.
    pub members: Vec<MemberStatus>,
    /// Objects that exist but could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadableObject>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// NAMESPACE/NAME.
    pub member: String,
    /// The state of its claim.
    pub claim: ClaimState,
    /// The pool.
    pub pool: String,
    /// The address, once the claim names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The pod that uses the address, or used it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// When the claim was created; without a claim, when the StaticIP was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The first problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The state of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ClaimState {
    /// The claim names a StaticIP that names the claim.
    Bound,
    /// The claim has no such address.
    Unbound,
    /// The claim does not exist, but a StaticIP names this member.
    Absent,
}

impl ClaimState {
    /// The text in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bound => condition::BOUND,
            Self::Unbound => "Unbound",
            Self::Absent => "Absent",
        }
    }
}

/// The attachment that the StaticIP records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its epoch.
    pub epoch: u64,
    /// The state of the attachment; none before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<AttachmentState>,
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The ENI; while the address is on none, the last one that had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// The UID of the pod.
    #[serde(rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Its subnet.
    pub subnet: String,
    /// Its zone.
    pub zone: String,
    /// How many EC2 calls may be in flight.
    pub pending_mutations: usize,
}

impl MemberStatus {
    /// The namespace of the member.
    pub fn namespace(&self) -> &str {
        self.member.split_once('/').map_or("", |(namespace, _name)| namespace)
    }
}

/// One row for each member that has a claim or an address.
pub fn report(seen: &RegistryObjects, registry: String) -> StatusReport {
    let mut members: BTreeMap<String, MemberStatus> = BTreeMap::new();
    let by_name: BTreeMap<&str, &Found<StaticIPSpec>> =
        seen.addresses.found.iter().map(|ip| (ip.metadata.name.as_str(), ip)).collect();
    for claim in &seen.claims.found {
        let row = of_claim(claim, &by_name, &seen.reports);
        members.insert(row.member.clone(), row);
    }
    for ip in &seen.addresses.found {
        let owner = &ip.spec.claim_ref;
        let member = format!("{}/{}", owner.namespace, owner.name);
        let known = members.get(&member);
        if known.is_none() {
            let unreadable = unreadable(&seen.claims.unread, &member);
            members.insert(member.clone(), of_address(member, ip, unreadable));
        }
    }
    let unread = [&seen.claims.unread, &seen.addresses.unread, &seen.unread];
    let unread = unread.into_iter().flatten().cloned().collect();
    StatusReport { registry, members: members.into_values().collect(), unread }
}

/// An unreadable claim is not a missing claim.
fn unreadable(unread: &[UnreadableObject], member: &str) -> bool {
    unread.iter().any(|one| one.what.contains(member) || one.why.contains(member))
}

fn of_claim(
    claim: &Found<StaticIPClaimSpec>,
    addresses: &BTreeMap<&str, &Found<StaticIPSpec>>,
    reports: &[NodeAttachments],
) -> MemberStatus {
    let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
    let member = format!("{namespace}/{}", claim.metadata.name);
    let address = claim.spec.address.clone();
    let named = address.as_deref().and_then(|name| addresses.get(name)).copied();
    let is_own = |ip: &&Found<StaticIPSpec>| {
        let owner = &ip.spec.claim_ref;
        (owner.namespace.as_str(), owner.name.as_str()) == (namespace, &*claim.metadata.name)
    };
    let own = named.filter(is_own);
    let problem = match (&address, named, own) {
        (None, _, _) => {
            let why = volume(claim).or_else(|| missing(claim));
            why.or_else(|| problem("ClaimUnbound", "no address has been chosen yet"))
        }
        (Some(ip), None, _) => {
            problem(reason::STATIC_IP_NOT_FOUND, format!("StaticIP {ip} does not exist"))
        }
        (Some(ip), Some(named), None) => {
            let owner = &named.spec.claim_ref;
            let words = format!("StaticIP {ip} belongs to {}/{}", owner.namespace, owner.name);
            problem(reason::ADDRESS_OF_ANOTHER_MEMBER, words)
        }
        (Some(_), Some(_), Some(own)) => of_holder(own, &member, reports).or_else(|| volume(claim)),
    };
    MemberStatus {
        member,
        claim: if own.is_some() { ClaimState::Bound } else { ClaimState::Unbound },
        pool: claim.spec.pool.clone(),
        address,
        holder: own.map(holder),
        created: claim.metadata.creation_timestamp.clone(),
        problem,
    }
}

fn of_address(member: String, ip: &Found<StaticIPSpec>, unreadable: bool) -> MemberStatus {
    let problem = if unreadable {
        problem("ClaimUnreadable", "its StaticIPClaim could not be read")
    } else {
        problem(
            reason::CLAIM_NOT_FOUND,
            "the address is reserved for the member, but its StaticIPClaim does not exist",
        )
    };
    MemberStatus {
        member,
        claim: ClaimState::Absent,
        pool: ip.spec.pool.clone(),
        address: Some(ip.metadata.name.clone()),
        holder: Some(holder(ip)),
        created: ip.metadata.creation_timestamp.clone(),
        problem,
    }
}

fn holder(ip: &Found<StaticIPSpec>) -> Holder {
    let spec = &ip.spec;
    let attachment = spec.attachment.as_ref();
    let eni = attachment.and_then(|now| now.eni.clone()).or_else(|| spec.reserved_on.clone());
    Holder {
        epoch: spec.epoch,
        state: attachment.map(|now| now.state),
        node: attachment.map(|now| now.node_name.clone()),
        eni,
        pod_uid: attachment.map(|now| now.pod_uid.clone()),
        subnet: spec.subnet.clone(),
        zone: spec.zone.clone(),
        pending_mutations: spec.pending_mutations.len(),
    }
}

/// The problem of a bound address: from its StaticIP, then from the report of its agent.
fn of_holder(
    ip: &Found<StaticIPSpec>,
    member: &str,
    reports: &[NodeAttachments],
) -> Option<Problem> {
    let spec = &ip.spec;
    let state = spec.attachment.as_ref().map(|now| now.state);
    match state {
        Some(AttachmentState::Attaching) => {
            return problem("Attaching", "an attach is in progress or was interrupted");
        }
        Some(AttachmentState::Releasing) => {
            return problem("Releasing", "the address is being released from EC2");
        }
        None
        | Some(AttachmentState::Attached | AttachmentState::Parked | AttachmentState::Released) => {
        }
    }
    if !spec.pending_mutations.is_empty() {
        let words = format!("{} EC2 calls may be in flight", spec.pending_mutations.len());
        return problem("CallInFlight", words);
    }
    reported(ip, member, reports).or_else(|| condition(ip))
}

/// The problem that the agent of the recorded node reports for the recorded attachment.
fn reported(
    ip: &Found<StaticIPSpec>,
    member: &str,
    reports: &[NodeAttachments],
) -> Option<Problem> {
    let attachment = ip.spec.attachment.as_ref()?;
    let report = reports.iter().find(|one| one.metadata.name == attachment.node_name)?;
    let same = |one: &&AddressStatus| {
        one.address == ip.metadata.name && one.member == member && one.epoch == ip.spec.epoch
    };
    report.status.addresses.iter().find(same)?.problem.clone()
}

/// The problem of a `Ready` condition that is false.
fn condition(ip: &Found<StaticIPSpec>) -> Option<Problem> {
    is_false(ip.status.as_ref()?, "Ready")
}

/// A volume of the member's pod is not ready: no container of the pod starts until then.
fn volume(claim: &Found<StaticIPClaimSpec>) -> Option<Problem> {
    is_false(claim.status.as_ref()?, VOLUME_READY)
}

/// Why the claim cannot get an address, if known.
fn missing(claim: &Found<StaticIPClaimSpec>) -> Option<Problem> {
    let why = is_false(claim.status.as_ref()?, condition::BOUND)?;
    (why.reason != reason::AWAITING_FIRST_START).then_some(why)
}

fn is_false(status: &Reported, kind: &str) -> Option<Problem> {
    let wrong = status.conditions.iter().find(|one| one.kind == kind && one.status == "False")?;
    problem(&wrong.reason, &wrong.message)
}

#[expect(clippy::needless_pass_by_value, reason = "callers pass both owned and borrowed texts")]
fn problem(reason: &str, message: impl ToString) -> Option<Problem> {
    Some(Problem { reason: reason.to_owned(), message: message.to_string() })
}
