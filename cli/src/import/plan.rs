//! What an import has to do: a pure function of what was read. Nothing of the original is changed,
//! and nothing is sent to EC2: an address stays where it is.
//!
//! A member's address becomes its claim, and a StaticIP that is parked where the original had it
//! last: what the first init container finds there is what a release would have left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::allocate::hands_out;
use firecamp_core::contract::exit::Imported;
use firecamp_core::ids::{Epoch, InstanceId, Member, NodeName, PodUid, RunId};
use firecamp_core::record::{Attachment, Claim, Pool, PoolSubnet, State, StaticIp};
use firecamp_registry::api::ReclaimPolicy;

use super::old::{OldAddress, OldMember, OldRecords};
use super::refusal::Refusal;

/// Whether a member's pod may be moving its address now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodLook {
    /// There is none, or its containers run.
    Settled,
    /// Its init containers have not ended.
    Starting,
    /// It could not be asked.
    NotKnown(String),
}

/// A pool, and what becomes of what nobody claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPool {
    /// The pool.
    pub pool: Pool,
    /// What becomes of its addresses that nobody claims.
    pub reclaim: ReclaimPolicy,
}

/// What there is already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// All pools.
    pub pools: Vec<KnownPool>,
    /// All StaticIPs.
    pub addresses: BTreeMap<Ipv4Addr, StaticIp>,
    /// All claims.
    pub claims: BTreeMap<Member, Claim>,
    /// The nodes of the cluster by their instances.
    pub nodes: BTreeMap<InstanceId, NodeName>,
    /// The pods of the original's members.
    pub pods: BTreeMap<Member, PodLook>,
    /// As whom it is written.
    pub run: RunId,
}

/// What becomes of a member's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimStep {
    /// It is created.
    Create(Claim),
    /// It is there without an address, and gets this.
    Bind(Claim),
}

/// What becomes of an address's StaticIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressStep {
    /// As it is, if it is there: the original has moved the address since it was imported.
    pub before: Option<StaticIp>,
    /// As it is to be.
    pub after: StaticIp,
}

/// One address, and what it lacks. The claim comes first: an address without a claim may be
/// reclaimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the original says of it.
    pub old: OldAddress,
    /// Whose it becomes; nobody's by the member that stands for nobody.
    pub member: Member,
    /// The node whose ENI has it, if the cluster has that.
    pub node: Option<NodeName>,
    /// What becomes of its claim.
    pub claim: Option<ClaimStep>,
    /// What becomes of its StaticIP.
    pub address: Option<AddressStep>,
}

/// A record of the original that is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The member or the ConfigMap.
    pub what: String,
    /// The address, if one can be read.
    pub address: Option<Ipv4Addr>,
    /// Why.
    pub why: Refusal,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What is imported, in the order of members, and what nobody names after that.
    pub steps: Vec<Step>,
    /// Whose address is there already, and nothing is to be done.
    pub present: Vec<(Member, Ipv4Addr)>,
    /// What is left alone.
    pub refused: Vec<Refused>,
    /// So many members need no address.
    pub without: usize,
}

impl Plan {
    /// How the import ends, if all of its writes succeed.
    pub fn end(&self) -> Imported {
        if self.refused.iter().any(|one| !one.why.is_unknown()) {
            Imported::Refused
        } else if self.refused.is_empty() {
            Imported::All
        } else {
            Imported::NotKnown
        }
    }

    fn add(&mut self, what: String, address: Ipv4Addr, found: Result<Step, Refusal>) {
        match found {
            Ok(step) if step.claim.is_none() && step.address.is_none() => {
                self.present.push((step.member, address));
            }
            Ok(step) => self.steps.push(step),
            Err(why) => self.refused.push(Refused { what, address: Some(address), why }),
        }
    }
}

