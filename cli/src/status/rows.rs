//! Claims, addresses and what the agents report, joined into one row for each member. Pure.

use std::collections::BTreeMap;

use firecamp_core::contract::cluster::{condition, reason};
use firecamp_registry::api::{
    AddressStatus, AttachmentState, NodeAttachments, Problem, StaticIPClaimSpec, StaticIPSpec,
    VOLUME_READY,
};
use serde::Serialize;

use crate::look::book::{Found, Listing, Reported};
use crate::look::outcome::Unread;

/// What was read.
#[derive(Debug, Clone)]
pub struct Seen {
    /// All claims.
    pub claims: Listing<Found<StaticIPClaimSpec>>,
    /// All addresses.
    pub addresses: Listing<Found<StaticIPSpec>>,
    /// What the agents have published.
    pub reports: Vec<NodeAttachments>,
    /// What else could not be read.
    pub unread: Vec<Unread>,
}

/// What `firecamp status -o json` prints. Stable: fields are added and never change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// Which registry was read.
    pub registry: String,
    /// One entry for each member, in the order of their names.
    pub members: Vec<MemberStatus>,
    /// What is there and could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// NAMESPACE/NAME.
    pub member: String,
    /// How its claim stands.
    pub claim: ClaimState,
    /// The pool.
    pub pool: String,
    /// The address, once the claim names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Who holds the address, or held it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// When the claim was created; without a claim, the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The first thing that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// How a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ClaimState {
    /// It names an address that names it.
    Bound,
    /// It has no address that is its own.
    Unbound,
    /// There is none, though there is an address for this member.
    Absent,
}

impl ClaimState {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bound => condition::BOUND,
            Self::Unbound => "Unbound",
            Self::Absent => "Absent",
        }
    }
}

/// What the address's object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its epoch.
    pub epoch: u64,
    /// Where the attachment stands; none before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<AttachmentState>,
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The ENI; while the address is on none, the one that EC2 last had it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// The UID of the pod.
    #[serde(rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Its subnet.
    pub subnet: String,
    /// Its zone.
    pub zone: String,
    /// EC2 calls that may be in flight.
    pub unsettled: usize,
}

impl MemberStatus {
    /// The namespace of the member.
    pub fn namespace(&self) -> &str {
        self.member.split_once('/').map_or("", |(namespace, _name)| namespace)
    }
}

/// One row for each member that has a claim or an address.
pub fn report(seen: &Seen, registry: String) -> StatusReport {
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

/// A claim that is there and cannot be read is no claim that is missing.
fn unreadable(unread: &[Unread], member: &str) -> bool {
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
            let why = volume(claim).or_else(|| lacking(claim));
            why.or_else(|| problem("ClaimUnbound", "no address was chosen yet"))
        }
        (Some(ip), None, _) => {
            problem(reason::ADDRESS_MISSING, format!("there is no StaticIP {ip}"))
        }
        (Some(ip), Some(named), None) => {
            let owner = &named.spec.claim_ref;
            let words = format!("StaticIP {ip} belongs to {}/{}", owner.namespace, owner.name);
            problem(reason::ADDRESS_OF_OTHER, words)
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
        problem("ClaimUnreadable", "its StaticIPClaim cannot be read")
    } else {
        problem("ClaimMissing", "the address is kept, and no StaticIPClaim asks for it")
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
        unsettled: spec.unsettled.len(),
    }
}

/// What is wrong with an address that is bound: what its record says, then what its agent says.
fn of_holder(
    ip: &Found<StaticIPSpec>,
    member: &str,
    reports: &[NodeAttachments],
) -> Option<Problem> {
    let spec = &ip.spec;
    let state = spec.attachment.as_ref().map(|now| now.state);
    match state {
        Some(AttachmentState::Attaching) => {
            return problem("Attaching", "an attach is under way, or was cut off");
        }
        Some(AttachmentState::Releasing) => {
            return problem("Releasing", "the address is on its way out of EC2");
        }
        None
        | Some(AttachmentState::Attached | AttachmentState::Parked | AttachmentState::Released) => {
        }
    }
    if !spec.unsettled.is_empty() {
        let words = format!("{} EC2 calls may be in flight", spec.unsettled.len());
        return problem("CallInFlight", words);
    }
    reported(ip, member, reports).or_else(|| condition(ip))
}

/// What the agent of the recorded node says about the attachment that is on record.
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

/// A condition `Ready` that is false.
fn condition(ip: &Found<StaticIPSpec>) -> Option<Problem> {
    is_false(ip.status.as_ref()?, "Ready")
}

/// The member's pod lacks a volume: before it has all of them no container of it starts.
fn volume(claim: &Found<StaticIPClaimSpec>) -> Option<Problem> {
    is_false(claim.status.as_ref()?, VOLUME_READY)
}

/// Why the claim can be given no address, where that is known.
fn lacking(claim: &Found<StaticIPClaimSpec>) -> Option<Problem> {
    let why = is_false(claim.status.as_ref()?, condition::BOUND)?;
    (why.reason != reason::AWAITING_FIRST_START).then_some(why)
}

fn is_false(said: &Reported, kind: &str) -> Option<Problem> {
    let wrong = said.conditions.iter().find(|one| one.kind == kind && one.status == "False")?;
    problem(&wrong.reason, &wrong.message)
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over texts of all kinds")]
fn problem(reason: &str, message: impl ToString) -> Option<Problem> {
    Some(Problem { reason: reason.to_owned(), message: message.to_string() })
}
