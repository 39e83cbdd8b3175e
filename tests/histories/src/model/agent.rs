//! A node's agent around the core's planner: it reads the registry, its kernel and EC2, plans, and
//! executes each operation.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::Planner;
use firecamp_core::agent::{AddressReadings, Execution, Memory, Observation, Operation, plan};
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::Model;
use super::adopt::OrphanTracker;
use super::process::{Process, ProcessKind, Slot};
use super::queue::Event;
use crate::coverage::{OperationContext, is_by_leader};
use crate::level::Spawn;
use crate::names::{EniIx, NodeIx, ProcessId};
use crate::observation::pod_of;
use crate::scenario::Fault;
use crate::simulated_cluster::SimulatedCluster;
use crate::watch::{Views, Watches};

/// What an agent remembers of an address.
#[derive(Debug, Clone)]
struct TrackedAddress {
    address: Ipv4Addr,
    memory: Memory,
    execution: Option<Slot>,
}

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    tracked: Vec<TrackedAddress>,
    /// Number of consecutive passes without anything to do.
    idle: u32,
    watches: Watches,
    /// Addresses without a record.
    pub(super) tracker: OrphanTracker,
    /// Its planner as the leader, while it holds the Lease.
    pub(super) planner: Planner,
}

impl Agent {
    pub(super) fn new(addresses: impl Iterator<Item = Ipv4Addr>) -> Self {
        let entry =
            |address| TrackedAddress { address, memory: Memory::default(), execution: None };
        Self {
            tracked: addresses.map(entry).collect(),
            idle: 0,
            watches: Watches::default(),
            tracker: OrphanTracker::default(),
            planner: Planner::default(),
        }
    }

    fn tracked_mut(&mut self, address: Ipv4Addr) -> Option<&mut TrackedAddress> {
        self.tracked.iter_mut().find(|entry| entry.address == address)
    }
}

/// The ID of an agent's memory of an address.
fn memory_of(agent: Slot, address: Ipv4Addr) -> Option<u64> {
    Some(u64::from(agent.0) << 32 | u64::from(u32::from(address)))
}