/// What there is to do.
pub fn plan(old: &OldRecords, known: &Known) -> Plan {
    let mut plan = Plan::default();
    let mut members: Vec<&OldMember> = old.members.iter().collect();
    members.sort_by(|a, b| a.member.cmp(&b.member));
    for one in &members {
        let Some(address) = one.address else {
            plan.without += 1;
            continue;
        };
        let found = of_member(one, address, &members, old, known);
        plan.add(one.member.to_string(), address, found);
    }
    let named = |address: &Ipv4Addr| members.iter().any(|one| one.address == Some(*address));
    for (address, record) in old.addresses.iter().filter(|(address, _)| !named(address)) {
        let found = of_nobody(record, old, known);
        plan.add("no member".to_owned(), *address, found);
    }
    plan.refused.extend(old.unreadable.iter().map(|one| Refused {
        what: one.name.clone(),
        address: None,
        why: Refusal::RecordUnreadable(one.why.clone()),
    }));
    plan
}

fn of_member(
    one: &OldMember,
    address: Ipv4Addr,
    all: &[&OldMember],
    old: &OldRecords,
    known: &Known,
) -> Result<Step, Refusal> {
    let mut others = all.iter().filter(|other| !std::ptr::eq(**other, one));
    if others.clone().any(|other| other.member == one.member) {
        return Err(Refusal::MemberTwice);
    }
    if let Some(other) = others.find(|other| other.address == Some(address)) {
        return Err(Refusal::NamedTwice(other.member.clone()));
    }
    let record = old.addresses.get(&address).ok_or(Refusal::AddressRecordMissing)?;
    if record.service != one.service {
        return Err(Refusal::ServiceDiffers);
    }
    if record.zone != one.zone {
        return Err(Refusal::ZoneDiffers(one.zone.clone(), record.zone.clone()));
    }
    let (pool, entry) = place(record, known)?;
    unrivalled(&one.member, address, known)?;
    let wanted = wanted(one.member.clone(), record, (&pool.pool, entry), known);
    let step = Step {
        old: record.clone(),
        member: one.member.clone(),
        node: known.nodes.get(&record.instance).cloned(),
        claim: claim_step(&wanted, known)?,
        address: address_step(wanted, known)?,
    };
    if step.claim.is_none() && step.address.is_none() {
        return Ok(step);
    }
    match known.pods.get(&one.member) {
        Some(PodLook::Starting) => Err(Refusal::PodStarting),
        Some(PodLook::NotKnown(why)) => Err(Refusal::PodNotKnown(why.clone())),
        Some(PodLook::Settled) => Ok(step),
        None => Err(Refusal::PodNotKnown("it was not".to_owned())),
    }
}

/// An address that no member names: recorded as adoption records one, and never released.
fn of_nobody(record: &OldAddress, old: &OldRecords, known: &Known) -> Result<Step, Refusal> {
    let address = record.address;
    if old.lacks_a_member() {
        return Err(Refusal::MayBeNamed);
    }
    let (pool, entry) = place(record, known)?;
    let nobody = Member::nobody(address);
    unrivalled(&nobody, address, known)?;
    let there = known.addresses.get(&address);
    if there.is_none() && pool.reclaim == ReclaimPolicy::Delete {
        return Err(Refusal::PoolReclaims(pool.pool.name.clone()));
    }
    let wanted = wanted(nobody.clone(), record, (&pool.pool, entry), known);
    Ok(Step {
        old: record.clone(),
        member: nobody,
        node: known.nodes.get(&record.instance).cloned(),
        claim: None,
        address: address_step(wanted, known)?,
    })
}

/// The one range that has the address, if it is of the record's zone.
fn place<'a>(
    record: &OldAddress,
    known: &'a Known,
) -> Result<(&'a KnownPool, &'a PoolSubnet), Refusal> {
    let of = |one: &'a KnownPool| one.pool.subnets.iter().map(move |entry| (one, entry));
    let entries = known.pools.iter().flat_map(of);
    let mut having = entries.filter(|(_, entry)| hands_out(entry, record.address));
    let (pool, entry) = having.next().ok_or(Refusal::OutsidePools)?;
    if let Some((other, _)) = having.next() {
        let names = (pool.pool.name.clone(), other.pool.name.clone());
        return Err(Refusal::PoolsOverlap(names.0, names.1));
    }
    if entry.zone != record.zone {
        return Err(Refusal::ZoneDiffers(record.zone.clone(), entry.zone.clone()));
    }
    Ok((pool, entry))
}

