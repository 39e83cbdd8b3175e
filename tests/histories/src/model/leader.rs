//! An agent as candidate and leader: how the effects of its [`LeaderController`], which makes all
//! decisions, are performed in the simulated cluster.
//!
//! [`LeaderController`]: firecamp_controllers::leader::LeaderController

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::leader::{
    Effect, Event as LeaderEvent, Identity, Operation, PassStep, Report, StepResult, is_orphan,
};
use firecamp_controllers::node::Event as NodeEvent;
use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::Operation as NodeOperation;
use firecamp_core::contract::timing as bounds;
use firecamp_core::decide;
use firecamp_core::failure::CloudKind;
use firecamp_core::managed_interface::DescribedInterface;
use firecamp_core::network_interface::Interface;
use firecamp_core::ports::{PodView, SocketScope};
use firecamp_core::record::{MemberRecords, State, StaticIp, Stored, Write};
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_core::time::Moment;

use super::Model;
use super::agent::unavailable;
use super::process::{Process, Slot};
use super::queue::Event;
use crate::audit::End;
use crate::names::{NodeIx, ProcessId};
use crate::scenario::Fault;

impl Model<'_> {
    /// The tick with this number is due, unless another one has replaced it.
    pub(super) fn leader_tick(&mut self, slot: Slot, number: u32) {
        let Some(agent) = self.agent(slot).filter(|agent| agent.leader_ticks == number) else {
            return;
        };
        let in_term = agent.leader.in_term();
        if self.pause(slot, Duration::ZERO, Event::LeaderTick(slot, number)).is_none() {
            return;
        }
        let random = self.process(slot).rng.millis(0, 1_000).as_secs_f64();
        let mut events = Vec::new();
        if in_term {
            let answers = self.query_registry(slot).1;
            let reports = self.cluster.reports(answers, self.names).into_iter();
            events.extend(reports.map(|report| LeaderEvent::Cluster(Box::new(report))));
        }
        events.push(LeaderEvent::Tick(random));
        if let Some(agent) = self.agent(slot) {
            agent.leader_due = None;
        }
        self.lead(slot, events);
    }

    /// Passes events to the controller, performs the effects, and schedules the next tick.
    pub(super) fn lead(&mut self, slot: Slot, events: impl IntoIterator<Item = LeaderEvent>) {
        let now = self.now;
        let mut events: VecDeque<_> = events.into_iter().collect();
        while let Some(event) = events.pop_front() {
            let Some(agent) = self.agent(slot) else { return };
            for effect in agent.leader.handle(event, now) {
                events.extend(self.perform_for_leader(slot, effect));
            }
        }
        let Some(agent) = self.agent(slot) else { return };
        let due = agent.leader.next_tick().map(|due| due.max(now));
        if due != agent.leader_due {
            agent.leader_due = due;
            agent.leader_ticks = agent.leader_ticks.wrapping_add(1);
            let tick = Event::LeaderTick(slot, agent.leader_ticks);
            if let Some(due) = due {
                self.queue.push(due, tick);
            }
        }
    }

    /// Performs an effect. Returns the event to which it leads at once.
    fn perform_for_leader(&mut self, slot: Slot, effect: Effect) -> Option<LeaderEvent> {
        match effect {
            Effect::ReadLease(id) => {
                let (after, answered) = self.query_registry(slot);
                let lease = self.cluster.leases.read(slot.0);
                let read = if answered { Ok(lease) } else { Err(unavailable()) };
                self.tell(slot, after, LeaderEvent::LeaseRead(id, read));
            }
            Effect::WriteLease(id, write) => {
                let (after, answered) = self.query_registry(slot);
                let mut written = Err(unavailable());
                if answered {
                    let done = self.cluster.leases.write(slot.0, write);
                    let lost = self.injects(slot, Fault::RegistryLost);
                    written = if lost { written } else { done };
                }
                self.tell(slot, after, LeaderEvent::LeaseWritten(id, written));
            }
            Effect::Start(step) => return self.start_step(slot, step),
            // From now on each tick reports the cluster.
            Effect::BeginTerm => {
                self.trace.add(self.now, &slot.0, || format!("run-{} becomes the leader", slot.0));
            }
            Effect::EndTerm => {
                self.trace.add(self.now, &slot.0, || format!("run-{} ends its term", slot.0));
                self.interrupt_operation(slot);
            }
            Effect::Report(Report::LeaseRead(read)) if self.scenario.shape.watches => {
                self.handle(slot, NodeEvent::LeaseRead(read.ok().flatten()));
            }
            // No history stops an agent gracefully, or has Services.
            Effect::DropOperation | Effect::StartNames(_) | Effect::Report(_) => {}
        }
        None
    }

    /// Starts a step. Returns its end if it ends at once.
    fn start_step(&mut self, slot: Slot, step: PassStep) -> Option<LeaderEvent> {
        let (after, result) = match step {
            PassStep::Identify => {
                let node = self.processes[slot.at()].spawn.node;
                let answered = self.metadata_fails(slot).is_none();
                let read = answered.then(|| self.cluster.identity(node, self.names, self.now));
                let after = self.process(slot).rng.micros(500, 4_000);
                (after, StepResult::Identified(read))
            }
            PassStep::ListInterfaces => {
                let (after, shown_at) = self.describe(slot);
                let listed = shown_at.map(|then| self.listed(then)).ok_or(CloudKind::Transient);
                (after, StepResult::InterfacesListed(Some(listed)))
            }
            PassStep::ReadOwner(address, _) => {
                let (after, reply) = self.describe_owner(slot, address);
                let Reply::Owner(read) = reply else { return None };
                (after, StepResult::OwnerRead(Some(read.map_err(|why| why.kind))))
            }
            PassStep::ReadPod(member) => {
                let (after, answered) = self.query_registry(slot);
                let pod = self.cluster.leader_pod(&member, self.names, self.now);
                (after, StepResult::PodRead(answered.then_some(pod)))
            }
            // No pod has a gate.
            PassStep::ReadVolumes(..) => (Duration::ZERO, StepResult::VolumesRead(None)),
            // FireCamp makes no interface here.
            PassStep::QueryInterface(_) => (Duration::ZERO, StepResult::InterfaceQueried(None)),
            PassStep::Perform(operation, _) => {
                return (!self.begin_operation(slot, &operation)).then(performed);
            }
        };
        self.tell(slot, after, LeaderEvent::StepEnded(result));
        None
    }

    /// All interfaces of nodes. Agents with watches rely on the leader's lists, as in a cluster;
    /// the others query EC2 themselves, as with a file registry.
    fn listed(&self, then: Moment) -> Vec<DescribedInterface> {
        let carrier = self.scenario.shape.slot();
        let nodes = (0..).map(NodeIx).take(self.cluster.nodes.len());
        let all = nodes.flat_map(|node| self.cluster.interfaces((node, carrier), self.names, then));
        let described = |one: Interface| DescribedInterface {
            id: one.id,
            addresses: one.addresses,
            prefixes: one.prefixes,
            attachment: None,
            record: None,
            cluster_uid: None,
        };
        all.map(described).collect()
    }

    /// Starts an operation. Returns whether a process performs it, whose end is reported.
    fn begin_operation(&mut self, slot: Slot, operation: &Operation) -> bool {
        match operation {
            Operation::Release { address, node_operation, .. } => {
                let NodeOperation::Release { member, .. } = node_operation else { return false };
                self.execute(slot, node_operation, (*address, member));
                true
            }
            Operation::Unassign { address, .. } => {
                let stored = self.adopted(slot, *address);
                stored.is_some_and(|stored| self.unassign_orphan(slot, *address, &stored))
            }
            Operation::DeleteStaticIp { address, id } => {
                self.delete_orphan(slot, *address, id);
                false
            }
            // These have tests of their own. Here no claim has an owner or waits for a volume, and
            // nothing depends on a status, so each pass plans the same updates again.
            Operation::RecordOwner { .. }
            | Operation::DeleteClaim { .. }
            | Operation::RemoveFinalizer { .. }
            | Operation::DrainInterface(_)
            | Operation::DetachInterface { .. }
            | Operation::DeleteInterface(_)
            | Operation::RemoveZoneGate { .. }
            | Operation::ReportZoneConflict { .. }
            | Operation::UpdateStaticIpStatus { .. }
            | Operation::ClearVolumeWait { .. }
            | Operation::UpdateClaimStatus { .. }
            | Operation::UpdatePoolStatus { .. } => false,
        }
    }

    /// The term is over: the running operation ends.
    fn interrupt_operation(&mut self, slot: Slot) {
        let own = |p: &Process| p.alive && p.by_leader && p.agent == Some(slot);
        let Some(number) = self.processes.iter().position(own) else { return };
        let operation = Slot(u32::try_from(number).unwrap_or(u32::MAX));
        self.process(operation).alive = false;
        self.close(operation, End::Interrupted);
        self.tell(slot, Duration::ZERO, performed());
    }

    /// The record of an adopted address, read again for an operation. The leader's operations on
    /// the addresses of members have tests of their own.
    fn adopted(&mut self, slot: Slot, address: Ipv4Addr) -> Option<Stored<StaticIp>> {
        let answered = self.query_registry(slot).1;
        let stored = self.cluster.registry.static_ips.get(&address).filter(|_| answered)?;
        let orphaned = stored.object.member.is_orphaned() && is_orphan(address, None);
        orphaned.then(|| stored.clone())
    }

    fn delete_orphan(&mut self, slot: Slot, address: Ipv4Addr, id: &Identity) {
        if self.adopted(slot, address).is_some_and(|stored| stored.version == id.version) {
            self.cluster.registry.static_ips.remove(&address);
            self.trace.add(self.now, &address, || format!("  record of {address}: dropped"));
            self.coverage.hit("adoption: reclaimed");
        }
    }

    /// Announces the release that unassigns, and runs it. Returns whether it runs.
    fn unassign_orphan(
        &mut self,
        slot: Slot,
        address: Ipv4Addr,
        stored: &Stored<StaticIp>,
    ) -> bool {
        let Some(attachment) = &stored.object.attachment else { return false };
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
        let process = self.process(own);
        (process.about, process.by_leader) = (Some(address), true);
        let announced = match attachment.state {
            State::Releasing => true,
            State::Parked => self.announce(own, stored),
            State::Attaching | State::Attached | State::Released => false,
        };
        self.process(own).alive = announced;
        announced
    }

    fn announce(&mut self, own: Slot, Stored { version, object }: &Stored<StaticIp>) -> bool {
        // With a run ID of its own, like every write of the holder.
        let run = self.names.run(ProcessId(u32::MAX.saturating_sub(own.0)));
        let Some((object, _)) = decide::releasing(object, &run) else { return false };
        let write = Write::UpdateStaticIp(Stored { version: version.clone(), object });
        matches!(self.land_write(own, (&write, true)), Reply::Written(Ok(_)))
    }

    /// The reads of the leader's releases, which find the record by its address. An adopted address
    /// has no pod.
    pub(super) fn read_for_leader(&self, slot: Slot, action: &Action) -> Option<Reply> {
        let process = &self.processes[slot.at()];
        let address = process.about.filter(|_| process.by_leader)?;
        let registry = &self.cluster.registry;
        let static_ip = registry.static_ips.get(&address).cloned();
        if let Action::ReadMember = action {
            let pool = registry.pools.values().next().cloned();
            let records = MemberRecords { claim: None, static_ip, pool };
            return Some(Reply::Member(Ok(Box::new(records))));
        }
        let adopted = static_ip.is_some_and(|stored| stored.object.member.is_orphaned());
        (adopted && matches!(action, Action::ReadPod)).then_some(Reply::Pod(Ok(PodView::Absent)))
    }
}

/// An operation has ended. Whether EC2 answers, the look-ups of a pass show.
pub(super) fn performed() -> LeaderEvent {
    LeaderEvent::StepEnded(StepResult::Performed(Vec::new()))
}