impl Model<'_> {
    /// Whether every running agent has had nothing to do in this many consecutive passes.
    pub(super) fn are_agents_idle(&self, times: u32) -> bool {
        self.calls.open == 0
            && self.processes.iter().all(|process| match &process.machine {
                ProcessKind::Agent(agent) if process.alive => agent.idle >= times,
                ProcessKind::Agent(_) | ProcessKind::Attach(_) => true,
                // A process that has received SIGTERM has not ended yet.
                ProcessKind::Release(_) => !(process.alive && process.signalled),
                ProcessKind::Execution(_) | ProcessKind::AdoptionAttempt(_) => !process.alive,
            })
    }

    /// Something has changed: earlier idle passes of agents no longer count.
    pub(super) fn disturb(&mut self) {
        for process in &mut self.processes {
            if let ProcessKind::Agent(agent) = &mut process.machine {
                agent.idle = 0;
            }
        }
    }

    pub(super) fn tick(&mut self, slot: Slot) {
        if self.processes[slot.at()].frozen {
            self.processes[slot.at()].stalled = Some(super::process::Stalled::Tick);
            return;
        }
        let pause = self.process(slot).rng.millis(2_000, 5_000).saturating_mul(self.poll_factor());
        let generation = self.processes[slot.at()].generation;
        self.queue.push(self.now.plus(pause), Event::Tick(slot, generation));
        let Some(views) = self.views(slot) else { return };
        let node = self.processes[slot.at()].spawn.node;
        let agents =
            self.processes.iter().filter(|p| p.alive && matches!(p.machine, ProcessKind::Agent(_)));
        let gone = self.cluster.gone(node, agents.map(|agent| agent.spawn.node));
        let then = self.query_ec2(slot, node);
        let mut observation = SimulatedCluster::observation(node, &gone, self.names);
        let mut tracked = self.tracked(slot);
        self.add_readings(slot, &mut observation, &mut tracked, (views, then));
        if let ProcessKind::Agent(agent) = &mut self.process(slot).machine {
            agent.tracked = tracked;
        }
        let operations = if observation.addresses.is_empty() {
            Vec::new()
        } else {
            plan(&observation, self.now)
        };
        if let (false, Some(tape)) = (observation.addresses.is_empty(), self.trace.tape()) {
            tape.function("agent.plan", &(&observation, self.now), &operations);
        }
        let busy = operations
            .iter()
            .filter(|operation| self.start_execution(slot, operation, &observation))
            .count();
        if let ProcessKind::Agent(agent) = &mut self.process(slot).machine {
            let misplaced = agent.tracked.iter().any(|entry| entry.memory.is_misplaced());
            agent.idle = if busy == 0 && !misplaced { agent.idle.saturating_add(1) } else { 0 };
        }
        self.coverage.agent_passes += 1;
    }

    /// The registry as an agent's watches show it. None if it does not answer, and nothing is
    /// known.
    fn views(&mut self, slot: Slot) -> Option<Views> {
        if !self.scenario.shape.watches {
            let away = self.cluster.api_out || self.injects(slot, Fault::RegistryFails);
            return (!away).then_some(Views::FRESH);
        }
        let away = self.cluster.api_out;
        let fault = Fault::WATCHES.into_iter().find(|fault| !away && self.injects(slot, *fault));
        let now = self.now;
        let Process { machine, rng, .. } = self.process(slot);
        let ProcessKind::Agent(agent) = machine else { return None };
        Some(agent.watches.observe(now, away, fault, rng))
    }

    fn tracked(&mut self, slot: Slot) -> Vec<TrackedAddress> {
        match &mut self.process(slot).machine {
            ProcessKind::Agent(agent) => std::mem::take(&mut agent.tracked),
            ProcessKind::Attach(_)
            | ProcessKind::Release(_)
            | ProcessKind::Execution(_)
            | ProcessKind::AdoptionAttempt(_) => Vec::new(),
        }
    }

    /// One Describe for all addresses of the node. Returns the moment that the answer shows, if
    /// there is one.
    fn query_ec2(&mut self, slot: Slot, node: NodeIx) -> Option<Moment> {
        let name = &self.names.node(node).name;
        let ours = |ip: &StaticIp| ip.attachment.as_ref().is_some_and(|a| a.node == *name);
        if !self.cluster.registry.static_ips.values().any(|stored| ours(&stored.object)) {
            return None;
        }
        self.describe(slot)
    }

    /// Adds the readings of each address to the observation.
    fn add_readings(
        &mut self,
        slot: Slot,
        observation: &mut Observation,
        tracked: &mut [TrackedAddress],
        (views, shown_at): (Views, Option<Moment>),
    ) {
        let (node, now) = (self.processes[slot.at()].spawn.node, self.now);
        let mut trace = std::mem::take(&mut self.trace);
        for TrackedAddress { address, memory, .. } in tracked {
            let Some(found) = self.found((node, *address), views, shown_at) else { continue };
            let Some(tape) = trace.tape() else {
                observation.add(found, memory, now);
                continue;
            };
            let before = observation.addresses.len();
            let header = (&observation.node, &observation.cluster, &observation.gone);
            tape.call("memory.add", memory_of(slot, *address), &(header, &found, now));
            observation.add(found, memory, now);
            tape.gives(&(observation.addresses.get(before), memory.is_misplaced()));
        }
        self.trace = trace;
    }

    /// The readings of one address. `shown_at` is the moment that
    /// EC2's answer shows, if there is one.
    fn found(
        &self,
        (node, address): (NodeIx, Ipv4Addr),
        views: Views,
        shown_at: Option<Moment>,
    ) -> Option<AddressReadings<'_>> {
        let record = self.cluster.observed_record(address, views.records)?;
        let eni = record.attachment.as_ref()?.eni.as_ref().and_then(EniIx::of);
        let in_place =
            shown_at.map(|then| self.cluster.ec2.shown(address, then).map(|(eni, _)| eni) == eni);
        self.cluster.readings((node, address), views, in_place, (self.names, self.now))
    }

    fn audit_operation(
        &mut self,
        slot: Slot,
        operation: &Operation,
        (address, observation): (Ipv4Addr, &Observation),
    ) {
        if let Operation::Reassert { .. } = operation {
            self.audit.reasserts(self.now, slot.0, address);
        }
        // A restore uses the observed record: it reads no registry, so that it works during an
        // outage.
        let observed =
            observation.addresses.iter().find(|observed| observed.record.address == address);
        if let (Operation::Restore { holder, .. }, Some(observed)) = (operation, observed) {
            self.audit.restores(self.now, slot.0, holder, &observed.record);
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

    /// Starts an operation, unless one for that address is running. True if there is something to
    /// do.
    fn start_execution(
        &mut self,
        slot: Slot,
        operation: &Operation,
        observation: &Observation,
    ) -> bool {
        let (address, member) = self.cluster.subject(operation, self.names);
        let execution = self.slot();
        let now = self.now;
        let running = {
            let ProcessKind::Agent(agent) = &self.processes[slot.at()].machine else {
                return false;
            };
            let entry = agent.tracked.iter().find(|entry| Some(entry.address) == address);
            entry.and_then(|entry| entry.execution).is_some_and(|e| self.processes[e.at()].alive)
        };
        if running {
            return true;
        }
        let machine = &mut self.processes[slot.at()].machine;
        if let (ProcessKind::Agent(agent), Some(address)) = (machine, address)
            && let Some(entry) = agent.tracked_mut(address)
        {
            entry.execution = Some(execution);
            if let Operation::Reassert { .. } = operation {
                entry.memory.reasserts(now);
                if let Some(tape) = self.trace.tape() {
                    tape.call("memory.reasserts", memory_of(slot, address), &now);
                    tape.gives(&());
                }
            }
        }
        if let Some(address) = address {
            self.audit_operation(slot, operation, (address, observation));
        }
        let pod = pod_of(operation).unwrap_or_default();
        let run = self.names.run(ProcessId(execution.0));
        let machine = Execution::new(operation, &self.names.cluster, run.clone(), now);
        self.begins(
            execution,
            "operation.new",
            &(operation, &self.names.cluster, run, now),
            &machine,
        );
        let agent = self.processes[slot.at()].spawn;
        let spawn = Spawn { member: member.unwrap_or_default(), pod, ..agent };
        self.trace.operation(now, slot.0, execution.0, operation);
        self.begin(spawn, ProcessKind::Execution(Box::new(machine)), Some(slot));
        let process = self.process(execution);
        process.about = address;
        process.by_leader = is_by_leader(operation);
        true
    }
}
