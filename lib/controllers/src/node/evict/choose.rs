//! Which parked address is evicted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::agent::{Operation, ResourceList};
use firecamp_core::ids::{Member, PodUid, ResourceName};
use firecamp_core::ports::PodLifecycle;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;

use crate::publish::capacity::usable;
use crate::publish::facts::{AddressFact, EniFact};
use crate::publish::{Facts, Shortage};

/// A pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPod {
    /// Its UID.
    pub pod: PodUid,
    /// Its lifecycle.
    pub lifecycle: PodLifecycle,
    /// How much of each extended resource of pools it occupies.
    pub requested: ResourceList,
    /// It has a network of its own.
    pub own_network: bool,
    /// It runs with the label of a pool.
    pub expects_address: bool,
}

/// The pods of this node by their names.
pub type LocalPods = BTreeMap<Member, LocalPod>;

/// What to do for the pods of this node that wait for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// Nothing: no slot is missing, or none is used by a parked address.
    None,
    /// Unassign a parked address.
    Evict(Operation),
    /// No reservation covers a parked address. Contains each waiting pod.
    NotReserved(Vec<Shortage>),
}

/// The parked address to evict: a slot is missing on the interfaces of a resource, and of the
/// addresses parked there that can be evicted it is the one that was parked first, by `since`.
/// Members with a pod on this node keep theirs.
pub fn choose_eviction(
    facts: &Facts,
    pods: &LocalPods,
    since: impl Fn(Ipv4Addr) -> Moment,
) -> Eviction {
    let mut sets: BTreeMap<&ResourceName, Vec<&EniFact>> = BTreeMap::new();
    for fact in usable(facts).unwrap_or_default() {
        sets.entry(&fact.resource).or_default().push(fact);
    }
    let mut short = Vec::new();
    for (resource, enis) in sets {
        let set = Set { facts, enis, pods };
        let waiting = set.waiting(resource);
        if set.free().is_none_or(|free| free >= waiting.len()) {
            continue;
        }
        let order = |fact: &&AddressFact| {
            (Reverse(fact.evictable), since(fact.record.address), fact.record.address)
        };
        let Some(first) = set.parked().min_by_key(order) else { continue };
        if let Some(eviction) = eviction(first) {
            return Eviction::Evict(eviction);
        }
        let of = |(member, pod): (&Member, &LocalPod)| Shortage {
            member: member.clone(),
            pod: pod.pod.clone(),
            parked: first.record.address,
            subnet: first.record.subnet.clone(),
        };
        short.extend(waiting.into_iter().map(of));
    }
    if short.is_empty() { Eviction::None } else { Eviction::NotReserved(short) }
}

fn eviction(fact: &AddressFact) -> Option<Operation> {
    let StaticIp { address, member, attachment, .. } = &fact.record;
    let pod = attachment.as_ref()?.pod.clone();
    let operation = Operation::Evict { address: *address, member: member.clone(), pod };
    fact.evictable.then_some(operation)
}

/// The interfaces whose slots one resource counts.
struct Set<'a> {
    facts: &'a Facts,
    enis: Vec<&'a EniFact>,
    pods: &'a LocalPods,
}

impl<'a> Set<'a> {
    fn addresses(&self) -> impl Iterator<Item = &'a AddressFact> {
        self.facts.addresses.iter().flatten()
    }

    /// The interface on which the address has a slot, by its record. An address that is being
    /// attached has one only if EC2 has it there already.
    fn place(&self, record: &StaticIp) -> Option<&'a EniFact> {
        let attachment = record.attachment.as_ref().filter(|it| it.node == self.facts.node)?;
        let eni = self.enis.iter().find(|fact| Some(&fact.eni.id) == attachment.eni.as_ref())?;
        let has_slot = match attachment.state {
            State::Attached | State::Parked => true,
            State::Attaching => eni.eni.listed.contains(&record.address),
            State::Releasing | State::Released => false,
        };
        has_slot.then_some(*eni)
    }

    /// The pods that request a slot of this resource and whose member's address has none. One that
    /// ends needs none any more.
    fn waiting(&self, resource: &ResourceName) -> Vec<(&'a Member, &'a LocalPod)> {
        let waits = |(member, pod): &(&Member, &LocalPod)| {
            pod.lifecycle == PodLifecycle::Running
                && pod.requested.get(resource).is_some_and(|amount| *amount > 0)
                && !self.addresses().any(|fact| {
                    fact.record.member == **member && self.place(&fact.record).is_some()
                })
        };
        self.pods.iter().filter(waits).collect()
    }

    /// How many addresses EC2 would still assign, once those that this node unassigns are gone;
    /// the metadata service may list them a while longer. None if a limit is not known.
    fn free(&self) -> Option<usize> {
        let leaves = |record: &StaticIp| {
            record.attachment.as_ref().is_some_and(|it| {
                let unassigned = matches!(it.state, State::Releasing | State::Released);
                unassigned && it.node == self.facts.node
            })
        };
        let free = |fact: &&EniFact| {
            let mut used = fact.eni.listed.clone();
            for record in self.addresses().map(|fact| &fact.record) {
                if leaves(record) {
                    used.remove(&record.address);
                } else if self.place(record).is_some_and(|eni| eni.eni.id == fact.eni.id) {
                    used.insert(record.address);
                }
            }
            used.insert(fact.eni.primary_address);
            let limit = fact.limit?.saturating_sub(fact.eni.prefixes);
            Some(usize::try_from(limit).ok()?.saturating_sub(used.len()))
        };
        self.enis.iter().map(free).sum()
    }

    /// The parked addresses that use a slot, except those of members with a pod on this node.
    fn parked(&self) -> impl Iterator<Item = &'a AddressFact> {
        let lives = |member: &Member| {
            self.pods.get(member).is_some_and(|pod| pod.lifecycle != PodLifecycle::Terminal)
        };
        self.addresses().filter(move |fact| {
            let record = &fact.record;
            let parked = record.attachment.as_ref().is_some_and(|it| it.state == State::Parked);
            let listed = |eni: &EniFact| eni.eni.listed.contains(&record.address);
            parked && self.place(record).is_some_and(listed) && !lives(&record.member)
        })
    }
}
