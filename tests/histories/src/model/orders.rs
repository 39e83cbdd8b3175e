//! What the director orders, carried out.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::contract::timing;
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::release::{Release, ReleaseInput};
use serde::Serialize;

use super::Model;
use super::agent::Agent;
use super::process::{Process, Runs, Slot, Stalled};
use super::queue::Event;
use crate::audit::{End, Life};
use crate::cluster::Ended;
use crate::inputs;
use crate::level::{Level, Order, Power, Role, Spawn};
use crate::names::{NodeIx, ProcessId};
use crate::scenario::{Outage, Stripped, Theft};
use crate::seed::{Chance, Purpose};
use crate::world::ec2::Lags;

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
                self.world.shown(now, member, pod);
                self.audit.shown(member, pod);
            }
            Order::Sockets(node, address, used) => {
                self.world.node_mut(node).kernel.sockets.insert(address, used);
            }
            Order::LosePower(member) => self.world.disks[member.at()].lose_power(),
            Order::Node(node, power) => self.power(node, power),
            Order::Steal(address, theft) => self.steal(address, theft),
            Order::Strip(node, address, what) => self.strip(node, address, what),
            Order::Fill(node, full) => {
                let eni = node.eni(self.scenario.shape.slot());
                self.world.ec2.fill(eni, full);
            }
            Order::Outage(Outage::Api, out) => self.world.api_out = out,
            Order::Outage(Outage::Ec2, out) => self.world.ec2_out = out,
            Order::Outage(Outage::Metadata(node), out) => {
                self.world.node_mut(node).metadata_out = out;
            }
            Order::Leases(all) => self.world.leases = all,
            Order::Ready(pod, ready) => {
                self.audit.ready(pod, ready);
                self.check_address(ready.address);
            }
            Order::Unready(pod) => self.audit.unready(pod),
            Order::Heal => {
                self.healing = true;
                for node in &mut self.world.nodes {
                    node.hardware_at = node.hardware_at.min(now);
                }
                self.world.ec2.buckets = crate::world::ec2::Buckets::default();
                self.world.ec2.give_back(now, Lags::default());
                if self.scenario.strays.is_some() {
                    let addresses: Vec<Ipv4Addr> = self.scenario.addresses().collect();
                    self.world.leave_strays(now, self.names, &addresses);
                }
            }
        }
    }
}

