//! The passes of the leader: adopted addresses, and addresses of lost nodes. The product's planner
//! makes all decisions.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::leader::{Operation, Queries, QueryResults, is_orphan, timing};
use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::Operation as NodeOperation;
use firecamp_core::contract::timing as bounds;
use firecamp_core::decide;
use firecamp_core::ports::{Owner, OwnerEni, PodView, SocketScope};
use firecamp_core::record::{MemberRecords, State, StaticIp, Stored, Write};
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_core::time::Moment;

use super::Model;
use super::process::{ProcessKind, Slot};
use super::queue::Event;
use crate::lease_holder::{releases, site};
use crate::names::{NodeIx, ProcessId};

/// The pause between two passes over lost nodes.
const LOST_NODES_EVERY: Duration = Duration::from_secs(2);

impl Model<'_> {
    /// One pass of the leader: what becomes of adopted addresses.
    pub(super) fn pass(&mut self, slot: Slot) {
        let Some(pause) = self.pause(slot, timing::PASS_EVERY, Event::LeaderPass(slot)) else {
            return;
        };
        self.queue.push(self.now.plus(pause), Event::LeaderPass(slot));
        let (_, answered) = self.query_registry(slot);
        let (node, now, holds) = self.candidate(slot);
        let Some(agent) = self.agent(slot) else { return };
        let mut planner = std::mem::take(&mut agent.planner);
        if !holds {
            // A new leader starts from scratch.
            return;
        }
        let operations = if answered {
            let (view, site) = (self.cluster.leader_view(self.names), site(node, self.names));
            planner.plan(&view, &site, &QueryResults::default(), now)
        } else {
            Vec::new()
        };
        if let Some(agent) = self.agent(slot) {
            agent.planner = planner;
        }
        for operation in operations {
            self.act_for_orphan(slot, &operation);
        }
    }

    /// The node of an agent, the time, and whether it holds the Lease.
    fn candidate(&self, slot: Slot) -> (NodeIx, Moment, bool) {
        let node = self.processes[slot.at()].spawn.node;
        let agent = |p: &&super::Process| p.alive && matches!(p.machine, ProcessKind::Agent(_));
        let agents = self.processes.iter().filter(agent).map(|agent| agent.spawn.node);
        (node, self.now, self.cluster.holds_lease(node, agents))
    }

    /// One pass of the leader over lost nodes.
    pub(super) fn pass_lost_nodes(&mut self, slot: Slot) {
        let Some(pause) = self.pause(slot, LOST_NODES_EVERY, Event::LostNodes(slot)) else {
            return;
        };
        self.queue.push(self.now.plus(pause), Event::LostNodes(slot));
        let (node, now, holds) = self.candidate(slot);
        let lost = self.cluster.is_any_node_lost();
        let Some(agent) = self.agent(slot) else { return };
        let mut planner = std::mem::take(&mut agent.lost_nodes);
        if !holds || !lost {
            return;
        }
        if self.query_registry(slot).1 {
            let (view, site) = (self.cluster.leader_view(self.names), site(node, self.names));
            let answers = self.answers(slot, planner.ask(&view, &site));
            for (address, operation) in releases(&mut planner, (&view, &site), &answers, now) {
                self.release_for(slot, address, &operation);
            }
        }
        if let Some(agent) = self.agent(slot) {
            agent.lost_nodes = planner;
        }
    }

    fn answers(&mut self, slot: Slot, queries: Queries) -> QueryResults {
        let (names, now) = (self.names, self.now);
        let mut answers = QueryResults::default();
        for member in queries.pods {
            if self.query_registry(slot).1 {
                let pod = self.cluster.leader_pod(&member, names, now);
                answers.pods.insert(member, pod);
            }
        }
        for address in queries.owners {
            let record = self.cluster.registry.static_ips.get(&address);
            let attachment = record.and_then(|stored| stored.object.attachment.clone());
            let eni = attachment.and_then(|attachment| attachment.eni);
            if let (_, Reply::Owner(Ok(owner))) = self.describe_owner(slot, address) {
                let there =
                    |owner: &OwnerEni| owner.instance.is_some() && eni.as_ref() == Some(&owner.id);
                let held = matches!(&owner, Owner::Eni(owner) if there(owner));
                answers.held.insert(address, held);
            }
        }
        answers
    }

    /// Executes a release of the leader, unless one of that address is running.
    fn release_for(&mut self, slot: Slot, address: Ipv4Addr, operation: &NodeOperation) {
        let NodeOperation::Release { member, .. } = operation else { return };
        let own = |p: &super::Process| p.alive && p.agent == Some(slot) && p.by_leader;
        if !self.processes.iter().any(|p| own(p) && p.about == Some(address)) {
            self.execute(slot, operation, (address, member));
        }
    }

    /// Executes an operation on an orphaned address. The leader's other operations have tests of
    /// their own.
    fn act_for_orphan(&mut self, slot: Slot, operation: &Operation) {
        let (Operation::Unassign { address, .. } | Operation::DeleteStaticIp { address, .. }) =
            operation
        else {
            return;
        };
        let Some(stored) = self.cluster.registry.static_ips.get(address).cloned() else { return };
        let orphaned = stored.object.member.is_orphaned() && is_orphan(*address, None);
        let busy = self.processes.iter().any(|p| p.alive && p.reclaims == Some(*address));
        if !orphaned || busy || !self.query_registry(slot).1 {
            return;
        }
        if let Operation::DeleteStaticIp { id, .. } = operation {
            if id.version == stored.version {
                self.cluster.registry.static_ips.remove(address);
                self.trace.add(self.now, address, || format!("  record of {address}: dropped"));
                self.coverage.hit("adoption: reclaimed");
            }
            return;
        }
        self.unassign_orphan(slot, *address, &stored);
    }

    /// Announces the release that unassigns, and runs it.
    fn unassign_orphan(&mut self, slot: Slot, address: Ipv4Addr, stored: &Stored<StaticIp>) {
        let Some(attachment) = &stored.object.attachment else { return };
        let own = self.slot();
        let input = ReleaseInput {
            member: stored.object.member.clone(),
            pod: attachment.pod.clone(),
            run: self.names.run(ProcessId(own.0)),
            unassign: true,
            await_stop: false,
            by: Releaser::AgentElsewhere,
            scope: SocketScope::All,
            drain: bounds::DRAIN,
            grace: bounds::OPERATION_DEADLINE,
        };
        let spawn = self.processes[slot.at()].spawn;
        let machine = self.release(input);
        self.begin(spawn, machine, Some(slot));
        self.process(own).reclaims = Some(address);
        let announced = match attachment.state {
            State::Releasing => true,
            State::Parked => self.announce(own, stored),
            State::Attaching | State::Attached | State::Released => false,
        };
        if !announced {
            self.process(own).alive = false;
        }
    }

    fn announce(&mut self, own: Slot, Stored { version, object }: &Stored<StaticIp>) -> bool {
        // With a run ID of its own, like every write of the holder.
        let run = self.names.run(ProcessId(u32::MAX.saturating_sub(own.0)));
        let Some((object, _)) = decide::releasing(object, &run) else { return false };
        let write = Write::UpdateStaticIp(Stored { version: version.clone(), object });
        matches!(self.land_write(own, &write), Reply::Written(Ok(_)))
    }

    /// The reads of a release that reclaims: the record by its address, and no pod.
    pub(super) fn read_for_orphan(&mut self, slot: Slot, action: &Action) -> Option<Reply> {
        let address = self.processes[slot.at()].reclaims?;
        let registry = &self.cluster.registry;
        if let Action::ReadMember = action {
            let static_ip = registry.static_ips.get(&address).cloned();
            let pool = registry.pools.values().next().cloned();
            let records = MemberRecords { claim: None, static_ip, pool };
            return Some(Reply::Member(Ok(Box::new(records))));
        }
        matches!(action, Action::ReadPod).then_some(Reply::Pod(Ok(PodView::Absent)))
    }
}
