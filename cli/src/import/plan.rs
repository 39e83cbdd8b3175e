//! The plan of an import: a pure function of what was read. The import neither changes the
//! original's records nor sends anything to EC2: addresses stay where they are.
//!
//! A member's address becomes a claim and a StaticIP that is parked where the original had it last.
//! This is the state that a release would have left for the first init container.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::allocate::hands_out;
use firecamp_core::contract::exit::Imported;
use firecamp_core::ids::{Epoch, InstanceId, Member, NodeName, PodUid, RunId};
use firecamp_core::record::{Attachment, Claim, Pool, PoolSubnet, State, StaticIp};
use firecamp_registry::api::ReclaimPolicy;

use super::parse_original::{OldAddress, OldMember, OldRecords};
use super::refusal::Refusal;

/// Whether a member's pod may be moving its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodPhase {
    /// The pod does not exist, or its containers run.
    Settled,
    /// Its init containers have not completed.
    Starting,
    /// The pod could not be read.
    Unknown(String),
}

/// A pool with its reclaim policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPool {
    /// The pool.
    pub pool: Pool,
    /// What happens to addresses without a claim.
    pub reclaim: ReclaimPolicy,
}

/// The existing objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// All pools.
    pub pools: Vec<KnownPool>,
    /// All StaticIPs.
    pub addresses: BTreeMap<Ipv4Addr, StaticIp>,
    /// All claims.
    pub claims: BTreeMap<Member, Claim>,
    /// The nodes of the cluster by instance ID.
    pub nodes: BTreeMap<InstanceId, NodeName>,
    /// The pods of the original's members.
    pub pods: BTreeMap<Member, PodPhase>,
    /// The run ID of the writes.
    pub run: RunId,
}

/// The change to a member's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimStep {
    /// Create the claim.
    Create(Claim),
    /// Add the address to the existing claim.
    Bind(Claim),
}

/// The change to an address's StaticIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressStep {
    /// The current StaticIP, if it exists: the original has moved the address since its import.
    pub before: Option<StaticIp>,
    /// The new StaticIP.
    pub after: StaticIp,
}

/// One address and its missing objects. The claim comes first: an address without a claim may be
/// reclaimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The original's record.
    pub old: OldAddress,
    /// Its member; for an orphaned address a placeholder.
    pub member: Member,
    /// The node whose ENI has it, if it is in the cluster.
    pub node: Option<NodeName>,
    /// The change to its claim.
    pub claim: Option<ClaimStep>,
    /// The change to its StaticIP.
    pub address: Option<AddressStep>,
}

/// A record of the original that is not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The member or the ConfigMap.
    pub what: String,
    /// The address, if it can be parsed.
    pub address: Option<Ipv4Addr>,
    /// Why.
    pub why: Refusal,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What to import, ordered by member, followed by orphaned addresses.
    pub steps: Vec<Step>,
    /// Members whose objects exist.
    pub present: Vec<(Member, Ipv4Addr)>,
    /// Records that are not imported.
    pub refused: Vec<Refused>,
    /// The number of members that need no address.
    pub without: usize,
}

impl Plan {
    /// The exit of the import if all writes succeed.
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

/// Plans the import.
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
        let found = of_orphan(record, old, known);
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
        return Err(Refusal::MemberDuplicated);
    }
    if let Some(other) = others.find(|other| other.address == Some(address)) {
        return Err(Refusal::AddressDuplicated(other.member.clone()));
    }
    let record = old.addresses.get(&address).ok_or(Refusal::AddressRecordMissing)?;
    if record.service != one.service {
        return Err(Refusal::ServiceMismatch);
    }
    if record.zone != one.zone {
        return Err(Refusal::ZoneMismatch(one.zone.clone(), record.zone.clone()));
    }
    let (pool, entry) = place(record, known)?;
    check_other_claims(&one.member, address, known)?;
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
        Some(PodPhase::Starting) => Err(Refusal::PodStarting),
        Some(PodPhase::Unknown(why)) => Err(Refusal::PodNotKnown(why.clone())),
        Some(PodPhase::Settled) => Ok(step),
        None => Err(Refusal::PodNotKnown("the pod was not read".to_owned())),
    }
}

