//! An agent: the product's [`NodeController`]. Its events arrive through the queue, and its effects
//! are performed in the simulated cluster.

mod reads;
mod tasks;

pub(super) use self::reads::unavailable;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::Controller as _;
use firecamp_controllers::node::{
    Effect, Event as NodeEvent, Finding, NodeController, OperationKind, QueryResult, Report, Tick,
};
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::ids::Member;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;
use firecamp_node::kernel::Change;
use firecamp_node::volumes::Recheck;

use super::Model;
use super::adopt::OrphanProof;
use super::process::{Process, ProcessKind, Slot, Stalled};
use super::queue::Event;
use crate::coverage::{OperationContext, is_by_leader};
use crate::leader::{AgentEvent, Leader};
use crate::level::Spawn;
use crate::names::{NodeIx, ProcessId};
use crate::observation::{pod_of, will_repeat};
use crate::seed::SeededRng;
use crate::watch::Watches;

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    controller: NodeController,
    /// Events that have not arrived yet, by number.
    coming: BTreeMap<u32, AgentEvent>,
    numbers: u32,
    /// Events that arrived while it was frozen.
    missed: Vec<u32>,
    watches: Watches,
    /// The records of its last list.
    records: BTreeMap<Ipv4Addr, StaticIp>,
    /// How many of its addresses EC2 shows elsewhere, as far as it knows.
    misplaced: usize,
    /// Whether it will repeat an operation that failed.
    failing: bool,
    /// Number of consecutive lists of the registry without anything to do.
    idle: u32,
    /// Addresses without a record, for the audit.
    pub(super) proof: OrphanProof,
    /// Its part as candidate and leader, its next tick, and the number of that tick.
    pub(super) leader: Leader,
    pub(super) leader_due: Option<Moment>,
    pub(super) leader_ticks: u32,
}

impl Agent {
    fn keep(&mut self, event: AgentEvent) -> u32 {
        self.numbers = self.numbers.wrapping_add(1);
        self.coming.insert(self.numbers, event);
        self.numbers
    }
}

/// A random number for a controller. With orphans all agents have one rhythm, so that they meet.
fn random(rng: &mut SeededRng, orphans: bool) -> f64 {
    if orphans { 0.0 } else { rng.millis(0, 1_000).as_secs_f64() }
}

