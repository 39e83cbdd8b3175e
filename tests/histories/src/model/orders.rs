//! Carries out the orders of the orchestrator.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::node::Event as NodeEvent;
use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::contract::timing;
use firecamp_core::machine::Outcome;
use firecamp_core::release::{Release, ReleaseInput};
use firecamp_node::kernel::Change;

use super::Model;
use super::leader::performed;
use super::process::{Process, ProcessKind, Slot, Stalled};
use super::queue::Event;
use crate::audit::{Cause, End, EndedProcess};
use crate::cluster::Ended;
use crate::inputs;
use crate::level::{Level, Order, Power, Role, Spawn};
use crate::names::{NodeIx, ProcessId};
use crate::scenario::{ExternalReassignment, Outage, Stripped};
use crate::seed::{Purpose, SeededRng};
use crate::simulated_cluster::ec2::Lags;

impl Level for Model<'_> {
    fn order(&mut self, now: firecamp_core::time::Moment, order: Order) {
        self.now = now;
        self.trace.order(now, &order);
        match order {
            Order::Spawn(spawn) => self.spawn(spawn),
            Order::Signal(process) => self.signal(process),
            Order::Kill(process) => self.kill(process),
            Order::Freeze(process) => self.freeze(process),
            Order::Thaw(process) => self.thaw(process),
            Order::Pod(member, pod) => {
                let before = self.cluster.pods[member.at()];
                self.cluster.shown(now, member, pod);
                let nodes = [before, pod].map(|pod| pod.and_then(|pod| pod.node));
                self.registry_changed(nodes);
                self.audit.shown(member, pod);
            }
            Order::Sockets(node, address, used) => {
                self.cluster.node_mut(node).kernel.sockets.insert(address, used);
            }
            Order::LosePower(member) => self.cluster.disks[member.at()].lose_power(),
            Order::Node(node, power) => self.power(node, power),
            Order::Steal(address, reassignment) => self.steal(address, reassignment),
            Order::Strip(node, address, what) => self.strip(node, address, what),
            Order::Fill(node, full) => {
                let eni = node.eni(self.scenario.shape.slot());
                self.cluster.ec2.fill(eni, full);
            }
            Order::Outage(Outage::Api, out) => self.cluster.api_out = out,
            Order::Outage(Outage::Ec2, out) => self.cluster.ec2_out = out,
            Order::Outage(Outage::Metadata(node), out) => {
                self.cluster.node_mut(node).metadata_out = out;
            }
            Order::Leases(all) => self.cluster.leases.separate = all,
            Order::Ready(pod, ready) => {
                self.audit.ready(pod, ready);
                self.check_address(ready.address);
            }
            Order::Unready(pod) => self.audit.unready(pod),
            Order::Heal => {
                self.healing = true;
                for node in &mut self.cluster.nodes {
                    node.hardware_at = node.hardware_at.min(now);
                }
                self.cluster.ec2.buckets = crate::simulated_cluster::ec2::Buckets::default();
                self.cluster.ec2.give_back(now, Lags::default());
                if self.scenario.orphans.is_some() {
                    let addresses: Vec<Ipv4Addr> = self.scenario.addresses().collect();
                    self.cluster.end_use_of_orphans(now, self.names, &addresses);
                }
            }
        }
    }
}

