//! The agent of a node around the core's planner: it looks at the registry, its kernel and EC2,
//! plans, and runs an errand for each duty.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::Planner;
use firecamp_core::agent::{Duty, Errand, Look as Found, Memory, Sight, plan};
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::Model;
use super::adopt::Seen;
use super::process::{Process, Runs, Slot};
use super::queue::Event;
use crate::level::Spawn;
use crate::names::{EniIx, NodeIx, ProcessId};
use crate::probe::{DutyMet, is_by_lease};
use crate::scenario::Fault;
use crate::sight::pod_of;
use crate::watch::{Views, Watches};
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
    watches: Watches,
    /// Addresses without a record.
    pub(super) seen: Seen,
    /// What it does for the cluster while it holds the Lease.
    pub(super) planner: Planner,
}

impl Agent {
    pub(super) fn new(addresses: impl Iterator<Item = Ipv4Addr>) -> Self {
        let look = |address| Look { address, memory: Memory::default(), errand: None };
        Self {
            looks: addresses.map(look).collect(),
            idle: 0,
            watches: Watches::default(),
            seen: Seen::default(),
            planner: Planner::default(),
        }
    }

    fn look(&mut self, address: Ipv4Addr) -> Option<&mut Look> {
        self.looks.iter_mut().find(|look| look.address == address)
    }
}

