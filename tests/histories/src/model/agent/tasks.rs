//! The tasks of an agent, each of which ends with an event.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::node::{Event as NodeEvent, Task};

use crate::model::Model;
use crate::model::process::Slot;
use crate::observation::{interface_step, node_facts};

impl Model<'_> {
    pub(super) fn start(&mut self, slot: Slot, task: Task) {
        match task {
            Task::List(known) => self.list(slot, &known),
            Task::Identify(_) => self.identify(slot),
            Task::ReadFiles => self.tell(slot, Duration::ZERO, NodeEvent::Files(node_facts())),
            Task::QueryInterfaces(_) => self.query_interfaces(slot),
            Task::QueryVolumes(_) => self.query_volumes(slot),
            Task::QueryTypeLimits(_) => self.query_type_limits(slot),
            Task::QueryReservations(_) => self.query_reservations(slot),
            Task::QueryClaims(addresses) => {
                let (after, claimed) = self.recorded(slot, &addresses);
                self.tell(slot, after, NodeEvent::Claimed(claimed));
            }
            Task::CheckOrphans(found, begun) => {
                self.examines(slot);
                let addresses = found.iter().map(|orphan| orphan.address).collect();
                let (after, recorded) = self.recorded(slot, &addresses);
                self.tell(slot, after, NodeEvent::Orphans(found, recorded, begun));
            }
            Task::Adopt(orphan, own) => {
                let now = self.now;
                let Some(agent) = self.agent(slot) else { return };
                let proof = agent.proof.take(orphan.address);
                self.audit.due(now, slot.0, (orphan.address, proof));
                self.attempt_for(slot, orphan, own);
            }
            Task::Investigate(lost) => self.investigate(slot, lost),
            Task::Raise(eni) => {
                self.tell(slot, Duration::ZERO, NodeEvent::Raised(eni.id, Ok(true)));
            }
            Task::Interface(step) => self.tell(slot, Duration::ZERO, interface_step(&step)),
            Task::Execute(operation, address, member) => {
                self.execute(slot, &operation, (address, &member));
            }
        }
    }

    /// Whether each of them has a record; one whose read failed is omitted.
    fn recorded(
        &mut self,
        slot: Slot,
        addresses: &BTreeSet<Ipv4Addr>,
    ) -> (Duration, BTreeMap<Ipv4Addr, bool>) {
        let (mut took, mut recorded) = (Duration::ZERO, BTreeMap::new());
        for address in addresses {
            let (time, answered) = self.query_registry(slot);
            took = took.saturating_add(time);
            if answered {
                let there = self.cluster.registry.static_ips.contains_key(address);
                recorded.insert(*address, there);
            }
        }
        (took, recorded)
    }
}
