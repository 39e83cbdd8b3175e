//! The node's capacity for addresses of members, which the extended resource counts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Slots, slots};
use firecamp_core::ids::EniId;
use firecamp_core::record::State;
use firecamp_core::time::Moment;
use firecamp_registry::api::{self, EniManager};

use crate::publish::address_status::SETTLE;
use crate::publish::facts::{EniFact, Facts};

/// A slot stays reserved this long for a member that has released its address, so that a member
/// that restarts finds capacity on a node that is otherwise full.
const SLOT_RESERVATION: Duration = Duration::from_mins(5);

/// The addresses of members on the ENIs of this node.
pub(crate) type Held = BTreeMap<EniId, BTreeSet<Ipv4Addr>>;

/// The addresses held on this node, and when each was last held. A new process knows no earlier
/// holders: an address that it finds parked keeps no slot.
#[derive(Debug, Clone, Default)]
struct Holders(BTreeMap<Ipv4Addr, Moment>);

impl Holders {
    /// The addresses that members hold on this node or held within [`SLOT_RESERVATION`].
    fn step(&mut self, now: Moment, facts: &Facts) -> Option<Held> {
        let (mut held, known) = (Held::new(), facts.addresses.as_ref()?);
        self.0.retain(|_, at| now.since(*at) < SLOT_RESERVATION);
        for fact in known {
            let address = fact.record.address;
            let Some(attachment) = &fact.record.attachment else { continue };
            let here = attachment.node == facts.node;
            match attachment.state {
                State::Attaching | State::Attached if here => drop(self.0.insert(address, now)),
                State::Parked if here => {}
                State::Attaching
                | State::Attached
                | State::Parked
                | State::Releasing
                | State::Released => drop(self.0.remove(&address)),
            }
            if let (true, Some(eni)) = (self.0.contains_key(&address), &attachment.eni) {
                held.entry(eni.clone()).or_default().insert(address);
            }
        }
        Some(held)
    }
}

/// The capacity over time: it counts once it has been stable for [`SETTLE`]. It is never below what
/// the node's pods request: a kubelet that restarts admits its running pods again, and those that
/// exceed the capacity fail (`OutOf…`, measured with 1.34).
#[derive(Debug, Clone, Default)]
pub(crate) struct StableCapacity {
    holders: Holders,
    value: Option<u32>,
    coming: Option<(u32, Moment)>,
}

impl StableCapacity {
    /// Processes the current facts, and returns the addresses that members hold.
    pub(crate) fn step(&mut self, now: Moment, facts: &Facts) -> Option<Held> {
        let held = self.holders.step(now, facts);
        let slots = held.as_ref().and_then(|held| capacity(facts, held));
        let requested = facts.requested;
        let offered = slots.zip(requested).map(|(slots, least)| slots.capacity().max(least));
        self.settle(now, offered);
        if let (Some(value), Some(least)) = (self.value, requested)
            && value < least
        {
            (self.value, self.coming) = (Some(least), None);
        }
        held
    }

    fn settle(&mut self, now: Moment, seen: Option<u32>) {
        let Some(seen) = seen.filter(|seen| self.value != Some(*seen)) else {
            self.coming = None;
            return;
        };
        let since = self.coming.filter(|(coming, _)| *coming == seen).map_or(now, |(_, at)| at);
        self.coming = Some((seen, since));
        if now.since(since) >= SETTLE {
            (self.value, self.coming) = (Some(seen), None);
        }
    }

    /// The capacity, once it is known and stable.
    pub(crate) fn value(&self) -> Option<u32> {
        self.value
    }

    /// Whether time alone may change it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.coming.is_some()
    }
}

/// The ENIs that members get and that FireCamp manages. None unless this is known for all.
fn usable(facts: &Facts) -> Option<Vec<&EniFact>> {
    let mut usable = Vec::new();
    for fact in facts.enis.as_ref()? {
        match (fact.carries?, fact.managed_by) {
            (true, EniManager::FireCamp) => usable.push(fact),
            (true, EniManager::Unknown) => return None,
            (true, EniManager::VpcCni | EniManager::Other) | (false, _) => {}
        }
    }
    Some(usable)
}

/// How many addresses EC2 would still assign to them, and how many members hold there. None if
/// unknown.
fn capacity(facts: &Facts, held: &Held) -> Option<Slots> {
    usable(facts)?.into_iter().try_fold(Slots::default(), |all, fact| {
        let one = slots([&fact.eni], fact.limit?, held);
        let add = u32::saturating_add;
        Some(Slots { free: add(all.free, one.free), held: add(all.held, one.held) })
    })
}

/// The capacity as published.
pub(crate) fn shown(facts: &Facts, held: &Held) -> Option<api::Slots> {
    let none = api::Slots { total: 0, free: 0 };
    usable(facts)?.into_iter().try_fold(none, |all, fact| {
        let one = of(fact, held)?;
        let add = u32::saturating_add;
        Some(api::Slots { total: add(all.total, one.total), free: add(all.free, one.free) })
    })
}

/// The capacity of one ENI.
pub(crate) fn of(fact: &EniFact, held: &Held) -> Option<api::Slots> {
    let limit = fact.limit?;
    let free = slots([&fact.eni], limit, held).free;
    Some(api::Slots { total: limit.saturating_sub(1), free })
}
