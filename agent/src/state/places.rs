//! Where EC2 has the addresses of this node, as far as is known.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::Ipv4Addr;

use firecamp_core::contract::timing;
use firecamp_core::ids::EniId;
use firecamp_core::interface::{Interface, places};
use firecamp_core::node::NodeIdentity;
use firecamp_core::outside::Holder;
use firecamp_core::time::Moment;

use super::Observed;
use crate::cut_off::Lost;

/// Where an address is in EC2, as far as is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// EC2's word that it is elsewhere stands until EC2 says otherwise, or an errand has looked:
    /// the metadata service may be frozen.
    pub(super) in_place: Option<bool>,
    /// EC2 said so of an earlier epoch, and the metadata service's word is not enough any more.
    pub(super) doubted: bool,
}

impl Observed {
    /// Takes in what the metadata service lists: a presence confirms, an absence proves nothing.
    pub(crate) fn identified(&mut self, identity: NodeIdentity) {
        self.enis.clone_from(&identity.enis);
        self.identity = Some(identity);
        for (address, eni) in self.held() {
            let place = self.places.entry(address).or_default();
            let here = self.enis.iter().any(|one| one.id == eni && one.listed.contains(&address));
            match place.in_place {
                None if here && !place.doubted => place.in_place = Some(true),
                Some(true) if !here => place.in_place = None,
                Some(_) | None => {}
            }
        }
    }

    /// Takes in one listing of the node's interfaces, begun at `looked` when `held` was on record.
    /// Where it lacks what came here shortly before, it may be of the time before that: EC2's reads
    /// lag, an errand's own look alike. Returns from when on a look can tell.
    pub(crate) fn listed_by_ec2(
        &mut self,
        held: &BTreeMap<Ipv4Addr, EniId>,
        listing: &[Interface],
        looked: Moment,
    ) -> Option<Moment> {
        let now = self.held();
        let mut again = None;
        for (address, here) in places(held, listing) {
            // What came or moved meanwhile was not looked for.
            if now.get(&address) != held.get(&address) {
                continue;
            }
            let tells = self.since.get(&address).map_or(looked, |(_, at)| *at);
            let tells = tells.plus(timing::DESCRIBE_LAG);
            if here || looked >= tells {
                let place = Place { in_place: Some(here), doubted: false };
                self.places.insert(address, place);
            } else {
                again = again.max(Some(tells));
            }
        }
        again
    }

    /// The addresses that records have attached to this node, each with its holder.
    pub(crate) fn holders(&self) -> BTreeMap<Ipv4Addr, Lost> {
        let records = self.listing.as_ref().map(|listing| &listing.records);
        let lost = |(address, eni): (Ipv4Addr, EniId)| {
            let record = records?.get(&address)?;
            let pod = record.attachment.as_ref()?.pod.clone();
            let holder = Holder { pod, epoch: record.epoch };
            let subnet = record.subnet.clone();
            Some((address, Lost { address, subnet, eni, holder, withheld: false }))
        };
        self.held().into_iter().filter_map(lost).collect()
    }

    /// Notes since when each address is held here by its epoch. That EC2 had it elsewhere was said
    /// of an epoch: whoever has it since then may have moved it back.
    pub(super) fn note_holds(&mut self, now: Moment) {
        let held = self.holders();
        let epoch = |address: &Ipv4Addr| held.get(address).map(|lost| lost.holder.epoch);
        self.since.retain(|address, (seen, _)| epoch(address) == Some(*seen));
        for (address, lost) in &held {
            let Entry::Vacant(unseen) = self.since.entry(*address) else { continue };
            unseen.insert((lost.holder.epoch, now));
            if let Some(place) = self.places.get_mut(address) {
                place.doubted |= place.in_place == Some(false);
                place.in_place = place.in_place.filter(|here| *here);
            }
            self.memories.entry(*address).or_default().forget();
        }
    }

    /// Those that EC2 shows elsewhere.
    pub(crate) fn lost(&self) -> Vec<Lost> {
        let astray = |lost: &Lost| {
            self.places.get(&lost.address).is_some_and(|place| place.in_place == Some(false))
        };
        self.holders().into_values().filter(astray).collect()
    }

    /// Whether it was seen where it belongs.
    pub(crate) fn is_in_place(&self, address: Ipv4Addr) -> bool {
        self.places.get(&address).is_some_and(|place| place.in_place == Some(true))
    }

    /// A re-assert has found or put the address in its place: that has to be seen anew.
    pub(crate) fn reasserted(&mut self, address: Ipv4Addr) {
        self.places.insert(address, Place::default());
    }

    /// Whether an address of this node is not known to be in its place. Before the metadata
    /// service has answered nothing is known, and nothing is wanted.
    pub(crate) fn has_unplaced(&self) -> bool {
        let placed =
            |address| self.places.get(address).is_some_and(|place| place.in_place == Some(true));
        self.identity.is_some() && !self.held().keys().all(placed)
    }
}
