//! Evicts parked addresses from full interfaces on which pods of this node wait for a slot.
//!
//! Guarantees: only an address is evicted that a CIDR reservation of type explicit keeps for its
//! pool, by a read of EC2 that is not older than [`FRESH`]; one at a time, and none while no slot
//! is missing. The operation reads record and pod afresh. Caveats: the order is that in which this
//! process observed the addresses parked; those that it found parked come first.

mod choose;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::Want;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{Epoch, SubnetId};
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_node::preflight::facts::Reservation;

pub use self::choose::{Eviction, LocalPod, LocalPods, choose_eviction};
use super::managed_interfaces::Backoff;
use crate::publish::Facts;

/// A slot must be missing for this long: longer than the agent takes to notice, by the metadata
/// service, that an address has left an interface.
const MISSING_FOR: Duration = Duration::from_secs(6);
/// Nothing is evicted by an older read of the reservations. It is longer than the period of the
/// EC2 queries, so that a newer read is always possible.
const FRESH: Duration = Duration::from_secs(75);
/// How often the reservations are read while addresses are parked and no slot is missing.
const READ_EVERY: Duration = Duration::from_hours(2);
/// The same after a failed read, and while no reservation covers an address to evict.
const RETRY: Duration = Duration::from_mins(10);

/// The reservations, by subnet.
pub(super) type Reservations = BTreeMap<SubnetId, Vec<Reservation>>;

/// A successful read of the reservations.
#[derive(Debug)]
struct ReservationsRead {
    found: Reservations,
    asked: Moment,
    /// It was reported that they do not cover what should be evicted.
    reported: bool,
}

/// The parked addresses of a node, and what keeps them for their pools.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    /// Since when each address is parked here, by epoch.
    parked: BTreeMap<Ipv4Addr, (Epoch, Moment)>,
    /// Their subnets.
    subnets: BTreeSet<SubnetId>,
    read: Option<ReservationsRead>,
    /// The reservations are not read before.
    next_read: Moment,
    /// Since when a slot is missing that an eviction could free.
    missing_since: Option<Moment>,
    backoff: Backoff,
}

impl Evictions {
    /// Adds to the facts which addresses can be evicted. Returns what to do now.
    pub(super) fn step(
        &mut self,
        facts: &mut Facts,
        pods: Option<&LocalPods>,
        now: Moment,
    ) -> Eviction {
        self.note_parked(facts, now);
        // Without requests for slots nothing is offered, and nothing is missing.
        let Some(pods) = pods else {
            self.subnets.clear();
            return Eviction::None;
        };
        for fact in facts.addresses.iter_mut().flatten() {
            let parked = self.parked.contains_key(&fact.record.address);
            fact.evictable = parked && self.is_reserved(&fact.record);
        }
        let since = |address| self.parked.get(&address).map_or(now, |(_, since)| *since);
        let chosen = choose_eviction(facts, pods, since);
        if chosen == Eviction::None {
            self.missing_since = None;
            return chosen;
        }
        let missing_since = *self.missing_since.get_or_insert(now);
        let fresh = self.read.as_mut().filter(|read| now.since(read.asked) < FRESH);
        if now.since(missing_since) < MISSING_FOR {
            return Eviction::None;
        }
        match (chosen, fresh) {
            (chosen @ Eviction::Evict(_), Some(_)) if now >= self.backoff.not_before => chosen,
            (chosen @ Eviction::NotReserved(_), Some(read)) if !read.reported => {
                read.reported = true;
                self.next_read = read.asked.plus(RETRY);
                chosen
            }
            (Eviction::None | Eviction::Evict(_) | Eviction::NotReserved(_), _) => Eviction::None,
        }
    }

    fn note_parked(&mut self, facts: &Facts, now: Moment) {
        let Some(known) = &facts.addresses else { return };
        let here = |record: &&StaticIp| {
            let parked = |it: &firecamp_core::record::Attachment| {
                it.state == State::Parked && it.node == facts.node
            };
            record.attachment.as_ref().is_some_and(parked)
        };
        let records: Vec<_> = known.iter().map(|fact| &fact.record).filter(here).collect();
        let before = std::mem::take(&mut self.parked);
        let since = |record: &&StaticIp| {
            let same = before.get(&record.address).filter(|(epoch, _)| *epoch == record.epoch);
            (record.address, same.copied().unwrap_or((record.epoch, now)))
        };
        self.parked = records.iter().map(since).collect();
        self.subnets = records.iter().map(|record| record.subnet.clone()).collect();
    }

    fn is_reserved(&self, StaticIp { address, subnet, .. }: &StaticIp) -> bool {
        let found = self.read.iter().filter_map(|read| read.found.get(subnet)).flatten();
        found.into_iter().any(|one| one.explicit && one.block.contains(address))
    }

    /// The subnets whose reservations matter.
    pub(super) fn subnets(&self) -> &BTreeSet<SubnetId> {
        &self.subnets
    }

    /// How urgently the reservations are to be read.
    pub(super) fn wants(&self, now: Moment) -> Option<Want> {
        if self.subnets.is_empty() || now < self.next_read {
            return None;
        }
        let Some(read) = &self.read else {
            return Some(self.missing_since.map_or(Want::Steady, |_| Want::Now));
        };
        let age = now.since(read.asked);
        if self.missing_since.is_some() {
            return (age >= FRESH).then_some(Want::Now);
        }
        let known = self.subnets.iter().all(|subnet| read.found.contains_key(subnet));
        (!known || age >= READ_EVERY).then_some(Want::Steady)
    }

    /// A read of the reservations that was started at `asked` has ended. A failed one keeps what is
    /// known.
    pub(super) fn queried(
        &mut self,
        read: Result<Reservations, CloudFailure>,
        asked: Moment,
        now: Moment,
    ) {
        match read {
            Ok(found) => self.read = Some(ReservationsRead { found, asked, reported: false }),
            Err(_logged) => self.next_read = now.plus(RETRY),
        }
    }

    /// An eviction has ended. After a failure all others wait, and the address is the last to be
    /// tried again.
    pub(super) fn ended(&mut self, address: Ipv4Addr, well: bool, now: Moment) {
        if well {
            self.backoff = Backoff::default();
            return;
        }
        self.backoff.failed(now);
        if let Some((_, since)) = self.parked.get_mut(&address) {
            *since = now;
        }
    }
}

#[cfg(test)]
#[path = "evict_tests.rs"]
mod tests;
