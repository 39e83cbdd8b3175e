//! The status of pools: their usage and their conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;

use firecamp_core::allocate::{self, candidates};
use firecamp_core::contract::cluster::{condition, reason};
use firecamp_core::ids::PoolName;
use firecamp_core::record::{Pool, PoolSubnet};
use firecamp_registry::api::{Condition, StaticIPPoolStatus};
use firecamp_registry::{ResourceFault, resource_faults, rules};

use crate::leader::planner::{Operation, Site};
use crate::leader::view::{ObservedPool, View};
use crate::leader::zones::available;

/// The summary condition, as is usual in Kubernetes.
const READY: &str = "Ready";

/// How many objects a message names.
const NAMED: usize = 5;

/// Updates of the pools whose status is wrong.
pub(crate) fn plan(view: &View, site: &Site) -> Vec<Operation> {
    let readable = || view.pools.values().flatten();
    let faults = resource_faults(readable().map(|it| (it.created.as_deref(), &it.pool)));
    let fault = |observed: &ObservedPool| faults.get(&observed.pool.name);
    readable().filter_map(|it| reported(view, site, (it, fault(it)))).collect()
}

/// The usage of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Usage {
    /// The number of addresses in its ranges.
    pub total: u32,
    /// How many of them have a StaticIP.
    pub allocated: u32,
    /// How many of them have none.
    pub free: u32,
}

impl Usage {
    fn of(view: &View, pool: &Pool) -> Self {
        let total = total(pool);
        let allocated = number(view.addresses.keys().filter(|it| hands_out(pool, **it)).count());
        Self { total, allocated, free: total.saturating_sub(allocated) }
    }
}

/// The usage of each pool that could be read.
pub fn usage(view: &View) -> BTreeMap<PoolName, Usage> {
    let pools = view.pools.values().flatten().map(|observed| &observed.pool);
    pools.map(|pool| (pool.name.clone(), Usage::of(view, pool))).collect()
}

fn reported(
    view: &View,
    site: &Site,
    (observed, fault): (&ObservedPool, Option<&ResourceFault>),
) -> Option<Operation> {
    let pool = &observed.pool;
    let Usage { total, allocated, free } = Usage::of(view, pool);
    let before = observed.status.clone().unwrap_or_default();
    let (disjoint, inside) = (disjoint(view, pool), inside(site, pool));
    let zones = available(view, pool);
    let verdicts =
        [ready(free, total, &inside, fault), disjoint, inside, complete(view, pool), zones];
    let now = verdicts.into_iter().map(|verdict| verdict.condition(observed.generation)).collect();
    let conditions = merged(&before.conditions, now);
    let status = StaticIPPoolStatus { total, allocated, free, conditions };
    let counted = (before.total, before.allocated, before.free) == (total, allocated, free);
    let same = observed.status.is_some()
        && counted
        && is_unchanged(&before.conditions, &status.conditions);
    let (name, id) = (pool.name.clone(), observed.id.clone());
    (!same).then_some(Operation::UpdatePoolStatus { pool: name, id, status })
}

