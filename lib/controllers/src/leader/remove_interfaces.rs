//! Removes the interfaces that FireCamp made and that nobody needs any more: those of instances
//! that are gone, and those whose record someone has set to Draining.
//!
//! Only an interface with a record is ever touched. Its record is first set to Draining, and then
//! to excluded: by the agent of its node, once init containers no longer choose it, or by the
//! leader, once its instance is gone. The addresses that are parked on it are unassigned if a
//! reservation keeps them for their pool. The interface is detached only after two looks, five
//! minutes apart, have shown it excluded and without addresses, while no StaticIP named it, and
//! deleted after two further ones. An attach that chose it before must have acquired its epoch by
//! then, because an attach ends after three minutes at most: so its StaticIP is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::timing::{EMPTY_INTERFACE_GRACE, LOST_INSTANCE_GRACE};
use firecamp_core::ids::{EniId, Epoch, Uid};
use firecamp_core::managed_interface::{DescribedInterface, InstanceState, Phase, StoredInterface};
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;

use crate::leader::persistent_findings::Findings;
use crate::leader::planner::{Operation, UnassignReason};
use crate::leader::round_robin::RoundRobin;
use crate::leader::view::{
    InterfaceAnswer, InterfaceQuery, NodeReadiness, Queries, QueryResults, View,
};

/// The most lookups of one pass.
const QUERIES_PER_PASS: usize = 20;
/// The most parked addresses that are unassigned in one pass.
const EVICTIONS_PER_PASS: usize = 10;
/// The most interfaces that are changed in one pass. Each change lists all StaticIPs afresh.
const CHANGES_PER_PASS: usize = 5;

/// Between two attempts to unassign the same parked address while its record does not change:
/// without a reservation it stays, which an Event says each time.
const EVICTION_AGAIN: Duration = Duration::from_mins(10);

#[derive(Debug, Clone, Default)]
pub(crate) struct InterfaceRemoval {
    round_robin: RoundRobin<Uid>,
    changed: RoundRobin<Uid>,
    evicted: RoundRobin<Ipv4Addr>,
    /// When the parked addresses on them were last to be unassigned, and the generation then.
    tried: BTreeMap<Ipv4Addr, (Moment, u64)>,
    /// Interfaces whose instance EC2 calls gone.
    lost: Findings<Uid, bool>,
    /// Interfaces that EC2 shows without addresses, or not at all, with their attachments.
    empty: Findings<Uid, Option<String>>,
}

/// What EC2 shows of an interface that is being removed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    /// Nothing, or an interface that has no address but its primary one; by which attachment it is
    /// attached, if it is.
    Empty(Option<String>),
    /// It is being attached or detached, or has addresses.
    Busy,
}

impl InterfaceRemoval {
    pub(crate) fn ask(&mut self, view: &View, questions: &mut Queries) {
        let queries = readable(view).filter_map(|stored| {
            if stored.record.excluded {
                return Some((stored.uid.clone(), InterfaceQuery::Describe(stored.clone())));
            }
            let suspect = is_suspect(view, stored);
            suspect.then(|| (stored.uid.clone(), InterfaceQuery::Instance(stored.clone())))
        });
        let queries: BTreeMap<Uid, InterfaceQuery> = queries.collect();
        let chosen = self.round_robin.take(queries.keys().collect(), QUERIES_PER_PASS);
        questions.interfaces.extend(chosen.into_iter().filter_map(|uid| queries.get(uid)).cloned());
    }

