//! Addresses whose claim is gone.
//!
//! With `reclaimPolicy: Retain` the address stays and its status says so. With `Delete` it leaves
//! EC2 by the core's own release, and its object goes only once the record says that it is out and
//! has not changed for far longer than any call may take: until then nobody else can be given the
//! address, because the object is the allocation.
//!
//! An object that a person deletes stays for as long, by its finalizer: its address would be handed
//! out again while a pod still has it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::contract::cluster::{FINALIZER, condition, reason};
use firecamp_core::ids::Member;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::{AddressPhase, Condition, ReclaimPolicy, StaticIPStatus};

use crate::leader::planner::{Duty, Unneeded};
use crate::leader::pools::{is_told, settled};
use crate::leader::suspects::Suspects;
use crate::leader::timing;
use crate::leader::turns::Turns;
use crate::leader::view::{AddressSeen, ClaimSeen, View};

/// So many are taken out of EC2, or given up, in one pass.
const ENDED_AT_ONCE: usize = 50;
/// So many are reported in one pass.
const TOLD_AT_ONCE: usize = 200;

#[derive(Debug, Clone, Default)]
pub(crate) struct Orphans {
    suspects: Suspects<Ipv4Addr, StaticIp>,
    ends: Turns<Ipv4Addr>,
    tells: Turns<Ipv4Addr>,
}

/// Whether no claim stands behind the address of this member: there is none, or it is bound to
/// another address. A claim that names no address yet may still come to name this one.
pub fn is_orphan(address: Ipv4Addr, claim: Option<&ClaimSeen>) -> bool {
    claim.is_none_or(|seen| seen.claim.address.is_some_and(|other| other != address))
}

/// Whether that is so, if it is known.
pub(crate) fn orphan(view: &View, address: Ipv4Addr, member: &Member) -> Option<bool> {
    match view.claims.get(member) {
        None => Some(is_orphan(address, None)),
        Some(Some(seen)) => Some(is_orphan(address, Some(seen))),
        Some(None) => None,
    }
}

fn policy(view: &View, seen: &AddressSeen) -> ReclaimPolicy {
    view.pool(&seen.record.pool).map(|pool| pool.reclaim).unwrap_or_default()
}

/// What an orphan's record lets us do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nothing yet: its pod lives, or its release is not finished.
    Wait,
    /// Take it out of EC2.
    Unassign,
    /// Remove its object.
    Drop,
}

fn way(seen: &AddressSeen) -> Way {
    let record = &seen.record;
    let Some(attachment) = &record.attachment else {
        // Never taken, so that no call was ever sent for it. What has it in EC2 keeps it there, and
        // while it does the address is handed out to nobody.
        let untouched = record.unsettled.is_empty();
        return if untouched { Way::Drop } else { Way::Wait };
    };
    match attachment.state {
        State::Attaching | State::Attached => Way::Wait,
        State::Parked | State::Releasing => Way::Unassign,
        State::Released => Way::Drop,
    }
}

impl Orphans {
    pub(crate) fn plan(&mut self, view: &View, now: Moment) -> Vec<Duty> {
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        let (mut ends, mut tells) = (BTreeMap::new(), BTreeMap::new());
        let (deleted, others): (Vec<_>, Vec<_>) =
            view.readable().partition(|(_, seen)| seen.id.deleting);
        found.extend(deleted.iter().map(|(address, seen)| (**address, seen.record.clone())));
        for (address, seen) in others {
            match orphan(view, *address, &seen.record.member) {
                None => drop(unknown.insert(*address)),
                Some(false) => tells.extend(bound_again(*address, seen).map(|it| (address, it))),
                Some(true) => drop(found.insert(*address, seen.record.clone())),
            }
        }
        unknown.extend(view.addresses.iter().filter(|(_, it)| it.is_none()).map(|(at, _)| *at));
        self.suspects.pass(found, &unknown, now);
        for (address, _) in self.suspects.due(now, |_, _| timing::ADDRESS_GRACE) {
            let Some(Some(seen)) = view.addresses.get(address) else { continue };
            let duty = if seen.id.deleting {
                deleted_by_somebody(*address, seen)
            } else {
                due(*address, seen, policy(view, seen))
            };
            let kind =
                if matches!(duty, Some(Duty::TellAddress { .. })) { &mut tells } else { &mut ends };
            kind.extend(duty.map(|duty| (address, duty)));
        }
        let mut duties = of_turn(&mut self.ends, ends, ENDED_AT_ONCE);
        duties.append(&mut of_turn(&mut self.tells, tells, TOLD_AT_ONCE));
        duties
    }
}

