//! The node's capacity for addresses of members, which the extended resources of the pools count.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{ResourceList, slots};
use firecamp_core::ids::{EniId, ResourceName};
use firecamp_core::record::{Pool, State, StaticIp};
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

/// The capacity of one resource over time: it counts once it has been stable for [`SETTLE`]. It is
/// never below what the node's pods request: a kubelet that restarts admits its running pods again,
/// and those that exceed the capacity fail (`OutOf…`, measured with 1.34).
#[derive(Debug, Clone, Default)]
struct Amount {
    value: Option<u32>,
    coming: Option<(u32, Moment)>,
}

impl Amount {
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

    fn raise(&mut self, least: u32) {
        if self.value.is_some_and(|value| value < least) {
            (self.value, self.coming) = (Some(least), None);
        }
    }
}

/// The capacity of each resource: of the default, and of every other one that an interface or a pod
/// of this node had or that the Node has. No resource is removed from a Node: one that no pool has
/// any more is 0 once no pod requests it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StableCapacity {
    holders: Holders,
    amounts: BTreeMap<ResourceName, Amount>,
}

impl StableCapacity {
    /// Processes the current facts, and returns the addresses that members hold. `published`: the
    /// resources that the Node has.
    pub(crate) fn step<'a>(
        &mut self,
        now: Moment,
        facts: &Facts,
        published: impl Iterator<Item = &'a ResourceName>,
    ) -> Option<Held> {
        let held = self.holders.step(now, facts);
        let offered = held.as_ref().and_then(|held| offered(facts, &with_evictable(facts, held)));
        let offers = offered.iter().flat_map(ResourceList::keys).cloned();
        let names = offers.chain(published.cloned()).chain([ResourceName::default()]);
        for name in names {
            self.amounts.entry(name).or_default();
        }
        let of = |all: &ResourceList, name| all.get(name).copied().unwrap_or_default();
        for (name, amount) in &mut self.amounts {
            amount.settle(now, offered.as_ref().map(|offered| of(offered, name)));
            amount.raise(facts.requested.as_ref().map_or(0, |requested| of(requested, name)));
        }
        held
    }

    /// The capacity of each resource, once it is known and stable.
    pub(crate) fn value(&self) -> ResourceList {
        let known = |(name, amount): (&ResourceName, &Amount)| Some((name.clone(), amount.value?));
        self.amounts.iter().filter_map(known).collect()
    }

    /// Whether time alone may change it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.amounts.values().any(|amount| amount.coming.is_some())
    }
}

/// The ENIs that members get and that FireCamp manages. None unless this is known for all.
pub(crate) fn usable(facts: &Facts) -> Option<Vec<&EniFact>> {
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

/// The addresses that members hold, and the parked ones that the agent unassigns when another
/// member needs the slot: a slot of either is offered.
fn with_evictable(facts: &Facts, held: &Held) -> Held {
    let mut all = held.clone();
    for fact in facts.addresses.iter().flatten().filter(|fact| fact.evictable) {
        if let Some(eni) = fact.record.attachment.as_ref().and_then(|it| it.eni.as_ref()) {
            all.entry(eni.clone()).or_default().insert(fact.record.address);
        }
    }
    all
}

/// What is counted of one resource.
#[derive(Debug, Default)]
struct Count {
    /// How many addresses EC2 would still assign, and how many members hold.
    capacity: u32,
    attached: u32,
}

/// What the node offers of each resource: how many addresses EC2 would still assign to the ENIs
/// that it counts, and how many members hold there, but no less than pods request. None if unknown.
fn offered(facts: &Facts, held: &Held) -> Option<ResourceList> {
    let requested = facts.requested.as_ref()?;
    let of = |name: &ResourceName| requested.get(name).copied().unwrap_or_default();
    let mut counted: BTreeMap<&ResourceName, Count> = BTreeMap::new();
    for fact in usable(facts)? {
        let one = slots([&fact.eni], fact.limit?, held).capacity();
        let count = counted.entry(&fact.resource).or_default();
        count.capacity = count.capacity.saturating_add(one);
        count.attached = count.attached.saturating_add(attached_to(facts, &fact.eni.id));
    }
    // The scheduler does not subtract a pod that requests a former resource from the present one.
    // So many addresses that are attached must be those of such pods. Any other such pod, one that
    // waits for its address or whose place a waiting pod obscures, may be in any subnet.
    let hidden = |(name, count): (&&ResourceName, &Count)| count.attached.saturating_sub(of(name));
    let known = counted.iter().map(hidden).fold(0, u32::saturating_add);
    let retired = retired(facts, requested);
    let unknown = retired.saturating_sub(known);
    // Pods that have no address on the interfaces of the resource that they request.
    let without_address = |name: &ResourceName, amount: u32| {
        amount.saturating_sub(counted.get(name).map_or(0, |count| count.attached))
    };
    let mut offered = requested.clone();
    for (name, count) in &counted {
        let own = hidden((name, count));
        // The former resource may be another pool's today.
        let others = requested.iter().filter(|(other, _)| other != name);
        let others = others.map(|(other, amount)| without_address(other, *amount));
        let elsewhere = own.min(others.fold(0, u32::saturating_add));
        let hidden = own.saturating_add(unknown).min(retired).max(elsewhere);
        offered.insert((*name).clone(), count.capacity.saturating_sub(hidden).max(of(name)));
    }
    Some(offered)
}

/// How many addresses of members of this node are attached to the ENI or being attached.
fn attached_to(facts: &Facts, eni: &EniId) -> u32 {
    let records = facts.addresses.iter().flatten().map(|fact| &fact.record);
    let attached = records.filter(|record| attached_eni(facts, record) == Some(eni));
    u32::try_from(attached.count()).unwrap_or(u32::MAX)
}

/// The ENI to which the address of a member of this node is attached or being attached.
fn attached_eni<'a>(facts: &Facts, record: &'a StaticIp) -> Option<&'a EniId> {
    let here = record.attachment.as_ref().filter(|it| it.node == facts.node)?;
    here.eni.as_ref().filter(|_| matches!(here.state, State::Attaching | State::Attached))
}

/// How much pods request of resources that no pool has any more, except pods whose pool is gone:
/// their addresses are on interfaces that do not count.
fn retired(facts: &Facts, requested: &ResourceList) -> u32 {
    let Some(pools) = &facts.pools else { return 0 };
    let gone = |(name, _): &(&ResourceName, &u32)| pools.iter().all(|it| it.resource != **name);
    let all = requested.iter().filter(gone).map(|(_, amount)| *amount).fold(0, u32::saturating_add);
    let serves = |pool: &Pool, record: &StaticIp| {
        pool.name == record.pool || pool.subnets.iter().any(|it| it.subnet == record.subnet)
    };
    let records = facts.addresses.iter().flatten().map(|fact| &fact.record);
    let here = records.filter(|record| attached_eni(facts, record).is_some());
    let apart = here.filter(|record| !pools.iter().any(|pool| serves(pool, record))).count();
    all.saturating_sub(u32::try_from(apart).unwrap_or(u32::MAX))
}

/// The slots as published: of all resources together.
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

#[cfg(test)]
mod tests;
