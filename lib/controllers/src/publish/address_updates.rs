//! Which static IPs of the node get their conditions written.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::ids::NodeName;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;
use firecamp_registry::api::{AddressStatus, Condition};

use crate::publish::address_status::AddressTracker;
use crate::publish::facts::Facts;
use crate::publish::static_ip_conditions::conditions;

/// The addresses of the node, and the conditions that were written for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressUpdates {
    trackers: BTreeMap<Ipv4Addr, AddressTracker>,
    written: BTreeMap<Ipv4Addr, (StaticIp, Vec<Condition>)>,
}

impl AddressUpdates {
    /// Resumes from what was published last.
    pub(crate) fn resume(&mut self, published: &[AddressStatus]) {
        for row in published {
            if let Ok(address) = row.address.parse() {
                self.trackers.entry(address).or_default().resume(row);
            }
        }
    }

    /// Processes the current facts. Returns the published statuses, if the addresses are known.
    pub(crate) fn step(&mut self, facts: &Facts, now: Moment) -> Option<Vec<AddressStatus>> {
        let (node, known) = (&facts.node, facts.addresses.as_ref()?);
        let is_known =
            |address: &Ipv4Addr| known.iter().any(|fact| fact.record.address == *address);
        self.trackers.retain(|address, _| is_known(address));
        self.written.retain(|address, _| is_known(address));
        for fact in known {
            let tracker = self.trackers.entry(fact.record.address).or_default();
            tracker.step(now, fact, node, facts.pools.as_deref());
        }
        Some(self.trackers.values().filter_map(|tracker| tracker.status(node)).collect())
    }

    /// Whether time alone may change a published status.
    pub(crate) fn is_waiting(&self) -> bool {
        self.trackers.values().any(AddressTracker::is_waiting)
    }

    /// The records of this node whose conditions are to be written.
    pub(crate) fn next(
        &self,
        node: &NodeName,
    ) -> impl Iterator<Item = (&StaticIp, Vec<Condition>)> {
        self.trackers.iter().filter_map(move |(address, tracker)| {
            let record = tracker.shown()?;
            if record.attachment.as_ref()?.node != *node {
                return None;
            }
            let conditions = conditions(tracker);
            let last = self.written.get(address);
            let is_written =
                last.is_some_and(|(about, last)| about == record && *last == conditions);
            (!is_written).then_some((record, conditions))
        })
    }

    /// The conditions were written, or are current.
    pub(crate) fn written(&mut self, record: &StaticIp, conditions: &[Condition]) {
        self.written.insert(record.address, (record.clone(), conditions.to_vec()));
    }
}
