//! The agent of a node around the core's planner: it looks at the registry, its kernel and EC2,
//! plans, and runs an errand for each duty.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::agent::{Duty, Errand, Look as Found, Memory, plan};
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::Model;
use super::process::{Runs, Slot};
use super::queue::Event;
use crate::level::Spawn;
use crate::names::{EniIx, NodeIx, ProcessId, pool_addresses};
use crate::scenario::Fault;
use crate::sight::pod_of;
use crate::world::World;

/// What an agent remembers of an address.
#[derive(Debug, Clone)]
struct Look {
    address: Ipv4Addr,
    memory: Memory,
    errand: Option<Slot>,
}

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    looks: Vec<Look>,
    /// So many looks in a row found nothing to do.
    idle: u32,
}

impl Agent {
    pub(super) fn new(pool: u8) -> Self {
        let look = |address| Look { address, memory: Memory::default(), errand: None };
        Self { looks: pool_addresses(pool).map(look).collect(), idle: 0 }
    }

    fn look(&mut self, address: Ipv4Addr) -> Option<&mut Look> {
        self.looks.iter_mut().find(|look| look.address == address)
    }
}

impl Model<'_> {
    /// Whether every agent that runs has found nothing to do so many times in a row.
    pub(super) fn are_agents_idle(&self, times: u32) -> bool {
        self.calls.open == 0
            && self.processes.iter().all(|process| match &process.machine {
                Runs::Agent(agent) if process.alive => agent.idle >= times,
                Runs::Agent(_) | Runs::Attach(_) => true,
                // One that has been told to stop has not ended yet.
                Runs::Release(_) => !(process.alive && process.signalled),
                Runs::Errand(_) => !process.alive,
            })
    }

    /// Something has happened: what agents found before says nothing any more.
    pub(super) fn disturb(&mut self) {
        for process in &mut self.processes {
            if let Runs::Agent(agent) = &mut process.machine {
                agent.idle = 0;
            }
        }
    }

    pub(super) fn tick(&mut self, slot: Slot) {
        if self.processes[slot.at()].frozen {
            self.processes[slot.at()].stalled = Some(super::process::Stalled::Tick);
            return;
        }
        let pause = self.process(slot).chance.millis(2_000, 5_000);
        let turn = self.processes[slot.at()].turn;
        self.queue.push(self.now.plus(pause), Event::Tick(slot, turn));
        if self.world.api_out || self.strikes(slot, Fault::RegistryFails) {
            return;
        }
        let node = self.processes[slot.at()].spawn.node;
        let gone = self.gone(node);
        let then = self.ask_ec2(slot, node);
        let mut sight = World::sight(node, &gone, self.names);
        let mut looks = self.looks(slot);
        for look in &mut looks {
            if let Some(found) = self.found(node, look.address, then) {
                sight.add(found, &mut look.memory, self.now);
            }
        }
        if let Runs::Agent(agent) = &mut self.process(slot).machine {
            agent.looks = looks;
        }
        let duties = if sight.addresses.is_empty() { Vec::new() } else { plan(&sight, self.now) };
        let busy = duties.iter().filter(|duty| self.run_errand(slot, duty)).count();
        if let Runs::Agent(agent) = &mut self.process(slot).machine {
            let astray = agent.looks.iter().any(|look| look.memory.is_astray());
            agent.idle = if busy == 0 && !astray { agent.idle.saturating_add(1) } else { 0 };
        }
        self.probes.looks += 1;
    }

    /// The nodes that are gone for good, if this agent is the one that cares for them.
    fn gone(&self, node: NodeIx) -> BTreeSet<NodeIx> {
        let first =
            self.processes.iter().filter(|p| p.alive && matches!(p.machine, Runs::Agent(_)));
        if first.map(|p| p.spawn.node).min() != Some(node) {
            return BTreeSet::new();
        }
        let nodes = (0..self.scenario.shape.nodes).map(NodeIx);
        nodes.filter(|node| self.world.node(*node).gone).collect()
    }

    fn looks(&mut self, slot: Slot) -> Vec<Look> {
        match &mut self.process(slot).machine {
            Runs::Agent(agent) => std::mem::take(&mut agent.looks),
            Runs::Attach(_) | Runs::Release(_) | Runs::Errand(_) => Vec::new(),
        }
    }

    /// One Describe for all addresses of the node; of which moment, if it was answered.
    fn ask_ec2(&mut self, slot: Slot, node: NodeIx) -> Option<Moment> {
        let name = &self.names.node(node).name;
        let ours = |ip: &StaticIp| ip.attachment.as_ref().is_some_and(|a| a.node == *name);
        if !self.world.registry.static_ips.values().any(|stored| ours(&stored.object)) {
            return None;
        }
        self.process(slot).ec2_calls = self.process(slot).ec2_calls.saturating_add(1);
        let refused = self.world.ec2_out || !self.world.ec2.buckets.describe.take(self.now);
        if refused || self.strikes(slot, Fault::CloudFails) {
            return None;
        }
        if self.strikes(slot, Fault::DescribeStale) {
            let lag = self.process(slot).chance.millis(0, 9_900);
            return Some(Moment(self.now.0.saturating_sub(lag)));
        }
        Some(self.now)
    }

    /// What a look finds out about an address; `asked`: of which moment EC2 answered, if it did.
    fn found(&self, node: NodeIx, address: Ipv4Addr, asked: Option<Moment>) -> Option<Found<'_>> {
        let record = &self.world.registry.static_ips.get(&address)?.object;
        let eni = record.attachment.as_ref()?.eni.as_ref().and_then(EniIx::of);
        let in_place =
            asked.map(|then| self.world.ec2.shown(address, then).map(|(eni, _)| eni) == eni);
        self.world.look((node, address), in_place, self.names, self.now)
    }

    fn audit_duty(&mut self, slot: Slot, duty: &Duty, address: Option<Ipv4Addr>) {
        let Some(address) = address else { return };
        if let Duty::Reassert { .. } = duty {
            self.audit.reasserts(self.now, slot.0, address);
        }
        let record = self.world.registry.static_ips.get(&address);
        if let (Duty::Restore { holder, .. }, Some(stored)) = (duty, record) {
            self.audit.restores(self.now, slot.0, holder, &stored.object);
        }
    }

    /// Begins an errand, unless one for that address is under way. True: there is something to do.
    fn run_errand(&mut self, slot: Slot, duty: &Duty) -> bool {
        let (address, member) = self.world.subject(duty, self.names);
        let errand = self.slot();
        let now = self.now;
        let running = {
            let Runs::Agent(agent) = &self.processes[slot.at()].machine else { return false };
            let look = agent.looks.iter().find(|look| Some(look.address) == address);
            look.and_then(|look| look.errand).is_some_and(|e| self.processes[e.at()].alive)
        };
        if running {
            return true;
        }
        if let (Runs::Agent(agent), Some(address)) = (&mut self.process(slot).machine, address)
            && let Some(look) = agent.look(address)
        {
            look.errand = Some(errand);
            if let Duty::Reassert { .. } = duty {
                look.memory.reasserts(now);
            }
        }
        self.audit_duty(slot, duty, address);
        let pod = pod_of(duty).unwrap_or_default();
        let run = self.names.run(ProcessId(errand.0));
        let machine = Errand::new(duty, &self.names.cluster, run, now);
        let agent = self.processes[slot.at()].spawn;
        let spawn = Spawn { member: member.unwrap_or_default(), pod, ..agent };
        self.trace.duty(now, slot.0, errand.0, duty);
        self.begin(spawn, Runs::Errand(Box::new(machine)), Some(slot));
        true
    }
}