impl Model<'_> {
    fn spawn(&mut self, spawn: Spawn) {
        let slot = self.slot();
        let machine = match spawn.role {
            Role::Init => {
                let input = inputs::attach(self.scenario, self.names, spawn, slot.0);
                let machine = Attach::new(input.clone(), self.now);
                self.begins(slot, "attach.new", &(input, self.now), &machine);
                Runs::Attach(Box::new(machine))
            }
            Role::Stop(kind, grace) => {
                let input = inputs::release(self.names, (spawn, slot.0), kind, grace);
                self.release(slot, input)
            }
            Role::Agent => Runs::Agent(Box::new(Agent::new(self.scenario.addresses()))),
        };
        debug_assert_eq!(self.slots.len(), spawn.process.at(), "ids come in order");
        self.slots.push(slot);
        self.begin(spawn, machine, None);
        if spawn.role == Role::Agent {
            self.watch_strays(slot);
        }
    }

    /// A release that begins now.
    pub(super) fn release(&mut self, slot: Slot, input: ReleaseInput) -> Runs {
        let machine = Release::new(input.clone(), self.now);
        self.begins(slot, "release.new", &(input, self.now), &machine);
        Runs::Release(Box::new(machine))
    }

    /// Records that a machine begins.
    pub(super) fn begins(
        &mut self,
        slot: Slot,
        call: &str,
        with: &impl Serialize,
        machine: &impl Machine,
    ) {
        if let Some(tape) = self.trace.tape() {
            tape.begins(call, u64::from(slot.0), with, machine);
        }
    }

    /// The slot of the next process.
    pub(super) fn slot(&self) -> Slot {
        Slot(u32::try_from(self.processes.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn begin(&mut self, spawn: Spawn, machine: Runs, agent: Option<Slot>) {
        let slot = self.slot();
        let chance = Chance::new(self.scenario.seed, Purpose::Process, u64::from(slot.0));
        let ticks = matches!(machine, Runs::Agent(_));
        let mut process = Process::new(spawn, machine, chance, self.now);
        process.agent = agent;
        let first = process.chance.micros(500, 20_000);
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
            self.signal_seen(slot);
        }
    }

    /// The runner sees the signal: init ends at once, a stop container is told at its next wait.
    fn signal_seen(&mut self, slot: Slot) {
        let process = &mut self.processes[slot.at()];
        if matches!(process.machine, Runs::Attach(_)) {
            process.alive = false;
            let id = process.id();
            self.close(slot, End::Interrupted);
            self.ended.push_back((id, Ended::Interrupted));
            return;
        }
        let waits = matches!(process.machine.action(), Action::AwaitStop | Action::Wait(_));
        if waits && !process.told {
            process.told = true;
            process.reply = Some(Reply::Stopping);
            process.turn = process.turn.wrapping_add(1);
            let turn = process.turn;
            self.queue.push(self.now, Event::Reply(slot, turn));
        }
    }

    fn kill(&mut self, process: ProcessId) {
        if let Some(slot) = self.alive(process) {
            self.kill_slot(slot);
            for number in 0..self.processes.len() {
                let errand = Slot(u32::try_from(number).unwrap_or(u32::MAX));
                if self.processes[number].alive && self.processes[number].agent == Some(slot) {
                    self.kill_slot(errand);
                }
            }
        }
    }

    fn kill_slot(&mut self, slot: Slot) {
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

    fn freeze_slot(&mut self, slot: Slot) {
        let now = self.now;
        let process = self.process(slot);
        if !process.frozen {
            process.frozen = true;
            process.frozen_since = now;
            process.decides_first = process.chance.once_in(2);
        }
    }

    fn thaw(&mut self, process: ProcessId) {
        let Some(slot) = self.alive(process) else { return };
        self.thaw_slot(slot);
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
        let turn = process.turn;
        let stalled = process.stalled.take();
        if process.signalled {
            self.signal_seen(slot);
        }
        if !self.is_turn(slot, turn) {
            return;
        }
        let event = match stalled {
            Some(Stalled::Reply) => Event::Reply(slot, turn),
            Some(Stalled::Act) => Event::Act(slot, turn),
            Some(Stalled::Tick) => Event::Tick(slot, turn),
            None => return,
        };
        self.queue.push(now, event);
    }

    fn power(&mut self, node: NodeIx, power: Power) {
        let lags = self.lags_of_others();
        // A hot-plugged ENI, or metadata after a boot, may take its time.
        let slow = !self.healing && self.others.once_in(6);
        let boots = self.others.millis(0, if slow { 45_000 } else { 2_000 });
        let now = self.now;
        let hardware_at = now.plus(boots);
        let world = self.world.node_mut(node);
        match power {
            Power::Lost => {
                world.off = true;
                let foreign = world.kernel.addresses.get(&crate::world::FOREIGN).copied();
                world.kernel.reboot(now);
                // Whoever put the foreign address there does so again.
                world.kernel.addresses.extend(foreign.map(|held| (crate::world::FOREIGN, held)));
                self.audit.rebooted(node);
            }
            Power::Back => (world.off, world.hardware_at) = (false, hardware_at),
            Power::Terminated => {
                world.gone = true;
                self.audit.rebooted(node);
                let ec2 = &self.world.ec2;
                self.audit.terminated(node, |address| ec2.holder(address).map(|(eni, _)| eni));
                self.world.ec2.terminate(self.now, node, lags);
            }
        }
    }

    fn steal(&mut self, address: Ipv4Addr, theft: Theft) {
        let (now, lags) = (self.now, self.lags_of_others());
        let done = match theft {
            Theft::Steal => self.world.ec2.steal(now, address, lags),
            Theft::Unassign => self.world.ec2.strip(now, address, lags),
            Theft::Settle => self.world.ec2.settle(now, address, lags),
        };
        if done {
            self.probes.theft(theft);
            self.audit.stolen(now, address);
        }
    }

    /// The kernel tells the node's agent of what it lost; one that is stopped or dead sees it
    /// later.
    fn strip(&mut self, node: NodeIx, address: Ipv4Addr, what: Stripped) {
        if !self.world.node_mut(node).strip(address, what) {
            return;
        }
        self.audit.stripped(node, address);
        for number in 0..self.processes.len() {
            let process = &mut self.processes[number];
            let agent = matches!(process.machine, Runs::Agent(_)) && process.spawn.node == node;
            if agent && process.alive && !process.frozen {
                process.turn = process.turn.wrapping_add(1);
                let (after, turn) = (process.chance.millis(1, 40), process.turn);
                let slot = Slot(u32::try_from(number).unwrap_or(u32::MAX));
                self.queue.push(self.now.plus(after), Event::Tick(slot, turn));
            }
        }
    }

    pub(super) fn lags_of_others(&mut self) -> Lags {
        Lags {
            switch: self.others.millis(1, 500),
            listed: self.others.millis(1, 1_000),
            unlisted: self.others.millis(1, 5_000),
        }
    }

    /// A process has come to its outcome.
    pub(super) fn finish(&mut self, slot: Slot) {
        let process = &mut self.processes[slot.at()];
        process.alive = false;
        let Some(outcome) = process.machine.outcome().cloned() else { return };
        let (id, errand) = (process.id(), process.agent.is_some());
        self.probes.outcome(&outcome);
        if let (Outcome::Attached(attached), Runs::Attach(_)) = (&outcome, &process.machine) {
            self.audit.attached(self.now, attached);
        }
        self.close(slot, End::Outcome(&outcome));
        if errand {
            self.disturb();
        } else {
            self.ended.push_back((id, Ended::Outcome(outcome)));
        }
    }

    fn close(&mut self, slot: Slot, end: End<'_>) {
        let process = &self.processes[slot.at()];
        let limit = match process.machine {
            Runs::Attach(_) => Some(self.scenario.shape.deadline()),
            Runs::Errand(_) => Some(timing::ERRAND_DEADLINE),
            Runs::Release(_) | Runs::Agent(_) | Runs::Attempt(_) => None,
        };
        let life = Life {
            now: self.now,
            slot: slot.0,
            awake: self.now.since(process.began).saturating_sub(process.frozen_for),
            asleep: process.frozen_for,
            frozen: process.frozen_for > Duration::ZERO || process.slow,
            limit,
            signalled: process.signalled_at,
            causes: process.causes,
            calls: process.ec2_calls,
            mutations: process.mutations,
        };
        self.trace.ended(self.now, slot.0, &end);
        self.audit.ended(&life, &end);
    }
}
