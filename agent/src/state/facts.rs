//! What is told of all that was observed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_controllers::publish::Facts;
use firecamp_controllers::publish::facts::AddressFact;
use firecamp_core::agent::KernelMark;
use firecamp_core::contract::exit::Exit;
use firecamp_core::record::{State, StaticIp};

use super::Observed;
use crate::status::{KINDS, Kind};

/// Why the last errand of each kind of an address failed.
pub(crate) type Failing = BTreeMap<(Ipv4Addr, Kind), (Exit, String)>;

impl Observed {
    /// What this process has seen itself of addresses and pools.
    pub(crate) fn facts(&self, failing: &Failing) -> Facts {
        let listing = self.listing.as_ref().filter(|_| self.listed && self.survey.is_some());
        let addresses = listing.map(|listing| {
            let records = listing.records.values();
            records.filter_map(|record| self.address(record, failing)).collect()
        });
        Facts {
            addresses,
            pools: listing.and_then(|listing| listing.pools.clone()),
            ..Facts::new(self.node.clone())
        }
    }

    /// None of what does not concern this node.
    fn address(&self, record: &StaticIp, failing: &Failing) -> Option<AddressFact> {
        let attachment = record.attachment.as_ref()?;
        let (here, attached) = (attachment.node == self.node, attachment.state == State::Attached);
        let address = record.address;
        let in_place = self.places.get(&address).and_then(|place| place.in_place);
        let in_kernel = if here && attached {
            self.views.get(&address).map(|(_, view)| view.is_complete())
        } else {
            let ours = |kernel: &BTreeMap<Ipv4Addr, KernelMark>| {
                kernel.get(&address) == Some(&KernelMark::Ours)
            };
            self.survey.as_ref().map(|survey| ours(&survey.kernel))
        };
        if !here && in_kernel != Some(true) {
            return None;
        }
        // Of what is parked only a presence is known: nobody asks EC2 about it.
        let listed = self
            .enis
            .iter()
            .any(|eni| Some(&eni.id) == attachment.eni.as_ref() && eni.listed.contains(&address));
        let in_ec2 = if attached { in_place } else { listed.then_some(true) };
        let failed = KINDS.iter().find_map(|kind| failing.get(&(address, *kind)));
        let is_taken = |(exit, _): &&(Exit, String)| *exit == Exit::AddressUnavailable;
        Some(AddressFact {
            record: record.clone(),
            in_kernel,
            in_ec2,
            foreign: failed.filter(is_taken).map(|(_, message)| message.clone()),
            failing: failed.map(|(exit, message)| (exit.reason().to_owned(), message.clone())),
        })
    }
}
