//! What the agent that holds the Lease does with addresses that were adopted, wired as the real one
//! does it (`agent/src/cluster`). What is due, the cluster's planner decides.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    AddressSeen, Answers, ClaimSeen, Duty, Identity, NodeLife, NodeSeen, PoolSeen, Site, Uid, View,
    is_orphan, timing,
};
use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::timing as bounds;
use firecamp_core::decide;
use firecamp_core::ids::{Member, NodeName, PoolName, Version};
use firecamp_core::outside::{PodView, SocketScope};
use firecamp_core::record::{Claim, MemberRecords, Pool, State, StaticIp, Stored, Write};
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_registry::api::{ClaimRetentionPolicy, ReclaimPolicy, StaticIPStatus};

use super::Model;
use super::process::{Runs, Slot};
use super::queue::Event;
use crate::names::{NodeIx, ProcessId};

fn identity(name: &str, version: &Version) -> Option<Identity> {
    Some(Identity { uid: Uid::new(name)?, version: version.clone(), deleting: false })
}

fn address_seen(stored: &Stored<StaticIp>) -> Option<AddressSeen> {
    Some(AddressSeen {
        id: identity("address", &stored.version)?,
        record: stored.object.clone(),
        generation: 1,
        finalizers: Vec::new(),
        status: StaticIPStatus::default(),
    })
}

fn claim_seen(stored: &Stored<Claim>) -> Option<ClaimSeen> {
    Some(ClaimSeen {
        id: identity("claim", &stored.version)?,
        claim: stored.object.clone(),
        generation: 1,
        owner: None,
        conditions: Vec::new(),
    })
}

fn pool_seen(pool: &Pool) -> Option<PoolSeen> {
    Some(PoolSeen {
        id: identity("pool", &"1".parse().ok()?)?,
        generation: 1,
        pool: pool.clone(),
        reclaim: ReclaimPolicy::Delete,
        retention: ClaimRetentionPolicy::default(),
        status: None,
    })
}

impl Model<'_> {
    /// One pass of whoever holds the Lease.
    pub(super) fn pass(&mut self, slot: Slot) {
        let Some(pause) = self.pause(slot, timing::PASS_EVERY, Event::Pass(slot)) else { return };
        self.queue.push(self.now.plus(pause), Event::Pass(slot));
        let node = self.processes[slot.at()].spawn.node;
        let (_, answered) = self.ask_registry(slot);
        let holds = self.holds_lease(node);
        let now = self.now;
        let Runs::Agent(agent) = &mut self.process(slot).machine else { return };
        let mut planner = std::mem::take(&mut agent.planner);
        if !holds {
            // Whoever takes the Lease begins anew.
            if let Some(tape) = self.trace.tape() {
                tape.call("leader.new", Some(u64::from(slot.0)), &());
                tape.gives(&());
            }
            return;
        }
        let duties = if answered {
            let (view, site, answers) = (self.view(), self.site(node), Answers::default());
            let duties = planner.plan(&view, &site, &answers, now);
            if let Some(tape) = self.trace.tape() {
                tape.call("leader.plan", Some(u64::from(slot.0)), &(view, site, answers, now));
                tape.gives(&duties);
            }
            duties
        } else {
            Vec::new()
        };
        if let Runs::Agent(agent) = &mut self.process(slot).machine {
            agent.planner = planner;
        }
        for duty in duties {
            self.do_for_nobody(slot, &duty);
        }
    }

    fn holds_lease(&self, node: NodeIx) -> bool {
        let agent = |p: &&super::Process| p.alive && matches!(p.machine, Runs::Agent(_));
        let first = self.processes.iter().filter(agent).map(|agent| agent.spawn.node).min();
        self.world.leases || first == Some(node)
    }

    fn site(&self, node: NodeIx) -> Site {
        Site {
            node: self.names.node(node).name.clone(),
            cluster: self.names.cluster.clone(),
            subnets: BTreeMap::from([(self.names.subnet.clone(), self.names.cidr)]),
        }
    }

    /// The registry as complete lists show it. Every node is said to be ready: what is done for
    /// those that are gone has agents of its own here.
    fn view(&self) -> View {
        let registry = &self.world.registry;
        let claim =
            |(member, stored): (&Member, &Stored<Claim>)| (member.clone(), claim_seen(stored));
        let address = |(at, stored): (&Ipv4Addr, &Stored<StaticIp>)| (*at, address_seen(stored));
        let pool = |(name, pool): (&PoolName, &Pool)| (name.clone(), pool_seen(pool));
        let nodes = self.names.nodes.iter().take(self.world.nodes.len());
        let ready = |name: &NodeName| (name.clone(), Some(NodeSeen::from(NodeLife::Ready)));
        View {
            addresses: registry.static_ips.iter().map(address).collect(),
            claims: registry.claims.iter().map(claim).collect(),
            pools: registry.pools.iter().map(pool).collect(),
            sets: BTreeMap::new(),
            nodes: nodes.map(|node| ready(&node.name)).collect(),
        }
    }

    /// What is about an address that is nobody's: all else of the Lease's holder has its own tests.
    fn do_for_nobody(&mut self, slot: Slot, duty: &Duty) {
        let (Duty::Unassign { address, .. } | Duty::DropAddress { address, .. }) = duty else {
            return;
        };
        let Some(stored) = self.world.registry.static_ips.get(address).cloned() else { return };
        let nobodys = stored.object.member.is_nobody() && is_orphan(*address, None);
        let busy = self.processes.iter().any(|p| p.alive && p.reclaims == Some(*address));
        if !nobodys || busy || !self.ask_registry(slot).1 {
            return;
        }
        if let Duty::DropAddress { id, .. } = duty {
            if id.version == stored.version {
                self.world.registry.static_ips.remove(address);
                self.trace.add(self.now, address, || format!("  record of {address}: dropped"));
                self.probes.meet("adoption: reclaimed");
            }
            return;
        }
        self.take_out(slot, *address, &stored);
    }

    /// Announces the release that unassigns, and goes through it.
    fn take_out(&mut self, slot: Slot, address: Ipv4Addr, stored: &Stored<StaticIp>) {
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
            grace: bounds::ERRAND_DEADLINE,
        };
        let spawn = self.processes[slot.at()].spawn;
        let machine = self.release(own, input);
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
        // Under a run of its own, as every write of the holder.
        let run = self.names.run(ProcessId(u32::MAX.saturating_sub(own.0)));
        let releasing = decide::releasing(object, &run);
        if let Some(tape) = self.trace.tape() {
            tape.function("decide.releasing", &(object, &run), &releasing);
        }
        let Some((object, _)) = releasing else { return false };
        let write = Write::UpdateStaticIp(Stored { version: version.clone(), object });
        matches!(self.land_write(own, &write), Reply::Written(Ok(_)))
    }

    /// What a release that reclaims reads: the record by its address, and no pod.
    pub(super) fn read_for_nobody(&mut self, slot: Slot, action: &Action) -> Option<Reply> {
        let address = self.processes[slot.at()].reclaims?;
        let registry = &self.world.registry;
        if let Action::ReadMember = action {
            let static_ip = registry.static_ips.get(&address).cloned();
            let pool = registry.pools.values().next().cloned();
            let records = MemberRecords { claim: None, static_ip, pool };
            return Some(Reply::Member(Ok(Box::new(records))));
        }
        matches!(action, Action::ReadPod).then_some(Reply::Pod(Ok(PodView::Absent)))
    }
}