    pub(crate) fn plan(
        &mut self,
        view: &View,
        answers: &QueryResults,
        now: Moment,
    ) -> Vec<Operation> {
        let (mut lost, mut empty) = (BTreeMap::new(), BTreeMap::new());
        let (mut unknown, mut operations) = (BTreeSet::new(), Vec::new());
        for stored in readable(view) {
            let uid = &stored.uid;
            match answers.interfaces.get(uid) {
                // One that is no longer suspect is not asked about, and starts over.
                None if stored.record.excluded || is_suspect(view, stored) => {
                    unknown.insert(uid.clone());
                }
                Some(InterfaceAnswer::Instance(InstanceState::Gone)) => {
                    lost.insert(uid.clone(), true);
                }
                None | Some(InterfaceAnswer::Instance(InstanceState::Exists)) => {}
                Some(InterfaceAnswer::Described(found)) => match shown(found) {
                    Shown::Empty(attachment) if !is_named(view, stored, found) => {
                        empty.insert(uid.clone(), attachment);
                    }
                    Shown::Empty(_) | Shown::Busy => {}
                },
            }
        }
        self.lost.pass(lost, &unknown, now);
        self.empty.pass(empty, &unknown, now);
        operations.extend(self.evictions(view, now));
        let due: BTreeSet<&Uid> =
            self.lost.due(now, |_, _| LOST_INSTANCE_GRACE).map(|(uid, _)| uid).collect();
        let gone = readable(view).filter(|stored| due.contains(&stored.uid));
        operations.extend(gone.map(|stored| Operation::DrainInterface(stored.clone())));
        let due: BTreeMap<&Uid, &Option<String>> =
            self.empty.due(now, |_, _| EMPTY_INTERFACE_GRACE).collect();
        let batch = self.changed.take(due.keys().copied().collect(), CHANGES_PER_PASS);
        let batch: BTreeSet<&Uid> = batch.into_iter().collect();
        operations.extend(readable(view).filter_map(|stored| {
            let (interface, uid) = (stored.clone(), batch.get(&stored.uid)?);
            Some(match due.get(*uid)? {
                Some(attachment) => {
                    Operation::DetachInterface { interface, attachment: attachment.clone() }
                }
                None => Operation::DeleteInterface(interface),
            })
        }));
        operations
    }

    /// The parked addresses on interfaces that are being removed, a batch in each pass.
    fn evictions(&mut self, view: &View, now: Moment) -> Vec<Operation> {
        let removed: BTreeSet<&EniId> = readable(view)
            .filter(|stored| stored.record.phase == Phase::Draining)
            .filter_map(|stored| stored.record.eni.as_ref())
            .collect();
        let is_parked = |record: &StaticIp| {
            record.attachment.as_ref().is_some_and(|it| {
                let unfinished = matches!(it.state, State::Parked | State::Releasing);
                unfinished && removed.iter().any(|eni| record.may_be_on(eni))
            })
        };
        // The address of a StaticIP that is being deleted leaves EC2 anyway.
        let parked = view
            .readable()
            .filter(|(_, observed)| !observed.id.deleting && is_parked(&observed.record));
        let parked: BTreeMap<Ipv4Addr, (Epoch, u64)> = parked
            .map(|(address, observed)| (*address, (observed.record.epoch, observed.generation)))
            .collect();
        self.tried.retain(|address, (at, generation)| {
            let same = parked.get(address).is_some_and(|(_, of)| of == generation);
            same && now.since(*at) < EVICTION_AGAIN
        });
        let due = parked.keys().filter(|address| !self.tried.contains_key(address)).collect();
        let batch: Vec<Ipv4Addr> =
            self.evicted.take(due, EVICTIONS_PER_PASS).into_iter().copied().collect();
        self.tried.extend(batch.iter().filter_map(|address| {
            let (_, generation) = parked.get(address)?;
            Some((*address, (now, *generation)))
        }));
        let unassign = |address: Ipv4Addr| {
            let ((epoch, _), why) = (*parked.get(&address)?, UnassignReason::InterfaceRemoved);
            Some(Operation::Unassign { address, epoch, why })
        };
        batch.into_iter().filter_map(unassign).collect()
    }
}

fn readable(view: &View) -> impl Iterator<Item = &StoredInterface> {
    view.interfaces.values().flatten()
}

/// Whether the instance may be gone: no ready Node has it.
fn is_suspect(view: &View, stored: &StoredInterface) -> bool {
    match view.nodes.get(&stored.record.node) {
        None => true,
        Some(None) => false,
        Some(Some(node)) => {
            let other = node.instance.as_ref().is_some_and(|it| *it != stored.record.instance);
            other || node.lifecycle != NodeReadiness::Ready
        }
    }
}

fn shown(found: &[DescribedInterface]) -> Shown {
    match found {
        [] => Shown::Empty(None),
        [one] if one.addresses.is_empty() && one.prefixes == 0 => match &one.attachment {
            Some(attachment) if attachment.attached => Shown::Empty(Some(attachment.id.clone())),
            None => Shown::Empty(None),
            Some(_) => Shown::Busy,
        },
        [_, ..] => Shown::Busy,
    }
}

/// Whether a StaticIP names the interface, or could: one that cannot be read may.
fn is_named(view: &View, stored: &StoredInterface, found: &[DescribedInterface]) -> bool {
    let described = found.first().map(|one| &one.id);
    let Some(eni) = stored.record.eni.as_ref().or(described) else { return false };
    view.addresses.values().any(|one| match one {
        Some(observed) => observed.record.may_be_on(eni),
        None => true,
    })
}
