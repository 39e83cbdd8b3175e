//! The facts about addresses and pools that the agent publishes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::agent::{KernelOwner, ResourceList};
use firecamp_core::contract::exit::Exit;
use firecamp_core::record::{State, StaticIp};

use super::Observed;
use crate::node::operations::Failing;
use crate::node::{LocalPods, OperationKind};
use crate::publish::Facts;
use crate::publish::facts::AddressFact;

/// How much of each resource these pods occupy together.
fn requested(pods: &LocalPods) -> ResourceList {
    let mut all = ResourceList::new();
    for (name, amount) in pods.values().flat_map(|pod| &pod.requested) {
        let sum = all.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*amount);
    }
    all
}

impl Observed {
    /// The facts that this process has observed itself.
    pub(in crate::node) fn facts(&self, failing: &Failing) -> Facts {
        let listing =
            self.listing.as_ref().filter(|_| self.listed && self.kernel_snapshot.is_some());
        let addresses = listing.map(|listing| {
            let records = listing.records.values();
            records.filter_map(|record| self.address(record, failing)).collect()
        });
        Facts {
            addresses,
            pools: listing.and_then(|listing| listing.pools.clone()),
            requested: listing.and_then(|listing| listing.local_pods.as_ref().map(requested)),
            ..Facts::new(self.node.clone())
        }
    }

    /// The facts about one record; none if it does not concern this node.
    fn address(&self, record: &StaticIp, failing: &Failing) -> Option<AddressFact> {
        let attachment = record.attachment.as_ref()?;
        let (here, attached) = (attachment.node == self.node, attachment.state == State::Attached);
        let address = record.address;
        let in_place = self.places.get(&address).and_then(|place| place.in_place);
        let in_kernel = if here && attached {
            self.views.get(&address).map(|(_, view)| view.is_complete())
        } else {
            let ours = |kernel: &BTreeMap<Ipv4Addr, KernelOwner>| {
                kernel.get(&address) == Some(&KernelOwner::Ours)
            };
            self.kernel_snapshot.as_ref().map(|kernel_snapshot| ours(&kernel_snapshot.kernel))
        };
        if !here && in_kernel != Some(true) {
            return None;
        }
        // For a parked address only its presence is known: it is not queried in EC2.
        let listed = self
            .enis
            .iter()
            .any(|eni| Some(&eni.id) == attachment.eni.as_ref() && eni.listed.contains(&address));
        let in_ec2 = if attached { in_place } else { listed.then_some(true) };
        let failed = OperationKind::ALL.iter().find_map(|kind| failing.get(&(address, *kind)));
        let is_taken = |(exit, _): &&(Exit, String)| *exit == Exit::AddressUnavailable;
        Some(AddressFact {
            record: record.clone(),
            in_kernel,
            in_ec2,
            foreign: failed.filter(is_taken).map(|(_, message)| message.clone()),
            failing: failed.map(|(exit, message)| (exit.reason().to_owned(), message.clone())),
            evictable: false,
        })
    }
}
