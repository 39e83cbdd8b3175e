//! The room for members on the node's ENIs: what the extended resource counts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Slots, slots};
use firecamp_core::ids::EniId;
use firecamp_core::record::State;
use firecamp_core::time::Moment;
use firecamp_registry::api::{self, EniManager};

use crate::publish::facts::{EniFact, Facts};

/// A slot is kept for a member that has released its address for so long: one that restarts must
/// find room on a node that is otherwise full.
const KEPT: Duration = Duration::from_mins(5);

/// The addresses that members have on the ENIs of this node.
pub(crate) type Held = BTreeMap<EniId, BTreeSet<Ipv4Addr>>;

/// Who has held an address here, and until when. A process that has just begun knows of nobody who
/// went: what it finds parked counts as parked for long.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders(BTreeMap<Ipv4Addr, Moment>);

impl Holders {
    /// What members hold on this node, or held until a moment ago.
    pub(crate) fn step(&mut self, now: Moment, facts: &Facts) -> Option<Held> {
        let (mut held, known) = (Held::new(), facts.addresses.as_ref()?);
        self.0.retain(|_, at| now.since(*at) < KEPT);
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

/// The ENIs that members get, of which FireCamp may use each. None if that is not known of all.
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

/// What EC2 would still assign to them, and what members have there. None if it is not known.
pub(crate) fn room(facts: &Facts, held: &Held) -> Option<Slots> {
    usable(facts)?.into_iter().try_fold(Slots::default(), |all, fact| {
        let one = slots([&fact.eni], fact.limit?, held);
        let add = u32::saturating_add;
        Some(Slots { free: add(all.free, one.free), held: add(all.held, one.held) })
    })
}

/// The same for people.
pub(crate) fn shown(facts: &Facts, held: &Held) -> Option<api::Slots> {
    let none = api::Slots { total: 0, free: 0 };
    usable(facts)?.into_iter().try_fold(none, |all, fact| {
        let one = of(fact, held)?;
        let add = u32::saturating_add;
        Some(api::Slots { total: add(all.total, one.total), free: add(all.free, one.free) })
    })
}

/// The room on one of them.
pub(crate) fn of(fact: &EniFact, held: &Held) -> Option<api::Slots> {
    let limit = fact.limit?;
    let free = slots([&fact.eni], limit, held).free;
    Some(api::Slots { total: limit.saturating_sub(1), free })
}