/// The number of what an agent remembers of an address.
fn memory_of(agent: Slot, address: Ipv4Addr) -> Option<u64> {
    Some(u64::from(agent.0) << 32 | u64::from(u32::from(address)))
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
                Runs::Errand(_) | Runs::Attempt(_) => !process.alive,
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
        let pause = self.process(slot).chance.millis(2_000, 5_000).saturating_mul(self.calm());
        let turn = self.processes[slot.at()].turn;
        self.queue.push(self.now.plus(pause), Event::Tick(slot, turn));
        let Some(views) = self.views(slot) else { return };
        let node = self.processes[slot.at()].spawn.node;
        let agents =
            self.processes.iter().filter(|p| p.alive && matches!(p.machine, Runs::Agent(_)));
        let gone = self.world.gone(node, agents.map(|agent| agent.spawn.node));
        let then = self.ask_ec2(slot, node);
        let mut sight = World::sight(node, &gone, self.names);
        let mut looks = self.looks(slot);
        self.see(slot, &mut sight, &mut looks, (views, then));
        if let Runs::Agent(agent) = &mut self.process(slot).machine {
            agent.looks = looks;
        }
        let duties = if sight.addresses.is_empty() { Vec::new() } else { plan(&sight, self.now) };
        if let (false, Some(tape)) = (sight.addresses.is_empty(), self.trace.tape()) {
            tape.function("agent.plan", &(&sight, self.now), &duties);
        }
        let busy = duties.iter().filter(|duty| self.run_errand(slot, duty, &sight)).count();
        if let Runs::Agent(agent) = &mut self.process(slot).machine {
            let astray = agent.looks.iter().any(|look| look.memory.is_astray());
            agent.idle = if busy == 0 && !astray { agent.idle.saturating_add(1) } else { 0 };
        }
        self.probes.looks += 1;
    }

    /// What the registry shows to an agent. None: it does not answer, and nothing is known.
    fn views(&mut self, slot: Slot) -> Option<Views> {
        if !self.scenario.shape.watches {
            let away = self.world.api_out || self.strikes(slot, Fault::RegistryFails);
            return (!away).then_some(Views::FRESH);
        }
        let away = self.world.api_out;
        let struck = Fault::WATCHES.into_iter().find(|fault| !away && self.strikes(slot, *fault));
        let now = self.now;
        let Process { machine, chance, .. } = self.process(slot);
        let Runs::Agent(agent) = machine else { return None };
        Some(agent.watches.look(now, away, struck, chance))
    }

    fn looks(&mut self, slot: Slot) -> Vec<Look> {
        match &mut self.process(slot).machine {
            Runs::Agent(agent) => std::mem::take(&mut agent.looks),
            Runs::Attach(_) | Runs::Release(_) | Runs::Errand(_) | Runs::Attempt(_) => Vec::new(),
        }
    }

    /// One Describe for all addresses of the node; of which moment, if it was answered.
    fn ask_ec2(&mut self, slot: Slot, node: NodeIx) -> Option<Moment> {
        let name = &self.names.node(node).name;
        let ours = |ip: &StaticIp| ip.attachment.as_ref().is_some_and(|a| a.node == *name);
        if !self.world.registry.static_ips.values().any(|stored| ours(&stored.object)) {
            return None;
        }
        self.describe(slot)
    }

    /// Takes in what a look finds out about each address.
    fn see(
        &mut self,
        slot: Slot,
        sight: &mut Sight,
        looks: &mut [Look],
        (views, asked): (Views, Option<Moment>),
    ) {
        let (node, now) = (self.processes[slot.at()].spawn.node, self.now);
        let mut trace = std::mem::take(&mut self.trace);
        for Look { address, memory, .. } in looks {
            let Some(found) = self.found((node, *address), views, asked) else { continue };
            let Some(tape) = trace.tape() else {
                sight.add(found, memory, now);
                continue;
            };
            let before = sight.addresses.len();
            let header = (&sight.node, &sight.cluster, &sight.gone);
            tape.call("memory.add", memory_of(slot, *address), &(header, &found, now));
            sight.add(found, memory, now);
            tape.gives(&(sight.addresses.get(before), memory.is_astray()));
        }
        self.trace = trace;
    }

    /// What a look finds out about an address; `asked`: of which moment EC2 answered, if it did.
    fn found(
        &self,
        (node, address): (NodeIx, Ipv4Addr),
        views: Views,
        asked: Option<Moment>,
    ) -> Option<Found<'_>> {
        let record = self.world.seen_record(address, views.records)?;
        let eni = record.attachment.as_ref()?.eni.as_ref().and_then(EniIx::of);
        let in_place =
            asked.map(|then| self.world.ec2.shown(address, then).map(|(eni, _)| eni) == eni);
        self.world.look((node, address), views, in_place, (self.names, self.now))
    }

    fn audit_duty(&mut self, slot: Slot, duty: &Duty, (address, sight): (Ipv4Addr, &Sight)) {
        if let Duty::Reassert { .. } = duty {
            self.audit.reasserts(self.now, slot.0, address);
        }
        // By what it saw: a restore asks no registry, so that it works while that is away.
        let seen = sight.addresses.iter().find(|seen| seen.record.address == address);
        if let (Duty::Restore { holder, .. }, Some(seen)) = (duty, seen) {
            self.audit.restores(self.now, slot.0, holder, &seen.record);
        }
        let agent = &self.processes[slot.at()];
        let errands = self.processes.iter().filter(|p| p.alive && p.agent.is_some());
        let rivals = errands.filter(|p| p.about == Some(address) && p.agent != Some(slot));
        let (mut here, mut elsewhere) = (false, false);
        for rival in rivals {
            here |= rival.spawn.node == agent.spawn.node;
            elsewhere |= rival.by_lease;
        }
        let met = DutyMet { away: self.world.api_out, here, elsewhere };
        self.probes.duty(duty, met);
    }

    /// Begins an errand, unless one for that address is under way. True: there is something to do.
    fn run_errand(&mut self, slot: Slot, duty: &Duty, sight: &Sight) -> bool {
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
        let machine = &mut self.processes[slot.at()].machine;
        if let (Runs::Agent(agent), Some(address)) = (machine, address)
            && let Some(look) = agent.look(address)
        {
            look.errand = Some(errand);
            if let Duty::Reassert { .. } = duty {
                look.memory.reasserts(now);
                if let Some(tape) = self.trace.tape() {
                    tape.call("memory.reasserts", memory_of(slot, address), &now);
                    tape.gives(&());
                }
            }
        }
        if let Some(address) = address {
            self.audit_duty(slot, duty, (address, sight));
        }
        let pod = pod_of(duty).unwrap_or_default();
        let run = self.names.run(ProcessId(errand.0));
        let machine = Errand::new(duty, &self.names.cluster, run.clone(), now);
        self.begins(errand, "errand.new", &(duty, &self.names.cluster, run, now), &machine);
        let agent = self.processes[slot.at()].spawn;
        let spawn = Spawn { member: member.unwrap_or_default(), pod, ..agent };
        self.trace.duty(now, slot.0, errand.0, duty);
        self.begin(spawn, Runs::Errand(Box::new(machine)), Some(slot));
        let process = self.process(errand);
        process.about = address;
        process.by_lease = is_by_lease(duty);
        true
    }
}
