//! What is reported of pools: how much of them is in use, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;

use firecamp_core::allocate::{self, candidates};
use firecamp_core::contract::cluster::{condition, reason};
use firecamp_core::ids::PoolName;
use firecamp_core::record::{Pool, PoolSubnet};
use firecamp_registry::api::{Condition, StaticIPPoolStatus};
use firecamp_registry::rules;

use crate::leader::planner::{Duty, Site};
use crate::leader::view::{PoolSeen, View};
use crate::leader::zones::available;

/// The condition that sums up, as with any kind of Kubernetes.
const READY: &str = "Ready";

/// So many are named in a message.
const NAMED: usize = 5;

/// The pools whose status is not as it should be.
pub(crate) fn plan(view: &View, site: &Site) -> Vec<Duty> {
    let readable = view.pools.values().flatten();
    readable.filter_map(|seen| told(view, site, seen)).collect()
}

/// How much of a pool is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Usage {
    /// Addresses that it hands out.
    pub total: u32,
    /// Of those, how many have a StaticIP.
    pub allocated: u32,
    /// How many have none.
    pub free: u32,
}

impl Usage {
    fn of(view: &View, pool: &Pool) -> Self {
        let total = total(pool);
        let allocated = number(view.addresses.keys().filter(|it| hands_out(pool, **it)).count());
        Self { total, allocated, free: total.saturating_sub(allocated) }
    }
}

/// How much is in use of each pool that can be read.
pub fn usage(view: &View) -> BTreeMap<PoolName, Usage> {
    let pools = view.pools.values().flatten().map(|seen| &seen.pool);
    pools.map(|pool| (pool.name.clone(), Usage::of(view, pool))).collect()
}

fn told(view: &View, site: &Site, seen: &PoolSeen) -> Option<Duty> {
    let pool = &seen.pool;
    let Usage { total, allocated, free } = Usage::of(view, pool);
    let before = seen.status.clone().unwrap_or_default();
    let (disjoint, inside) = (disjoint(view, pool), inside(site, pool));
    let zones = available(view, pool);
    let verdicts = [ready(free, total, &inside), disjoint, inside, complete(view, pool), zones];
    let now = verdicts.into_iter().map(|verdict| verdict.condition(seen.generation)).collect();
    let conditions = settled(&before.conditions, now);
    let status = StaticIPPoolStatus { total, allocated, free, conditions };
    let counted = (before.total, before.allocated, before.free) == (total, allocated, free);
    let same = seen.status.is_some() && counted && is_told(&before.conditions, &status.conditions);
    let (name, id) = (pool.name.clone(), seen.id.clone());
    (!same).then_some(Duty::TellPool { pool: name, id, status })
}

/// What a condition says, and why.
pub(crate) struct Verdict {
    pub(crate) kind: &'static str,
    /// Not known, if none.
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

fn ready(free: u32, total: u32, inside: &Verdict) -> Verdict {
    let kind = READY;
    if inside.holds == Some(false) {
        let message = inside.message.clone();
        return Verdict { kind, holds: Some(false), reason: reason::SUBNET_DIFFERS, message };
    }
    if free == 0 {
        let message = format!("all {total} addresses are allocated: add a range");
        return Verdict { kind, holds: Some(false), reason: reason::EXHAUSTED, message };
    }
    let message = format!("{free} of {total} addresses are free");
    Verdict { kind, holds: Some(true), reason: reason::USABLE, message }
}

/// Overlapping pools never give one address to two members: the object is the allocation. But
/// they count each other's addresses.
fn disjoint(view: &View, pool: &Pool) -> Verdict {
    let kind = condition::RANGES_DISJOINT;
    let others = view.pools.values().flatten().filter(|other| other.pool.name != pool.name);
    let overlapping: Vec<String> = others.filter_map(|other| overlap(pool, &other.pool)).collect();
    if overlapping.is_empty() {
        let message = "no other pool has an address of it".to_owned();
        return Verdict { kind, holds: Some(true), reason: reason::DISJOINT, message };
    }
    let message = format!("it has addresses in common with {}", listed(&overlapping));
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

/// As far as this agent's machine is in the pool's subnets.
fn inside(site: &Site, pool: &Pool) -> Verdict {
    let kind = condition::RANGES_IN_SUBNETS;
    let differs = |entry: &PoolSubnet| {
        let real = site.subnets.get(&entry.subnet)?;
        let PoolSubnet { subnet, cidr, .. } = entry;
        (real != cidr).then(|| format!("{subnet} has the block {real} in EC2 and not {cidr}"))
    };
    let wrong: Vec<String> = pool.subnets.iter().filter_map(differs).collect();
    if !wrong.is_empty() {
        let message = format!("{}: make a pool with the right block", listed(&wrong));
        return Verdict { kind, holds: Some(false), reason: reason::SUBNET_DIFFERS, message };
    }
    let unseen = pool.subnets.iter().filter(|entry| !site.subnets.contains_key(&entry.subnet));
    let unseen: Vec<_> = unseen.map(|entry| &entry.subnet).collect();
    if unseen.is_empty() {
        let message = "its subnets have these blocks in EC2".to_owned();
        return Verdict { kind, holds: Some(true), reason: reason::SUBNETS_AGREE, message };
    }
    let message = format!("no ENI of the agent's machine is in {}", listed(&unseen));
    Verdict { kind, holds: None, reason: reason::SUBNETS_NOT_SEEN, message }
}

fn complete(view: &View, pool: &Pool) -> Verdict {
    let kind = condition::ADDRESSES_IN_RANGES;
    let stray = |(address, seen): (&Ipv4Addr, &crate::leader::view::AddressSeen)| {
        (seen.record.pool == pool.name && !rules::in_ranges(pool, *address)).then_some(*address)
    };
    let strays: Vec<Ipv4Addr> = view.readable().filter_map(stray).collect();
    if strays.is_empty() {
        let message = "every StaticIP of it is in its ranges".to_owned();
        return Verdict { kind, holds: Some(true), reason: reason::IN_RANGES, message };
    }
    let message = format!(
        "{} StaticIPs of it are in none of its ranges ({}): they stay with their members, and are \
         not handed out again",
        strays.len(),
        listed(&strays)
    );
    Verdict { kind, holds: Some(false), reason: reason::STRAY_ADDRESSES, message }
}

pub(crate) fn listed<T: Display>(all: &[T]) -> String {
    let mut names: Vec<String> = all.iter().take(NAMED).map(T::to_string).collect();
    if all.len() > NAMED {
        names.push("...".to_owned());
    }
    names.join(", ")
}

/// The conditions that are there, with these among them: each keeps the time of its last change
/// while its status stays, and those of others stay as they are.
pub(crate) fn settled(before: &[Condition], now: Vec<Condition>) -> Vec<Condition> {
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

/// Whether nothing is new: a time that is to be filled in is news.
pub(crate) fn is_told(before: &[Condition], now: &[Condition]) -> bool {
    before == now && now.iter().all(|condition| condition.last_transition_time.is_some())
}