impl Model<'_> {
    fn spawn(&mut self, spawn: Spawn) {
        let slot = self.slot();
        let machine = match spawn.role {
            role @ (Role::Init | Role::Stop(..)) if self.scenario.shape.asks_agent(spawn.pod) => {
                self.new_client(role)
            }
            Role::Init => {
                let input = inputs::attach(self.scenario, self.names, spawn, slot.0);
                ProcessKind::Attach(Box::new(Attach::new(input, self.now)))
            }
            Role::Stop(kind, grace) => {
                let input = inputs::release(self.names, (spawn, slot.0), kind, grace);
                self.release(input)
            }
            Role::Agent => ProcessKind::Agent(Box::new(self.new_agent(spawn.node))),
        };
        debug_assert_eq!(self.slots.len(), spawn.process.at(), "ids come in order");
        self.slots.push(slot);
        self.begin(spawn, machine, None);
        self.plan_look_ahead(slot);
        if spawn.role == Role::Agent {
            self.follow(slot);
        }
    }

    /// A release that starts now.
    pub(super) fn release(&self, input: ReleaseInput) -> ProcessKind {
        ProcessKind::Release(Box::new(Release::new(input, self.now)))
    }

    /// The slot of the next process.
    pub(super) fn slot(&self) -> Slot {
        Slot(u32::try_from(self.processes.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn begin(&mut self, spawn: Spawn, machine: ProcessKind, agent: Option<Slot>) {
        let slot = self.slot();
        let rng = SeededRng::new(self.scenario.seed, Purpose::Process, u64::from(slot.0));
        let ticks = matches!(machine, ProcessKind::Agent(_));
        let mut process = Process::new(spawn, machine, rng, self.now);
        process.agent = agent;
        let first = process.rng.micros(500, 20_000);
        let event = if ticks { Event::Tick(slot, 0) } else { Event::Act(slot, 0) };
        self.processes.push(process);
        self.queue.push(self.now.plus(first), event);
    }

    fn alive(&self, process: ProcessId) -> Option<Slot> {
        let slot = *self.slots.get(process.at())?;
        self.processes[slot.at()].alive.then_some(slot)
    }

    fn signal(&mut self, process: ProcessId) {
        let Some(slot) = self.alive(process) else { return };
        let now = self.now;
        let process = self.process(slot);
        process.signalled = true;
        process.signalled_at.get_or_insert(now);
        if !process.frozen {
            self.signal_received(slot);
        }
    }

    /// The runner handles the signal: init ends at once; a stop container notices it at its next
    /// wait.
    fn signal_received(&mut self, slot: Slot) {
        let process = &mut self.processes[slot.at()];
        let ends = match &process.machine {
            ProcessKind::Attach(_) => true,
            ProcessKind::Client(client) => client.attaches(),
            ProcessKind::Release(_)
            | ProcessKind::Execution(_)
            | ProcessKind::AdoptionAttempt(_)
            | ProcessKind::Admission(_)
            | ProcessKind::Agent(_) => false,
        };
        if ends {
            process.alive = false;
            let id = process.id();
            self.close(slot, End::Interrupted);
            self.ended.push_back((id, Ended::Interrupted));
            return;
        }
        if let ProcessKind::Client(client) = &mut process.machine
            && client.gives_up()
        {
            process.causes.add(Cause::AgentLost);
            self.client_ended(slot);
            let generation = self.next_generation(slot);
            return self.queue.push(self.now, Event::Act(slot, generation));
        }
        let waits = matches!(process.machine.action(), Action::AwaitStop | Action::Wait(_));
        if waits && !process.notified {
            process.notified = true;
            process.reply = Some(Reply::Stopping);
            process.generation = process.generation.wrapping_add(1);
            let generation = process.generation;
            self.queue.push(self.now, Event::Reply(slot, generation));
        }
    }

    fn kill(&mut self, process: ProcessId) {
        if let Some(slot) = self.alive(process) {
            self.kill_slot(slot);
            for number in 0..self.processes.len() {
                let execution = Slot(u32::try_from(number).unwrap_or(u32::MAX));
                if self.processes[number].alive && self.processes[number].agent == Some(slot) {
                    self.kill_slot(execution);
                }
            }
        }
    }

    pub(super) fn kill_slot(&mut self, slot: Slot) {
        self.processes[slot.at()].alive = false;
        self.close(slot, End::Killed);
    }

    fn freeze(&mut self, process: ProcessId) {
        let Some(slot) = self.alive(process) else { return };
        self.freeze_slot(slot);
        for number in 0..self.processes.len() {
            if self.processes[number].alive && self.processes[number].agent == Some(slot) {
                self.freeze_slot(Slot(u32::try_from(number).unwrap_or(u32::MAX)));
            }
        }
    }

    pub(super) fn freeze_slot(&mut self, slot: Slot) {
        let now = self.now;
        let process = self.process(slot);
        if !process.frozen {
            process.frozen = true;
            process.frozen_since = now;
            process.decides_first = process.rng.once_in(2);
        }
    }

    fn thaw(&mut self, process: ProcessId) {
        let Some(slot) = self.alive(process) else { return };
        self.thaw_slot(slot);
        self.resume(slot);
        for number in 0..self.processes.len() {
            if self.processes[number].alive && self.processes[number].agent == Some(slot) {
                self.thaw_slot(Slot(u32::try_from(number).unwrap_or(u32::MAX)));
            }
        }
    }

    fn thaw_slot(&mut self, slot: Slot) {
        let now = self.now;
        let process = self.process(slot);
        if !process.frozen {
            return;
        }
        process.frozen = false;
        process.frozen_for = process.frozen_for.saturating_add(now.since(process.frozen_since));
        let generation = process.generation;
        let stalled = process.stalled.take();
        if process.hung_up {
            self.hang_up(slot);
        }
        let process = self.process(slot);
        if process.signalled {
            self.signal_received(slot);
        }
        if !self.is_current(slot, generation) {
            return;
        }
        let event = match stalled {
            Some(Stalled::Reply) => Event::Reply(slot, generation),
            Some(Stalled::Act) => Event::Act(slot, generation),
            Some(Stalled::Tick) => Event::Tick(slot, generation),
            None => return,
        };
        self.queue.push(now, event);
    }

    fn power(&mut self, node: NodeIx, power: Power) {
        let lags = self.lags_of_others();
        // A hot-plugged ENI, or metadata after a boot, may take some time.
        let slow = !self.healing && self.others.once_in(6);
        let boots = self.others.millis(0, if slow { 45_000 } else { 2_000 });
        let now = self.now;
        let hardware_at = now.plus(boots);
        let cluster = self.cluster.node_mut(node);
        match power {
            Power::Lost => {
                cluster.off = true;
                let foreign =
                    cluster.kernel.addresses.get(&crate::simulated_cluster::FOREIGN).copied();
                cluster.kernel.reboot(now);
                cluster.snapshot = None;
                // The foreign address is configured again at boot.
                cluster
                    .kernel
                    .addresses
                    .extend(foreign.map(|held| (crate::simulated_cluster::FOREIGN, held)));
                self.audit.rebooted(node);
            }
            Power::Back => (cluster.off, cluster.hardware_at) = (false, hardware_at),
            Power::Terminated => {
                cluster.gone = true;
                self.audit.rebooted(node);
                let ec2 = &self.cluster.ec2;
                self.audit.terminated(node, |address| ec2.holder(address).map(|(eni, _)| eni));
                self.cluster.ec2.terminate(self.now, node, lags);
            }
        }
    }

    fn steal(&mut self, address: Ipv4Addr, reassignment: ExternalReassignment) {
        let (now, lags) = (self.now, self.lags_of_others());
        let done = match reassignment {
            ExternalReassignment::Steal => self.cluster.ec2.steal(now, address, lags),
            ExternalReassignment::Unassign => self.cluster.ec2.strip(now, address, lags),
            ExternalReassignment::Settle => self.cluster.ec2.settle(now, address, lags),
        };
        if done {
            self.coverage.reassignment(reassignment);
            self.audit.reassigned_externally(now, address);
        }
    }

    /// The kernel notifies the node's agent. An agent that is frozen or dead notices later.
    fn strip(&mut self, node: NodeIx, address: Ipv4Addr, what: Stripped) {
        if !self.cluster.node_mut(node).strip(address, what) {
            return;
        }
        self.audit.stripped(node, address);
        self.kernel_changed(node, &Change::Address(address));
    }

    pub(super) fn lags_of_others(&mut self) -> Lags {
        Lags {
            switch: self.others.millis(1, 500),
            listed: self.others.millis(1, 1_000),
            unlisted: self.others.millis(1, 5_000),
        }
    }

    /// A process has reached its outcome.
    pub(super) fn finish(&mut self, slot: Slot) {
        let process = &mut self.processes[slot.at()];
        process.alive = false;
        let Some(outcome) = process.machine.outcome().cloned() else { return };
        let id = process.id();
        let (agent, about, kind) = (process.agent, process.about, process.operation);
        let by_leader = process.by_leader;
        // The outcome of a container that asks an agent is counted there.
        if !matches!(process.machine, ProcessKind::Client(_)) {
            self.coverage.outcome(&outcome);
        }
        if let (Outcome::Attached(attached), ProcessKind::Attach(_)) = (&outcome, &process.machine)
        {
            self.audit.attached(self.now, attached);
        }
        self.close(slot, End::Outcome(&outcome));
        let Some(agent) = agent else {
            return self.ended.push_back((id, Ended::Outcome(outcome)));
        };
        self.disturb();
        if by_leader {
            self.tell(agent, Duration::ZERO, performed());
        } else if let (Some(about), Some(kind)) = (about, kind) {
            let ended = NodeEvent::OperationEnded(about, kind, Some(outcome));
            self.tell(agent, Duration::ZERO, ended);
        }
    }

    pub(super) fn close(&mut self, slot: Slot, end: End<'_>) {
        let process = &self.processes[slot.at()];
        let limit = match process.machine {
            ProcessKind::Attach(_) => process.limit.or(Some(self.scenario.shape.deadline())),
            ProcessKind::Client(ref client) if client.attaches() => {
                Some(self.scenario.shape.deadline())
            }
            ProcessKind::Execution(_) => Some(timing::OPERATION_DEADLINE),
            ProcessKind::Client(_)
            | ProcessKind::Release(_)
            | ProcessKind::Admission(_)
            | ProcessKind::Agent(_)
            | ProcessKind::AdoptionAttempt(_) => None,
        };
        let asleep = process.frozen_for.saturating_add(process.runs_frozen_for);
        let lifecycle = EndedProcess {
            now: self.now,
            slot: slot.0,
            awake: self.now.since(process.began).saturating_sub(asleep),
            asleep,
            frozen: asleep > Duration::ZERO || process.slow,
            limit,
            signalled: process.signalled_at,
            causes: process.causes,
            calls: process.ec2_calls,
            mutations: process.mutations,
        };
        self.trace.ended(self.now, slot.0, &end);
        self.audit.ended(&lifecycle, &end);
        self.run_ended(slot, if let End::Outcome(outcome) = end { Some(outcome) } else { None });
        self.client_ended(slot);
    }
}
