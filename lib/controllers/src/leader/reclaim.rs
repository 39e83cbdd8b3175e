//! Reclaims addresses whose claim is gone.
//!
//! With `reclaimPolicy: Retain` the address stays, and its status reports that. With `Delete` the
//! core's release unassigns it. The leader deletes the StaticIP only once its record is released
//! and has not changed for far longer than any call may take. Until then no other member can get
//! the address, because the StaticIP is the allocation.
//!
//! A finalizer keeps a deleted StaticIP for as long, because its address would otherwise be
//! allocated again while a pod still has it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::contract::cluster::{FINALIZER, condition, reason};
use firecamp_core::ids::Member;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::{AddressPhase, Condition, ReclaimPolicy};

use crate::leader::persistent_findings::Findings;
use crate::leader::planner::{Operation, UnassignReason};
use crate::leader::round_robin::RoundRobin;
use crate::leader::seen_conditions::{ConditionChange, ConditionKind};
use crate::leader::timing;
use crate::leader::view::{ObservedClaim, ObservedStaticIp, View};

/// The maximum number of addresses unassigned or deleted in one pass.
const REMOVALS_PER_PASS: usize = 50;
/// The maximum number of status updates in one pass.
const STATUS_UPDATES_PER_PASS: usize = 200;

#[derive(Debug, Clone, Default)]
pub(crate) struct Orphans {
    findings: Findings<Ipv4Addr, StaticIp>,
    ends: RoundRobin<Ipv4Addr>,
    reports: RoundRobin<Ipv4Addr>,
}

/// Whether no claim refers to the address of this member: the claim does not exist, or it is bound
/// to another address. A claim without an address may still be bound to this one.
pub fn is_orphan(address: Ipv4Addr, claim: Option<&ObservedClaim>) -> bool {
    claim.is_none_or(|observed| observed.claim.address.is_some_and(|other| other != address))
}

/// Like [`is_orphan`]; none if the claim could not be read.
pub(crate) fn orphan(view: &View, address: Ipv4Addr, member: &Member) -> Option<bool> {
    match view.claims.get(member) {
        None => Some(is_orphan(address, None)),
        Some(Some(observed)) => Some(is_orphan(address, Some(observed))),
        Some(None) => None,
    }
}

fn policy(view: &View, observed: &ObservedStaticIp) -> ReclaimPolicy {
    view.pool(&observed.record.pool).map(|pool| pool.reclaim).unwrap_or_default()
}

/// What an orphan's record permits next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextStep {
    /// Nothing yet: its pod is alive, or its release is not finished.
    Wait,
    /// Unassign it in EC2.
    Unassign,
    /// Delete its StaticIP.
    Delete,
}

fn next_step(observed: &ObservedStaticIp) -> NextStep {
    let record = &observed.record;
    let Some(attachment) = &record.attachment else {
        // Never acquired, so no call was ever sent for it. An ENI that has it in EC2 keeps it, and
        // meanwhile the address is not allocated.
        let untouched = record.pending_mutations.is_empty();
        return if untouched { NextStep::Delete } else { NextStep::Wait };
    };
    match attachment.state {
        State::Attaching | State::Attached => NextStep::Wait,
        State::Parked | State::Releasing => NextStep::Unassign,
        State::Released => NextStep::Delete,
    }
}

impl Orphans {
    pub(crate) fn plan(&mut self, view: &View, now: Moment) -> Vec<Operation> {
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        let (mut ends, mut reports) = (BTreeMap::new(), BTreeMap::new());
        let (deleted, others): (Vec<_>, Vec<_>) =
            view.readable().partition(|(_, observed)| observed.id.deleting);
        found
            .extend(deleted.iter().map(|(address, observed)| (**address, observed.record.clone())));
        for (address, observed) in others {
            match orphan(view, *address, &observed.record.member) {
                None => drop(unknown.insert(*address)),
                Some(false) => {
                    reports.extend(bound_again(*address, observed).map(|it| (address, it)));
                }
                Some(true) => drop(found.insert(*address, observed.record.clone())),
            }
        }
        unknown.extend(view.addresses.iter().filter(|(_, it)| it.is_none()).map(|(at, _)| *at));
        self.findings.pass(found, &unknown, now);
        for (address, _) in self.findings.due(now, |_, _| timing::ADDRESS_GRACE) {
            let Some(Some(observed)) = view.addresses.get(address) else { continue };
            let operation = if observed.id.deleting {
                finish_deletion(*address, observed)
            } else {
                due(*address, observed, policy(view, observed))
            };
            let kind = if matches!(operation, Some(Operation::UpdateStaticIpStatus { .. })) {
                &mut reports
            } else {
                &mut ends
            };
            kind.extend(operation.map(|operation| (address, operation)));
        }
        let mut operations = batch(&mut self.ends, ends, REMOVALS_PER_PASS);
        operations.append(&mut batch(&mut self.reports, reports, STATUS_UPDATES_PER_PASS));
        operations
    }
}