/// A condition and its reason.
pub(crate) struct Verdict {
    pub(crate) kind: &'static str,
    /// None if unknown.
    pub(crate) holds: Option<bool>,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Verdict {
    pub(crate) fn condition(self, generation: u64) -> Condition {
        let status = match self.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        Condition {
            kind: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message,
            last_transition_time: None,
            observed_generation: Some(generation),
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn total(pool: &Pool) -> u32 {
    let none = BTreeSet::new();
    number(pool.subnets.iter().map(|entry| candidates(entry, &none, &none).count()).sum())
}

pub(crate) fn hands_out(pool: &Pool, address: Ipv4Addr) -> bool {
    pool.subnets.iter().any(|entry| allocate::hands_out(entry, address))
}

fn ready(free: u32, total: u32, inside: &Verdict, fault: Option<&ResourceFault>) -> Verdict {
    let kind = READY;
    if inside.holds == Some(false) {
        let message = inside.message.clone();
        return Verdict { kind, holds: Some(false), reason: reason::SUBNET_DIFFERS, message };
    }
    if let Some(fault) = fault {
        let message = fault.to_string();
        return Verdict { kind, holds: Some(false), reason: fault.reason(), message };
    }
    if free == 0 {
        let message = format!("all {total} addresses are allocated: add a range to the pool");
        return Verdict { kind, holds: Some(false), reason: reason::EXHAUSTED, message };
    }
    let message = format!("{free} of {total} addresses are free");
    Verdict { kind, holds: Some(true), reason: reason::USABLE, message }
}

/// Overlapping pools never allocate one address to two members, because the StaticIP is the
/// allocation. But each counts the addresses of the other.
fn disjoint(view: &View, pool: &Pool) -> Verdict {
    let kind = condition::RANGES_DISJOINT;
    let others = view.pools.values().flatten().filter(|other| other.pool.name != pool.name);
    let overlapping: Vec<String> = others.filter_map(|other| overlap(pool, &other.pool)).collect();
    if overlapping.is_empty() {
        let message = "no other pool has an address of this pool".to_owned();
        return Verdict { kind, holds: Some(true), reason: reason::DISJOINT, message };
    }
    let message = format!(
        "its ranges overlap with {}: remove the overlap from one of the pools",
        listed(&overlapping)
    );
    Verdict { kind, holds: Some(false), reason: reason::OVERLAPPING, message }
}

fn overlap(one: &Pool, two: &Pool) -> Option<String> {
    fn ranges(pool: &Pool) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
        pool.subnets.iter().flat_map(|entry| entry.ranges.iter().copied())
    }
    let common = |(start, end): (Ipv4Addr, Ipv4Addr)| {
        ranges(two).find_map(|(s, e)| {
            let (first, last) = (start.max(s), end.min(e));
            (first <= last).then(|| format!("pool {} ({first} to {last})", two.name))
        })
    };
    ranges(one).find_map(common)
}

/// Compares the pool's blocks with those of the subnets in which the leader's instance has an ENI.
fn inside(site: &Site, pool: &Pool) -> Verdict {
    let kind = condition::RANGES_IN_SUBNETS;
    let differs = |entry: &PoolSubnet| {
        let real = site.subnets.get(&entry.subnet)?;
        let PoolSubnet { subnet, cidr, .. } = entry;
        (real != cidr).then(|| format!("{subnet} has the CIDR block {real} in EC2, not {cidr}"))
    };
    let wrong: Vec<String> = pool.subnets.iter().filter_map(differs).collect();
    if !wrong.is_empty() {
        let message = format!("{}: create a pool with the right block", listed(&wrong));
        return Verdict { kind, holds: Some(false), reason: reason::SUBNET_DIFFERS, message };
    }
    let unverified = pool.subnets.iter().filter(|entry| !site.subnets.contains_key(&entry.subnet));
    let unverified: Vec<_> = unverified.map(|entry| &entry.subnet).collect();
    if unverified.is_empty() {
        let message = "the CIDR blocks of its subnets match EC2".to_owned();
        return Verdict { kind, holds: Some(true), reason: reason::SUBNETS_AGREE, message };
    }
    let message = format!(
        "the leader cannot verify the CIDR block of {}: its instance has no ENI there",
        listed(&unverified)
    );
    Verdict { kind, holds: None, reason: reason::SUBNETS_NOT_VERIFIED, message }
}

fn complete(view: &View, pool: &Pool) -> Verdict {
    let kind = condition::ADDRESSES_IN_RANGES;
    let orphan = |(address, observed): (&Ipv4Addr, &crate::leader::view::ObservedStaticIp)| {
        (observed.record.pool == pool.name && !rules::in_ranges(pool, *address)).then_some(*address)
    };
    let orphans: Vec<Ipv4Addr> = view.readable().filter_map(orphan).collect();
    if orphans.is_empty() {
        let message = "every StaticIP of this pool is in its ranges".to_owned();
        return Verdict { kind, holds: Some(true), reason: reason::IN_RANGES, message };
    }
    let message = format!(
        "{} StaticIPs of this pool are in none of its ranges ({}): members keep them; once \
         released, they are not allocated again",
        orphans.len(),
        listed(&orphans)
    );
    Verdict { kind, holds: Some(false), reason: reason::ADDRESSES_OUT_OF_RANGE, message }
}

pub(crate) fn listed<T: Display>(all: &[T]) -> String {
    let mut names: Vec<String> = all.iter().take(NAMED).map(T::to_string).collect();
    if all.len() > NAMED {
        names.push("...".to_owned());
    }
    names.join(", ")
}

/// Merges new conditions into the current ones. A condition keeps its transition time while its
/// status is unchanged; conditions of other types stay.
pub(crate) fn merged(before: &[Condition], now: Vec<Condition>) -> Vec<Condition> {
    let mut all = before.to_vec();
    for mut condition in now {
        match all.iter_mut().find(|last| last.kind == condition.kind) {
            Some(last) => {
                if last.status == condition.status {
                    condition.last_transition_time = last.last_transition_time.take();
                }
                *last = condition;
            }
            None => all.push(condition),
        }
    }
    all
}

/// Whether the conditions are unchanged. A missing transition time counts as a change.
pub(crate) fn is_unchanged(before: &[Condition], now: &[Condition]) -> bool {
    before == now && now.iter().all(|condition| condition.last_transition_time.is_some())
}
