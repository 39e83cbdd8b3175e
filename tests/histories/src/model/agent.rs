//! The agent of a node around the core's planner: it looks at the registry, its kernel and EC2,
//! plans, and runs an errand for each duty.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::agent::{Duty, Errand, Seen, Sight, plan};
use firecamp_core::lock::Hold;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_sim::Tag;

use super::Model;
use super::process::{Runs, Slot};
use super::queue::Event;
use crate::cluster::ApiPod;
use crate::level::Spawn;
use crate::names::{EniIx, MemberIx, Names, NodeIx, PodIx, ProcessId, pool_addresses};
use crate::scenario::Fault;

/// What an agent remembers of an address.
#[derive(Debug, Clone)]
struct Look {
    address: Ipv4Addr,
    astray: Option<Moment>,
    reasserted: Option<Moment>,
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
        let look = |address| Look { address, astray: None, reasserted: None, errand: None };
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
        let mut addresses = Vec::new();
        for number in 0..usize::from(self.scenario.shape.pool) {
            let address = self.address(slot, number);
            if let Some(seen) = self.see(slot, node, (address, then)) {
                addresses.push(seen);
            }
        }
        addresses.retain(|seen| self.concerns(node, &gone, seen));
        let name = self.names.node(node).name.clone();
        let gone = gone.into_iter().map(|node| self.names.node(node).name.clone()).collect();
        let sight = Sight { node: name, cluster: self.names.cluster.clone(), gone, addresses };
        let duties = if sight.addresses.is_empty() { Vec::new() } else { plan(&sight, self.now) };
        let busy = duties.iter().filter(|duty| self.run_errand(slot, duty)).count();
        if let Runs::Agent(agent) = &mut self.process(slot).machine {
            let astray = agent.looks.iter().any(|look| look.astray.is_some());
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

    fn address(&self, slot: Slot, number: usize) -> Ipv4Addr {
        match &self.processes[slot.at()].machine {
            Runs::Agent(agent) => agent.looks[number].address,
            Runs::Attach(_) | Runs::Release(_) | Runs::Errand(_) => Ipv4Addr::UNSPECIFIED,
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

    /// What the agent sees of an address.
    fn see(
        &mut self,
        slot: Slot,
        node: NodeIx,
        (address, asked): (Ipv4Addr, Option<Moment>),
    ) -> Option<Seen> {
        let stored = self.world.registry.static_ips.get(&address)?;
        let attachment = stored.object.attachment.as_ref()?;
        let kernel = &self.world.node(node).kernel;
        let last = kernel.locks.get(&address);
        let ours = kernel.addresses.get(&address).is_some_and(|(_, tag)| *tag == Tag::Ours);
        let in_kernel = ours || kernel.routed.contains(&address);
        let held = last.is_some_and(|last| last.hold == Hold::Held);
        let here = attachment.node == self.names.node(node).name;
        let gone = self.world.nodes.iter().any(|node| node.gone);
        if !in_kernel && !held && !here && !gone {
            // The planner has no word for what does not concern this node at all.
            let Runs::Agent(agent) = &mut self.process(slot).machine else { return None };
            agent.look(address)?.astray = None;
            return None;
        }
        let member = self.names.member_ix(&stored.object.member)?;
        let pod = ApiPod::view(self.world.pods[member.at()], self.names, self.now);
        let attached = here && attachment.state == State::Attached;
        let eni = attachment.eni.as_ref().and_then(EniIx::of);
        let elsewhere = asked.map(|then| {
            let shown = self.world.ec2.shown(address, then).map(|(eni, _)| eni);
            shown != eni
        });
        let elsewhere = if attached { elsewhere } else { Some(false) };
        let seen = Seen {
            record: stored.object.clone(),
            lock: last.cloned(),
            in_kernel,
            pod,
            astray: None,
            reasserted: None,
        };
        let now = self.now;
        let Runs::Agent(agent) = &mut self.process(slot).machine else { return None };
        let look = agent.look(address)?;
        match elsewhere {
            Some(true) => look.astray = look.astray.or(Some(now)),
            Some(false) => look.astray = None,
            None => {}
        }
        Some(Seen { astray: look.astray, reasserted: look.reasserted, ..seen })
    }

    fn concerns(&self, node: NodeIx, gone: &BTreeSet<NodeIx>, seen: &Seen) -> bool {
        let name = &self.names.node(node).name;
        let held = seen.lock.as_ref().is_some_and(|last| last.hold == Hold::Held);
        let at = seen.record.attachment.as_ref().map(|a| &a.node);
        let lost = gone.iter().any(|node| at == Some(&self.names.node(*node).name));
        seen.in_kernel || held || lost || at == Some(name)
    }

    /// Begins an errand, unless one for that address is under way. True: there is something to do.
    fn run_errand(&mut self, slot: Slot, duty: &Duty) -> bool {
        let (address, member) = self.subject(duty);
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
                look.reasserted = Some(now);
            }
        }
        let pod = pod_of(duty).unwrap_or_default();
        let run = self.names.run(ProcessId(errand.0));
        let machine = Errand::new(duty, &self.names.cluster, run, now);
        let agent = self.processes[slot.at()].spawn;
        let spawn = Spawn { member: member.unwrap_or_default(), pod, ..agent };
        self.trace.duty(now, slot.0, errand.0, duty);
        self.begin(spawn, Runs::Errand(Box::new(machine)), Some(slot));
        true
    }

    fn subject(&self, duty: &Duty) -> (Option<Ipv4Addr>, Option<MemberIx>) {
        let records = &self.world.registry.static_ips;
        let member_of = |address: &Ipv4Addr| {
            records.get(address).and_then(|stored| self.names.member_ix(&stored.object.member))
        };
        match duty {
            Duty::GiveWay { address, .. } | Duty::Reassert { address, .. } => {
                (Some(*address), member_of(address))
            }
            Duty::Release { member, .. } => {
                let found = records.values().find(|stored| stored.object.member == *member);
                (found.map(|stored| stored.object.address), self.names.member_ix(member))
            }
        }
    }
}

fn pod_of(duty: &Duty) -> Option<PodIx> {
    match duty {
        Duty::GiveWay { holder, .. } => Names::pod_ix(&holder.pod),
        Duty::Release { pod, .. } => Names::pod_ix(pod),
        Duty::Reassert { .. } => None,
    }
}
