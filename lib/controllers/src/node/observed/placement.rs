//! Whether EC2 has the addresses of this node on their ENIs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::ids::EniId;
use firecamp_core::network_interface::{Interface, places};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::Holder;
use firecamp_core::time::Moment;

use super::Observed;
use crate::node::LostAddress;

/// Whether an address is on its ENI in EC2.
#[derive(Debug, Clone, Default)]
pub(super) struct Placement {
    /// None is unknown. `false` holds until EC2 shows the address here or an operation has looked
    /// it up: the metadata service may be frozen.
    pub(super) in_place: Option<bool>,
    /// EC2 showed an earlier epoch elsewhere, so the metadata service alone cannot confirm it.
    pub(super) doubted: bool,
    /// Since when the metadata service has not listed it, and whether EC2 has shown it here since
    /// then: if it did, longer than reads lag, its absence there is nothing new.
    absent: Option<(Moment, bool)>,
}

impl Observed {
    /// Applies a read of the metadata service: presence confirms, absence proves nothing.
    pub(in crate::node) fn identified(&mut self, identity: NodeIdentity, now: Moment) {
        self.enis.clone_from(&identity.enis);
        self.identity = Some(identity);
        for (address, eni) in self.held() {
            let place = self.places.entry(address).or_default();
            let here = self.enis.iter().any(|one| one.id == eni && one.listed.contains(&address));
            if here {
                place.absent = None;
            } else {
                place.absent.get_or_insert((now, false));
            }
            match (place.in_place, place.absent) {
                (None, None) if !place.doubted => place.in_place = Some(true),
                (Some(true), Some((_, false))) => place.in_place = None,
                (Some(_) | None, _) => {}
            }
        }
    }

    /// Applies a query of the node's interfaces that started at `queried`, when `held` was on
    /// record. If it lacks an address that was attached shortly before, it may be stale, because
    /// EC2's reads lag. Returns the time from which a query is conclusive.
    pub(in crate::node) fn listed_by_ec2(
        &mut self,
        held: &BTreeMap<Ipv4Addr, EniId>,
        listing: &[Interface],
        queried: Moment,
    ) -> Option<Moment> {
        let now = self.held();
        let mut again = None;
        for (address, here) in places(held, listing) {
            // Skip addresses that were attached or moved during the query.
            if now.get(&address) != held.get(&address) {
                continue;
            }
            let since = self.since.get(&address).map_or(queried, |(_, at)| *at);
            let conclusive = since.plus(timing::DESCRIBE_LAG);
            if here || queried >= conclusive {
                let absent = self.places.get(&address).and_then(|place| place.absent);
                let shown = |(since, _): (Moment, bool)| {
                    let settled = since.plus(timing::DESCRIBE_LAG);
                    again =
                        if here && queried < settled { again.max(Some(settled)) } else { again };
                    (since, here && queried >= settled)
                };
                let absent = absent.map(shown);
                self.places
                    .insert(address, Placement { in_place: Some(here), doubted: false, absent });
            } else {
                again = again.max(Some(conclusive));
            }
        }
        again
    }

    /// The addresses attached to this node by record, each with its holder.
    pub(in crate::node) fn holders(&self) -> BTreeMap<Ipv4Addr, LostAddress> {
        let records = self.listing.as_ref().map(|listing| &listing.records);
        let lost = |(address, eni): (Ipv4Addr, EniId)| {
            let record = records?.get(&address)?;
            let pod = record.attachment.as_ref()?.pod.clone();
            let holder = Holder { pod, epoch: record.epoch };
            let subnet = record.subnet.clone();
            Some((address, LostAddress { address, subnet, eni, holder, withheld: false }))
        };
        self.held().into_iter().filter_map(lost).collect()
    }

    /// The addresses that this node has held for so long.
    pub(in crate::node) fn settled(&self, age: Duration, now: Moment) -> BTreeSet<Ipv4Addr> {
        let old = self.since.iter().filter(|(_, (_, since))| now.since(*since) >= age);
        old.map(|(address, _)| *address).collect()
    }

    /// Records when each address was first held here by its epoch. That EC2 showed it elsewhere
    /// concerns an earlier epoch: the new holder may have moved it back.
    pub(super) fn note_holds(&mut self, now: Moment) {
        let held = self.holders();
        let epoch = |address: &Ipv4Addr| held.get(address).map(|lost| lost.holder.epoch);
        self.since.retain(|address, (seen, _)| epoch(address) == Some(*seen));
        for (address, lost) in &held {
            let Entry::Vacant(first) = self.since.entry(*address) else { continue };
            first.insert((lost.holder.epoch, now));
            if let Some(place) = self.places.get_mut(address) {
                place.doubted |= place.in_place == Some(false);
                place.in_place = place.in_place.filter(|here| *here);
                place.absent = None;
            }
            self.memories.entry(*address).or_default().forget();
        }
    }

    /// The misplaced addresses: EC2 shows them elsewhere.
    pub(in crate::node) fn lost(&self) -> Vec<LostAddress> {
        let misplaced = |lost: &LostAddress| {
            self.places.get(&lost.address).is_some_and(|place| place.in_place == Some(false))
        };
        self.holders().into_values().filter(misplaced).collect()
    }

    /// Whether the address is known to be on its ENI.
    pub(in crate::node) fn is_in_place(&self, address: Ipv4Addr) -> bool {
        self.places.get(&address).is_some_and(|place| place.in_place == Some(true))
    }

    /// A re-assert has found or assigned the address: its place must be observed again.
    pub(in crate::node) fn reasserted(&mut self, address: Ipv4Addr) {
        self.places.insert(address, Placement::default());
    }

    /// Whether an address of this node is not known to be on its ENI. False before the first read
    /// of the metadata service.
    pub(in crate::node) fn has_unplaced(&self) -> bool {
        let placed =
            |address| self.places.get(address).is_some_and(|place| place.in_place == Some(true));
        self.identity.is_some() && !self.held().keys().all(placed)
    }
}