/// The duties whose turn it is.
fn of_turn(
    turns: &mut Turns<Ipv4Addr>,
    mut duties: BTreeMap<&Ipv4Addr, Duty>,
    at_once: usize,
) -> Vec<Duty> {
    let turn = turns.take(duties.keys().copied().collect(), at_once);
    turn.into_iter().filter_map(|address| duties.remove(address)).collect()
}

fn due(address: Ipv4Addr, seen: &AddressSeen, policy: ReclaimPolicy) -> Option<Duty> {
    match (policy, way(seen)) {
        (ReclaimPolicy::Delete, Way::Unassign) => {
            let (epoch, why) = (seen.record.epoch, Unneeded::NoClaim);
            Some(Duty::Unassign { address, epoch, why })
        }
        (ReclaimPolicy::Delete, Way::Drop) => {
            Some(Duty::DropAddress { address, id: seen.id.clone() })
        }
        (ReclaimPolicy::Delete, Way::Wait) | (ReclaimPolicy::Retain, _) => {
            told(address, seen, policy)
        }
    }
}

/// One without our finalizer goes by itself, as far as we are concerned.
fn deleted_by_somebody(address: Ipv4Addr, seen: &AddressSeen) -> Option<Duty> {
    let (ours, rest): (Vec<_>, Vec<_>) =
        seen.finalizers.iter().cloned().partition(|it| it == FINALIZER);
    if ours.is_empty() {
        return None;
    }
    match way(seen) {
        Way::Wait => still_held(address, seen),
        Way::Unassign => {
            let (epoch, why) = (seen.record.epoch, Unneeded::Deleted);
            Some(Duty::Unassign { address, epoch, why })
        }
        Way::Drop => Some(Duty::FreeAddress { address, id: seen.id.clone(), rest }),
    }
}

fn still_held(address: Ipv4Addr, seen: &AddressSeen) -> Option<Duty> {
    let member = &seen.record.member;
    let condition = Condition {
        kind: condition::DELETABLE.to_owned(),
        status: "False".to_owned(),
        reason: reason::HELD.to_owned(),
        message: format!(
            "the pod of {member} has the address: the object goes, and the address may be given \
             to others, once that pod is gone and does not come back"
        ),
        last_transition_time: None,
        observed_generation: Some(seen.generation),
    };
    let conditions = settled(&seen.status.conditions, vec![condition]);
    tell(address, seen, StaticIPStatus { phase: seen.status.phase, conditions })
}

/// Its status: claimed no more, and what a person can do.
fn told(address: Ipv4Addr, seen: &AddressSeen, policy: ReclaimPolicy) -> Option<Duty> {
    let member = &seen.record.member;
    let next = match (way(seen), policy) {
        (Way::Wait, _) => {
            "its pod still holds it; once that is gone the pool's reclaim policy decides".to_owned()
        }
        (Way::Unassign | Way::Drop, _) if member.is_nobody() => {
            "to hand it out again, delete this StaticIP, or set the pool's reclaimPolicy to Delete"
                .to_owned()
        }
        (Way::Unassign | Way::Drop, _) => format!(
            "to give it back to the member, create the claim with spec.address {address}; to hand \
             it out again, delete this StaticIP, or set the pool's reclaimPolicy to Delete"
        ),
    };
    let condition = Condition {
        kind: condition::CLAIMED.to_owned(),
        status: "False".to_owned(),
        reason: reason::CLAIM_GONE.to_owned(),
        message: if member.is_nobody() {
            format!("EC2 had it, no claim named it, and it was adopted as the pool says: {next}")
        } else {
            format!("no claim of {member} names it any more: {next}")
        },
        last_transition_time: None,
        observed_generation: Some(seen.generation),
    };
    let status = StaticIPStatus {
        phase: Some(AddressPhase::Released),
        conditions: settled(&seen.status.conditions, vec![condition]),
    };
    tell(address, seen, status)
}

/// A claim names it again: what was told of its loss is taken back.
fn bound_again(address: Ipv4Addr, seen: &AddressSeen) -> Option<Duty> {
    seen.status.phase?;
    let mut status = seen.status.clone();
    status.phase = None;
    status.conditions.retain(|it| it.kind != condition::CLAIMED);
    tell(address, seen, status)
}

fn tell(address: Ipv4Addr, seen: &AddressSeen, status: StaticIPStatus) -> Option<Duty> {
    let same =
        seen.status.phase == status.phase && is_told(&seen.status.conditions, &status.conditions);
    (!same).then(|| Duty::TellAddress { address, id: seen.id.clone(), status })
}