impl Model<'_> {
    /// An agent that starts on this node.
    pub(super) fn new_agent(&mut self, node: NodeIx) -> Agent {
        let rule =
            if self.scenario.shape.secondary { EniRule::DeviceIndex(1) } else { EniRule::Primary };
        let last = self.cluster.node(node).snapshot.clone();
        let records = last.iter().flat_map(|last| &last.records);
        let records = records.map(|record| (record.address, record.clone())).collect();
        let (name, cluster) = (self.names.node(node).name.clone(), self.names.cluster.clone());
        let random = random(&mut self.others, self.scenario.orphans.is_some());
        Agent {
            controller: NodeController::new(name, cluster, rule, last, random),
            coming: BTreeMap::new(),
            numbers: 0,
            missed: Vec::new(),
            watches: Watches::default(),
            records,
            misplaced: 0,
            failing: false,
            idle: 0,
            proof: OrphanProof::default(),
            leader: Leader::new(node, ProcessId(self.slot().0), self.names),
            leader_due: None,
            leader_ticks: 0,
        }
    }

    pub(super) fn agent(&mut self, slot: Slot) -> Option<&mut Agent> {
        match &mut self.processes[slot.at()].machine {
            ProcessKind::Agent(agent) => Some(agent),
            ProcessKind::Attach(_)
            | ProcessKind::Release(_)
            | ProcessKind::Execution(_)
            | ProcessKind::Client(_)
            | ProcessKind::Admission(_)
            | ProcessKind::AdoptionAttempt(_) => None,
        }
    }

    /// Whether every running agent has had nothing to do in this many consecutive lists, the leader
    /// included, and EC2 has every ready pod's address in its place.
    pub(super) fn are_agents_idle(&self, times: u32) -> bool {
        self.calls.open == 0
            && self.processes.iter().all(|process| match &process.machine {
                ProcessKind::Agent(agent) if process.alive => agent.idle >= times,
                ProcessKind::Agent(_) | ProcessKind::Attach(_) => true,
                // A process that has received SIGTERM has not ended yet.
                ProcessKind::Client(_) | ProcessKind::Release(_) if process.agent.is_none() => {
                    !(process.alive && process.signalled)
                }
                ProcessKind::Client(_)
                | ProcessKind::Release(_)
                | ProcessKind::Execution(_)
                | ProcessKind::Admission(_)
                | ProcessKind::AdoptionAttempt(_) => !process.alive,
            })
            && (!self.scenario.shape.agents || self.is_everything_in_place())
    }

    /// Agents notice within a period of their queries that an address is elsewhere.
    fn is_everything_in_place(&self) -> bool {
        let ready = self.audit.ready_pods();
        self.cluster.awaits_leader(self.names).is_none()
            && ready.iter().all(|(_, ready)| {
                self.cluster.ec2.receiver(ready.address, self.now) == Some(ready.eni)
            })
    }

    /// Something has changed: earlier idle lists of agents no longer count.
    pub(super) fn disturb(&mut self) {
        for process in &mut self.processes {
            if let ProcessKind::Agent(agent) = &mut process.machine {
                agent.idle = 0;
            }
        }
    }

    pub(super) fn tick(&mut self, slot: Slot) {
        if self.processes[slot.at()].frozen {
            self.processes[slot.at()].stalled = Some(Stalled::Tick);
            return;
        }
        let orphans = self.scenario.orphans.is_some();
        let random = random(&mut self.process(slot).rng, orphans);
        self.handle(
            slot,
            NodeEvent::Tick(Tick { random, volumes: Recheck::Regularly, offered_volumes: None }),
        );
        let (now, factor) = (self.now, self.poll_factor());
        let late = self.process(slot).rng.millis(0, 20);
        let generation = self.processes[slot.at()].generation;
        let due = self.agent(slot).and_then(|agent| agent.controller.next_tick());
        let pause = due.map(|due| due.since(now).saturating_mul(factor).saturating_add(late));
        if let Some(pause) = pause {
            self.queue.push(now.plus(pause), Event::Tick(slot, generation));
        }
    }

    /// An event will reach an agent.
    pub(super) fn tell(&mut self, slot: Slot, after: Duration, event: impl Into<AgentEvent>) {
        let at = self.now.plus(after);
        let Some(agent) = self.agent(slot) else { return };
        let number = agent.keep(event.into());
        self.queue.push(at, Event::Told(slot, number));
    }

    /// Tells the running agents of a node, after some milliseconds.
    pub(super) fn tell_node(&mut self, node: NodeIx, event: impl Fn() -> NodeEvent) {
        for number in 0..self.processes.len() {
            let process = &mut self.processes[number];
            let agent = matches!(process.machine, ProcessKind::Agent(_));
            if agent && process.alive && process.spawn.node == node {
                let after = process.rng.micros(500, 40_000);
                let slot = Slot(u32::try_from(number).unwrap_or(u32::MAX));
                self.tell(slot, after, event());
            }
        }
    }

    /// The kernel of a node has changed.
    pub(super) fn kernel_changed(&mut self, node: NodeIx, change: &Change) {
        self.tell_node(node, || NodeEvent::KernelChanged(vec![change.clone()]));
    }

    /// An event reaches an agent; one that is frozen handles it later.
    pub(super) fn told(&mut self, slot: Slot, number: u32) {
        let Process { alive, frozen, .. } = self.processes[slot.at()];
        let Some(agent) = self.agent(slot).filter(|_| alive) else { return };
        if frozen {
            return agent.missed.push(number);
        }
        match agent.coming.remove(&number) {
            Some(AgentEvent::Node(event)) => self.told_node(slot, event),
            Some(AgentEvent::Leader(event)) => self.lead(slot, [event]),
            None => {}
        }
    }

    fn told_node(&mut self, slot: Slot, event: NodeEvent) {
        match event {
            NodeEvent::Listed(Ok(listing)) => {
                if let Some(agent) = self.agent(slot) {
                    agent.records.clone_from(&listing.records);
                }
                self.handle(slot, NodeEvent::Listed(Ok(listing)));
                self.list_handled(slot);
            }
            NodeEvent::Queried(result, clocks) => {
                if let Some(agent) = self.agent(slot) {
                    agent.proof.queried();
                }
                let interfaces = matches!(result, QueryResult::Interfaces(_));
                self.handle(slot, NodeEvent::Queried(result, clocks));
                if let (Some(agent), true) = (self.agent(slot), interfaces) {
                    agent.proof.query_handled();
                }
            }
            NodeEvent::Orphans(found, recorded, begun) => {
                let now = self.now;
                if let Some(agent) = self.agent(slot) {
                    agent.proof.note(&found, &recorded, now);
                }
                self.handle(slot, NodeEvent::Orphans(found, recorded, begun));
            }
            NodeEvent::LossInvestigated(lost, Finding::Partitioned(eni), None) => {
                let node = self.processes[slot.at()].spawn.node;
                let done = self.cluster.withhold(node, &lost);
                if done == Ok(true) {
                    self.coverage.hit("agents: withheld");
                    self.audit.stripped(node, lost.address);
                }
                let found = Finding::Partitioned(eni);
                self.handle(slot, NodeEvent::LossInvestigated(lost, found, Some(done)));
            }
            event @ (NodeEvent::Tick(_)
            | NodeEvent::KernelChanged(_)
            | NodeEvent::RegistryChanged
            | NodeEvent::LeaseRead(_)
            | NodeEvent::KernelRead(..)
            | NodeEvent::KernelViewed(_)
            | NodeEvent::Listed(Err(_))
            | NodeEvent::Identified(_)
            | NodeEvent::Files(_)
            | NodeEvent::Endpoint(_)
            | NodeEvent::Raised(..)
            | NodeEvent::Claimed(_)
            | NodeEvent::AdoptionTried(..)
            | NodeEvent::LossInvestigated(..)
            | NodeEvent::InterfaceStepEnded(_)
            | NodeEvent::OperationEnded(..)) => self.handle(slot, event),
        }
    }

    /// An agent that was frozen continues with what it has missed.
    pub(super) fn resume(&mut self, slot: Slot) {
        let now = self.now;
        let missed = self.agent(slot).map(|agent| std::mem::take(&mut agent.missed));
        for number in missed.into_iter().flatten() {
            self.queue.push(now, Event::Told(slot, number));
        }
    }

    /// An agent's source reports a change, or polls: lagging watches catch up.
    pub(super) fn poll(&mut self, slot: Slot) {
        let period = self.process(slot).rng.millis(2_000, 5_000);
        let period = period.saturating_mul(self.poll_factor());
        let Some(pause) = self.pause(slot, period, Event::Poll(slot)) else { return };
        self.queue.push(self.now.plus(pause), Event::Poll(slot));
        self.handle(slot, NodeEvent::RegistryChanged);
    }

    fn list_handled(&mut self, slot: Slot) {
        self.coverage.agent_passes += 1;
        let mut executions = self.processes.iter().filter(|p| p.alive && p.agent == Some(slot));
        let busy = executions.next().is_some();
        let Some(agent) = self.agent(slot) else { return };
        let busy = busy || agent.misplaced > 0 || agent.failing;
        agent.idle = if busy { 0 } else { agent.idle.saturating_add(1) };
    }

    /// Passes an event to the controller and performs the effects.
    pub(super) fn handle(&mut self, slot: Slot, event: NodeEvent) {
        let (now, mut next) = (self.now, Some(event));
        while let Some(event) = next.take() {
            let Some(agent) = self.agent(slot) else { return };
            for effect in agent.controller.handle(event, now) {
                next = self.perform_effect(slot, effect).or(next);
            }
        }
    }

    /// Performs an effect. Returns the event to which it leads at once.
    fn perform_effect(&mut self, slot: Slot, effect: Effect) -> Option<NodeEvent> {
        match effect {
            Effect::ReadKernel { links } => return Some(self.read_kernel(slot, links)),
            Effect::ViewKernel(targets) => return Some(self.view_kernel(slot, targets)),
            Effect::Start(task) => self.start(slot, task),
            Effect::WriteSnapshot(snapshot) => {
                let node = self.processes[slot.at()].spawn.node;
                self.cluster.node_mut(node).snapshot = Some(snapshot);
            }
            Effect::Report(Report::Counted(counts)) => {
                self.agent(slot)?.misplaced = counts.misplaced;
            }
            Effect::Publish(facts) => self.agent(slot)?.failing = will_repeat(&facts),
            // Nothing in the simulated cluster depends on these.
            Effect::ListEnis { .. }
            | Effect::AvoidEnis(_)
            | Effect::IdentifyCluster(_)
            | Effect::ObserveVolumes(_)
            | Effect::Notify(_)
            | Effect::Report(_) => {}
        }
        None
    }

    fn audit_operation(&mut self, slot: Slot, operation: &Operation, address: Ipv4Addr) {
        if let Operation::Reassert { .. } = operation {
            self.audit.reasserts(self.now, slot.0, address);
        }
        // A restore uses the observed record: it reads no registry, so that it works during an
        // outage.
        let ProcessKind::Agent(agent) = &self.processes[slot.at()].machine else { return };
        let observed = agent.records.get(&address);
        if let (Operation::Restore { holder, .. }, Some(record)) = (operation, observed) {
            self.audit.restores(self.now, slot.0, holder, record);
        }
        let agent = &self.processes[slot.at()];
        let executions = self.processes.iter().filter(|p| p.alive && p.agent.is_some());
        let rivals = executions.filter(|p| p.about == Some(address) && p.agent != Some(slot));
        let (mut here, mut elsewhere) = (false, false);
        for rival in rivals {
            here |= rival.spawn.node == agent.spawn.node;
            elsewhere |= rival.by_leader;
        }
        let met = OperationContext { away: self.cluster.api_out, here, elsewhere };
        self.coverage.operation(operation, met);
    }

    /// Starts an operation.
    pub(super) fn execute(
        &mut self,
        slot: Slot,
        operation: &Operation,
        (address, member): (Ipv4Addr, &Member),
    ) {
        let (execution, now) = (self.slot(), self.now);
        self.audit_operation(slot, operation, address);
        if let Some(agent) = self.agent(slot) {
            agent.idle = 0;
        }
        let run = self.names.run(ProcessId(execution.0));
        let machine = Execution::new(operation, &self.names.cluster, run, now);
        let spawn = Spawn {
            member: self.names.member_ix(member).unwrap_or_default(),
            pod: pod_of(operation).unwrap_or_default(),
            ..self.processes[slot.at()].spawn
        };
        self.trace.operation(now, slot.0, execution.0, operation);
        self.begin(spawn, ProcessKind::Execution(Box::new(machine)), Some(slot));
        let process = self.process(execution);
        process.about = Some(address);
        process.operation = Some(OperationKind::of(operation));
        process.by_leader = is_by_leader(operation);
    }
}