/// Whether no claim of anybody else names the address or asks for it.
fn unrivalled(member: &Member, address: Ipv4Addr, known: &Known) -> Result<(), Refusal> {
    let of = |claim: &&Claim| [claim.address, claim.requested].contains(&Some(address));
    match known.claims.values().filter(of).find(|claim| claim.member != *member) {
        Some(other) => Err(Refusal::ClaimedByOther(other.member.clone())),
        None => Ok(()),
    }
}

/// The record of an address that rests where the original had it last. On a machine that is no
/// node of the cluster it is only reserved: its ENI may be overridden, and nothing is settled.
fn wanted(
    member: Member,
    old: &OldAddress,
    (pool, entry): (&Pool, &PoolSubnet),
    known: &Known,
) -> StaticIp {
    let attachment = known.nodes.get(&old.instance).map(|node| Attachment {
        state: State::Parked,
        pod: PodUid::nobody(),
        node: node.clone(),
        eni: Some(old.eni.clone()),
        run: known.run.clone(),
        served: false,
    });
    StaticIp {
        address: old.address,
        pool: pool.name.clone(),
        subnet: entry.subnet.clone(),
        cidr: entry.cidr,
        zone: entry.zone.clone(),
        member,
        // An attachment has an epoch of its own, so the first one has 1.
        epoch: Epoch(u64::from(attachment.is_some())),
        attachment,
        reserved_on: Some(old.eni.clone()),
        unsettled: BTreeSet::new(),
    }
}

fn claim_step(wanted: &StaticIp, known: &Known) -> Result<Option<ClaimStep>, Refusal> {
    let claim = Claim {
        member: wanted.member.clone(),
        pool: wanted.pool.clone(),
        // What is asked for is never replaced by another address.
        requested: Some(wanted.address),
        address: Some(wanted.address),
        set: None,
    };
    let Some(there) = known.claims.get(&wanted.member) else {
        return Ok(Some(ClaimStep::Create(claim)));
    };
    if there.pool != wanted.pool {
        return Err(Refusal::PoolDiffers(there.pool.clone()));
    }
    match (there.address, there.requested) {
        (Some(own), _) if own != wanted.address => Err(Refusal::ClaimHasOther(own)),
        (Some(_own), _) => Ok(None),
        (None, Some(asked)) if asked != wanted.address => Err(Refusal::ClaimWantsOther(asked)),
        (None, _) => {
            Ok(Some(ClaimStep::Bind(Claim { address: Some(wanted.address), ..there.clone() })))
        }
    }
}

fn address_step(wanted: StaticIp, known: &Known) -> Result<Option<AddressStep>, Refusal> {
    let Some(there) = known.addresses.get(&wanted.address) else {
        return Ok(Some(AddressStep { before: None, after: wanted }));
    };
    if there.member != wanted.member {
        return Err(Refusal::AddressOfOther(there.member.clone()));
    }
    if there.pool != wanted.pool {
        return Err(Refusal::PoolDiffers(there.pool.clone()));
    }
    let after = StaticIp { epoch: there.epoch.max(wanted.epoch), ..wanted };
    if !is_imported(there, &known.run) || is_at(there, &after) {
        return Ok(None);
    }
    Ok(Some(AddressStep { before: Some(there.clone()), after }))
}

/// Whether an import has written it and nobody has since. What init has taken knows better.
fn is_imported(there: &StaticIp, run: &RunId) -> bool {
    let of_import = |at: &Attachment| at.pod == PodUid::nobody() && at.run == *run;
    there.reserved_on.is_some()
        && there.unsettled.is_empty()
        && there.attachment.as_ref().is_none_or(of_import)
}

fn is_at(there: &StaticIp, after: &StaticIp) -> bool {
    there.attachment == after.attachment && there.reserved_on == after.reserved_on
}
