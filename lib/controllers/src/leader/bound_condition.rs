//! The condition `Bound` of a claim: whether the claim has its address, and if not, why.
//!
//! It depends only on claims, addresses and pools, not on the member's pod. So a claim is written
//! once, and again only if its address is lost or the reason for a missing address changes; a move
//! or a restart writes nothing.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::allocate::is_assignable;
use firecamp_core::contract::cluster::{condition, reason};
use firecamp_core::ids::{Member, PoolName, Uid};
use firecamp_core::record::{Claim, Pool, StaticIp};
use firecamp_core::time::Moment;

use crate::leader::persistent_findings::Findings;
use crate::leader::planner::Operation;
use crate::leader::pools::{Verdict, hands_out, usage};
use crate::leader::round_robin::RoundRobin;
use crate::leader::seen_conditions::ConditionChange;
use crate::leader::view::{ObservedClaim, View};

/// The maximum number of claims written in one pass.
const STATUS_UPDATES_PER_PASS: usize = 200;

#[derive(Debug, Clone, Default)]
pub(crate) struct Bindings {
    /// Claims without an address: a claim exists moments before its StaticIP.
    missing: Findings<Member, (Uid, &'static str)>,
    round_robin: RoundRobin<Member>,
}

/// A reason and its message.
type Explanation = (&'static str, String);

/// An object that the condition depends on exists and could not be read.
#[derive(Debug, Clone, Copy)]
struct Unread;

impl Bindings {
    /// Updates of the claims whose condition is wrong. A claim that another operation of this pass
    /// changes waits until the next pass.
    pub(crate) fn plan(
        &mut self,
        view: &View,
        others: &[Operation],
        now: Moment,
    ) -> Vec<Operation> {
        let busy: BTreeSet<&Member> = others.iter().filter_map(changed).collect();
        let used = LazyCell::new(|| usage(view));
        let is_full = |pool: &PoolName| used.get(pool).is_some_and(|used| used.free == 0);
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        let (mut updates, mut unconfirmed) = (BTreeSet::new(), BTreeSet::new());
        for (member, observed) in &view.claims {
            let stays = |observed: &&ObservedClaim| !observed.id.deleting && !busy.contains(member);
            let evaluated = observed.as_deref().filter(stays);
            let evaluated = evaluated.map(|observed| (observed, verdict(view, observed, &is_full)));
            let Some((observed, Ok(verdict))) = evaluated else {
                unknown.insert(member.clone());
                continue;
            };
            let (lacks, reason) = (verdict.holds != Some(true), verdict.reason);
            if change(observed, verdict).is_none() {
                continue;
            }
            if lacks {
                found.insert(member.clone(), (observed.id.uid.clone(), reason));
                unconfirmed.insert(member);
            } else {
                updates.insert(member);
            }
        }
        self.missing.pass(found, &unknown, now);
        let due = self.missing.due(now, |_, _| Duration::ZERO);
        updates.extend(due.filter_map(|(member, _)| unconfirmed.take(member)));
        let operation = |member: &Member| reported(view, member, &is_full);
        let turn = self.round_robin.take(updates, STATUS_UPDATES_PER_PASS);
        turn.into_iter().filter_map(operation).collect()
    }
}

/// The update of a claim, built only for the claims of this pass.
fn reported(
    view: &View,
    member: &Member,
    is_full: &impl Fn(&PoolName) -> bool,
) -> Option<Operation> {
    let observed = view.claims.get(member)?.as_deref()?;
    let change = change(observed, verdict(view, observed, is_full).ok()?)?;
    Some(Operation::UpdateClaimStatus { member: member.clone(), id: observed.id.clone(), change })
}

/// The member whose claim the operation changes.
fn changed(operation: &Operation) -> Option<&Member> {
    match operation {
        Operation::RecordOwner { member, .. }
        | Operation::DeleteClaim { member, .. }
        | Operation::ClearVolumeWait { member, .. }
        | Operation::UpdateClaimStatus { member, .. } => Some(member),
        Operation::Release { .. }
        | Operation::Unassign { .. }
        | Operation::DeleteStaticIp { .. }
        | Operation::RemoveFinalizer { .. }
        | Operation::RemoveZoneGate { .. }
        | Operation::ReportZoneConflict { .. }
        | Operation::UpdateStaticIpStatus { .. }
        | Operation::DrainInterface(_)
        | Operation::DetachInterface { .. }
        | Operation::DeleteInterface(_)
        | Operation::UpdatePoolStatus { .. } => None,
    }
}

/// The condition to write, if it differs from the current one.
fn change(observed: &ObservedClaim, verdict: Verdict) -> Option<ConditionChange> {
    let change = ConditionChange::Set(verdict.condition(observed.generation));
    (!observed.conditions.unchanged_by(&change)).then_some(change)
}

/// The condition of a claim.
fn verdict(
    view: &View,
    observed: &ObservedClaim,
    is_full: &impl Fn(&PoolName) -> bool,
) -> Result<Verdict, Unread> {
    let claim = &observed.claim;
    let named = claim.address.map_or(Ok(None), |address| record(view, address))?;
    let kind = condition::BOUND;
    if let Some(own) = named.filter(|record| record.member == claim.member) {
        let StaticIp { address, subnet, zone, .. } = own;
        let message =
            format!("{address} in {subnet} belongs to the member, whose pods run in {zone}");
        return Ok(Verdict { kind, holds: Some(true), reason: reason::BOUND, message });
    }
    let (reason, message) = match view.pools.get(&claim.pool) {
        Some(Some(observed)) => missing(view, claim, (&observed.pool, is_full), named)?,
        Some(None) => return Err(Unread),
        None => (reason::POOL_NOT_FOUND, format!("StaticIPPool {} does not exist", claim.pool)),
    };
    Ok(Verdict { kind, holds: Some(false), reason, message })
}

/// The record of an address, if it has one.
fn record(view: &View, address: Ipv4Addr) -> Result<Option<&StaticIp>, Unread> {
    match view.addresses.get(&address) {
        Some(Some(observed)) => Ok(Some(&observed.record)),
        Some(None) => Err(Unread),
        None => Ok(None),
    }
}

/// Why the claim lacks an address, checked in the order of an init container. `named` is the record
/// of the address that the claim names, which belongs to another member.
fn missing(
    view: &View,
    claim: &Claim,
    (pool, is_full): (&Pool, &impl Fn(&PoolName) -> bool),
    named: Option<&StaticIp>,
) -> Result<Explanation, Unread> {
    if let Some(requested) = claim.requested
        && let Some(why) = rejected(record(view, requested)?, claim, pool, requested)
    {
        return Ok((reason::ADDRESS_UNAVAILABLE, why));
    }
    let name = &pool.name;
    Ok(match (claim.address, named, claim.requested) {
        (Some(_), Some(_), _) | (None, _, None) if is_full(name) => {
            (reason::NO_FREE_ADDRESS, format!("pool {name} has no free address"))
        }
        (Some(address), Some(other), _) => {
            let whose = format!("StaticIP {address} belongs to {}", other.member);
            let text = format!("{whose}; the member gets another address at its next start");
            (reason::ADDRESS_OF_ANOTHER_MEMBER, text)
        }
        (Some(address), None, None) if is_excluded(pool, address) => {
            let text =
                format!("{address} has no StaticIP, and no range of pool {name} contains it");
            (reason::ADDRESS_UNAVAILABLE, text)
        }
        (Some(address), None, _) => {
            let text = format!(
                "StaticIP {address} does not exist; at the member's next start it is created again \
                 or replaced by another address, unless EC2 has it on an ENI of this cluster"
            );
            (reason::STATIC_IP_NOT_FOUND, text)
        }
        (None, _, Some(requested)) => (
            reason::AWAITING_FIRST_START,
            format!("the member gets {requested} at its first start"),
        ),
        (None, _, None) => {
            let text = format!("the member gets an address of pool {name} at its first start");
            (reason::AWAITING_FIRST_START, text)
        }
    })
}

/// Why the member cannot get the requested address.
fn rejected(
    record: Option<&StaticIp>,
    claim: &Claim,
    pool: &Pool,
    requested: Ipv4Addr,
) -> Option<String> {
    match record {
        Some(record) if record.member == claim.member => {
            Some(format!("the member already has {requested}: set spec.address to it, too"))
        }
        Some(record) => {
            Some(format!("the requested address {requested} belongs to {}", record.member))
        }
        None if hands_out(pool, requested) => None,
        None => Some(format!(
            "no range of pool {} contains the requested address {requested}",
            pool.name
        )),
    }
}

/// Whether the address is in a CIDR block of the pool, so that it is tried again, but in no range.
fn is_excluded(pool: &Pool, address: Ipv4Addr) -> bool {
    let mut blocks = pool.subnets.iter().map(|entry| entry.cidr);
    blocks.any(|cidr| is_assignable(cidr, address)) && !hands_out(pool, address)
}
