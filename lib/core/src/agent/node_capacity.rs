//! The capacity of a node: the amounts of its extended resources.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::ids::{EniId, ResourceName};
use crate::node_identity::Eni;

/// Amounts of extended resources.
pub type ResourceList = BTreeMap<ResourceName, u32>;

/// Capacity for addresses on a node's ENIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots {
    /// How many more addresses EC2 would assign.
    pub free: u32,
    /// How many addresses members of this node hold, as far as they fit.
    pub held: u32,
}

impl Slots {
    /// The node's capacity. The scheduler subtracts the members that run there itself.
    pub fn capacity(self) -> u32 {
        self.free.saturating_add(self.held)
    }
}

/// The capacity of these ENIs, each of which takes `limit` addresses, including its primary one and
/// its prefixes. `held` are the addresses that records have attached, or are attaching, to each
/// ENI. A parked address uses a slot, but no member holds it. The metadata service lags, so an
/// address counts as soon as it is either listed or held.
pub fn slots<'a>(
    enis: impl IntoIterator<Item = &'a Eni>,
    limit: u32,
    held: &BTreeMap<EniId, BTreeSet<Ipv4Addr>>,
) -> Slots {
    let none = BTreeSet::new();
    enis.into_iter().fold(Slots::default(), |all, eni| {
        let own = held.get(&eni.id).unwrap_or(&none);
        let others = count(eni.listed.difference(own).filter(|a| **a != eni.primary_address));
        let used = others.saturating_add(1).saturating_add(eni.prefixes);
        let fitting = limit.saturating_sub(used);
        // An address that EC2 does not have yet is held by its record alone. If others have filled
        // the interface in the meantime, EC2 refuses it.
        let held = count(own.iter()).min(fitting);
        Slots {
            free: all.free.saturating_add(fitting.saturating_sub(held)),
            held: all.held.saturating_add(held),
        }
    })
}

fn count(addresses: impl Iterator<Item = impl Sized>) -> u32 {
    u32::try_from(addresses.count()).unwrap_or(u32::MAX)
}