/// An address that no member names: recorded as orphaned, like by adoption, and never released.
fn of_orphan(record: &OldAddress, old: &OldRecords, known: &Known) -> Result<Step, Refusal> {
    let address = record.address;
    if old.has_unreadable_member() {
        return Err(Refusal::PossiblyInUse);
    }
    let (pool, entry) = place(record, known)?;
    let nobody = Member::orphaned(address);
    check_other_claims(&nobody, address, known)?;
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

/// The only pool and range that contain the address, if the zone matches the record.
fn place<'a>(
    record: &OldAddress,
    known: &'a Known,
) -> Result<(&'a KnownPool, &'a PoolSubnet), Refusal> {
    let of = |one: &'a KnownPool| one.pool.subnets.iter().map(move |entry| (one, entry));
    let entries = known.pools.iter().flat_map(of);
    let mut having = entries.filter(|(_, entry)| hands_out(entry, record.address));
    let (pool, entry) = having.next().ok_or(Refusal::NotInAnyPool)?;
    if let Some((other, _)) = having.next() {
        let names = (pool.pool.name.clone(), other.pool.name.clone());
        return Err(Refusal::PoolsOverlap(names.0, names.1));
    }
    if entry.zone != record.zone {
        return Err(Refusal::ZoneMismatch(record.zone.clone(), entry.zone.clone()));
    }
    Ok((pool, entry))
}

/// Checks that no claim of another member names or requests the address.
fn check_other_claims(member: &Member, address: Ipv4Addr, known: &Known) -> Result<(), Refusal> {
    let of = |claim: &&Claim| [claim.address, claim.requested].contains(&Some(address));
    match known.claims.values().filter(of).find(|claim| claim.member != *member) {
        Some(other) => Err(Refusal::ClaimedByAnotherMember(other.member.clone())),
        None => Ok(()),
    }
}

/// The record of an address that is parked where the original had it last. On a machine that is not
/// a node of the cluster, the address is only reserved: an attach to any other ENI is allowed.
fn wanted(
    member: Member,
    old: &OldAddress,
    (pool, entry): (&Pool, &PoolSubnet),
    known: &Known,
) -> StaticIp {
    let attachment = known.nodes.get(&old.instance).map(|node| Attachment {
        state: State::Parked,
        pod: PodUid::orphaned(),
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
        // The first attachment has epoch 1.
        epoch: Epoch(u64::from(attachment.is_some())),
        attachment,
        reserved_on: Some(old.eni.clone()),
        pending_mutations: BTreeSet::new(),
    }
}

fn claim_step(wanted: &StaticIp, known: &Known) -> Result<Option<ClaimStep>, Refusal> {
    let claim = Claim {
        member: wanted.member.clone(),
        pool: wanted.pool.clone(),
        // A requested address is never replaced by another one.
        requested: Some(wanted.address),
        address: Some(wanted.address),
        set: None,
    };
    let Some(there) = known.claims.get(&wanted.member) else {
        return Ok(Some(ClaimStep::Create(claim)));
    };
    if there.pool != wanted.pool {
        return Err(Refusal::PoolMismatch(there.pool.clone()));
    }
    match (there.address, there.requested) {
        (Some(own), _) if own != wanted.address => Err(Refusal::ClaimHasAnotherAddress(own)),
        (Some(_own), _) => Ok(None),
        (None, Some(asked)) if asked != wanted.address => {
            Err(Refusal::ClaimRequestsAnotherAddress(asked))
        }
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
        return Err(Refusal::AddressOfAnotherMember(there.member.clone()));
    }
    if there.pool != wanted.pool {
        return Err(Refusal::PoolMismatch(there.pool.clone()));
    }
    let after = StaticIp { epoch: there.epoch.max(wanted.epoch), ..wanted };
    if !is_imported(there, &known.run) || is_at(there, &after) {
        return Ok(None);
    }
    Ok(Some(AddressStep { before: Some(there.clone()), after }))
}

/// Whether the StaticIP is unchanged since an import wrote it. If an init container has acquired
/// the address since, its record is more recent than that of the original.
fn is_imported(there: &StaticIp, run: &RunId) -> bool {
    let of_import = |at: &Attachment| at.pod == PodUid::orphaned() && at.run == *run;
    there.reserved_on.is_some()
        && there.pending_mutations.is_empty()
        && there.attachment.as_ref().is_none_or(of_import)
}

fn is_at(there: &StaticIp, after: &StaticIp) -> bool {
    there.attachment == after.attachment && there.reserved_on == after.reserved_on
}