/// The operations of this pass.
fn batch(
    round_robin: &mut RoundRobin<Ipv4Addr>,
    mut operations: BTreeMap<&Ipv4Addr, Operation>,
    at_once: usize,
) -> Vec<Operation> {
    let keys = round_robin.take(operations.keys().copied().collect(), at_once);
    keys.into_iter().filter_map(|address| operations.remove(address)).collect()
}

fn due(address: Ipv4Addr, observed: &ObservedStaticIp, policy: ReclaimPolicy) -> Option<Operation> {
    match (policy, next_step(observed)) {
        (ReclaimPolicy::Delete, NextStep::Unassign) => {
            let (epoch, why) = (observed.record.epoch, UnassignReason::NoClaim);
            Some(Operation::Unassign { address, epoch, why })
        }
        (ReclaimPolicy::Delete, NextStep::Delete) => {
            Some(Operation::DeleteStaticIp { address, id: observed.id.clone() })
        }
        (ReclaimPolicy::Delete, NextStep::Wait) | (ReclaimPolicy::Retain, _) => {
            orphaned(address, observed, policy)
        }
    }
}

/// A deleted StaticIP without FireCamp's finalizer needs nothing.
fn finish_deletion(address: Ipv4Addr, observed: &ObservedStaticIp) -> Option<Operation> {
    let (ours, rest): (Vec<_>, Vec<_>) =
        observed.finalizers.iter().cloned().partition(|it| it == FINALIZER);
    if ours.is_empty() {
        return None;
    }
    match next_step(observed) {
        NextStep::Wait => in_use(address, observed),
        NextStep::Unassign => {
            let (epoch, why) = (observed.record.epoch, UnassignReason::Deleted);
            Some(Operation::Unassign { address, epoch, why })
        }
        NextStep::Delete => {
            Some(Operation::RemoveFinalizer { address, id: observed.id.clone(), rest })
        }
    }
}

fn in_use(address: Ipv4Addr, observed: &ObservedStaticIp) -> Option<Operation> {
    let member = &observed.record.member;
    let condition = Condition {
        kind: condition::DELETABLE.to_owned(),
        status: "False".to_owned(),
        reason: reason::IN_USE.to_owned(),
        message: format!(
            "the pod of {member} uses the address: the StaticIP is deleted, and the address can be \
             allocated again, once that pod is gone for good"
        ),
        last_transition_time: None,
        observed_generation: Some(observed.generation),
    };
    update_status(address, observed, observed.phase, ConditionChange::Set(condition))
}

/// The status of an orphaned address, with the actions that a user can take.
fn orphaned(
    address: Ipv4Addr,
    observed: &ObservedStaticIp,
    policy: ReclaimPolicy,
) -> Option<Operation> {
    let member = &observed.record.member;
    let next = match (next_step(observed), policy) {
        (NextStep::Wait, _) => {
            "its pod holds it; once the pod is gone, the pool's reclaimPolicy applies".to_owned()
        }
        (NextStep::Unassign | NextStep::Delete, _) if member.is_orphaned() => {
            "to make it available, delete this StaticIP or set the pool's reclaimPolicy to Delete"
                .to_owned()
        }
        (NextStep::Unassign | NextStep::Delete, _) => format!(
            "to give it back to the member, create the claim with spec.address {address}; to make \
             it available, delete this StaticIP or set the pool's reclaimPolicy to Delete"
        ),
    };
    let condition = Condition {
        kind: condition::CLAIMED.to_owned(),
        status: "False".to_owned(),
        reason: reason::CLAIM_NOT_FOUND.to_owned(),
        message: if member.is_orphaned() {
            format!(
                "adopted from EC2 by the pool's orphanPolicy, because no claim named it: {next}"
            )
        } else {
            format!("no claim of {member} names it any more: {next}")
        },
        last_transition_time: None,
        observed_generation: Some(observed.generation),
    };
    let change = ConditionChange::Set(condition);
    update_status(address, observed, Some(AddressPhase::Released), change)
}

/// A claim names it again: clears the status of an orphaned address.
fn bound_again(address: Ipv4Addr, observed: &ObservedStaticIp) -> Option<Operation> {
    observed.phase?;
    update_status(address, observed, None, ConditionChange::Remove(ConditionKind::Claimed))
}

fn update_status(
    address: Ipv4Addr,
    observed: &ObservedStaticIp,
    phase: Option<AddressPhase>,
    change: ConditionChange,
) -> Option<Operation> {
    let same = observed.phase == phase && observed.conditions.unchanged_by(&change);
    let id = observed.id.clone();
    (!same).then_some(Operation::UpdateStaticIpStatus { address, id, phase, change })
}
