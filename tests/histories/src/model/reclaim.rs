//! How the leader handles adopted addresses, wired like the real agent (`agent/src/cluster`). The
//! cluster's planner makes all decisions.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    Identity, NodeReadiness, ObservedClaim, ObservedNode, ObservedPool, ObservedStaticIp,
    Operation, QueryResults, Site, Uid, View, is_orphan, timing,
};
use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::timing as bounds;
use firecamp_core::decide;
use firecamp_core::ids::{Member, NodeName, PoolName, Version};
use firecamp_core::ports::{PodView, SocketScope};
use firecamp_core::record::{Claim, MemberRecords, Pool, State, StaticIp, Stored, Write};
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_registry::api::{ClaimRetentionPolicy, ReclaimPolicy, StaticIPStatus};

use super::Model;
use super::process::{ProcessKind, Slot};
use super::queue::Event;
use crate::names::{NodeIx, ProcessId};

fn identity(name: &str, version: &Version) -> Option<Identity> {
    Some(Identity { uid: Uid::new(name)?, version: version.clone(), deleting: false })
}

fn observed_static_ip(stored: &Stored<StaticIp>) -> Option<ObservedStaticIp> {
    Some(ObservedStaticIp {
        id: identity("address", &stored.version)?,
        record: stored.object.clone(),
        generation: 1,
        finalizers: Vec::new(),
        status: StaticIPStatus::default(),
    })
}

fn observed_claim(stored: &Stored<Claim>) -> Option<ObservedClaim> {
    Some(ObservedClaim {
        id: identity("claim", &stored.version)?,
        claim: stored.object.clone(),
        generation: 1,
        owner: None,
        conditions: Vec::new(),
    })
}

fn observed_pool(pool: &Pool) -> Option<ObservedPool> {
    Some(ObservedPool {
        id: identity("pool", &"1".parse().ok()?)?,
        generation: 1,
        pool: pool.clone(),
        reclaim: ReclaimPolicy::Delete,
        retention: ClaimRetentionPolicy::default(),
        status: None,
    })
}

impl Model<'_> {
    /// One pass of the leader.
    pub(super) fn pass(&mut self, slot: Slot) {
        let Some(pause) = self.pause(slot, timing::PASS_EVERY, Event::LeaderPass(slot)) else {
            return;
        };
        self.queue.push(self.now.plus(pause), Event::LeaderPass(slot));
        let node = self.processes[slot.at()].spawn.node;
        let (_, answered) = self.query_registry(slot);
        let holds = self.holds_lease(node);
        let now = self.now;
        let ProcessKind::Agent(agent) = &mut self.process(slot).machine else { return };
        let mut planner = std::mem::take(&mut agent.planner);
        if !holds {
            // A new leader starts from scratch.
            if let Some(tape) = self.trace.tape() {
                tape.call("leader.new", Some(u64::from(slot.0)), &());
                tape.gives(&());
            }
            return;
        }
        let operations = if answered {
            let (view, site, answers) = (self.view(), self.site(node), QueryResults::default());
            let operations = planner.plan(&view, &site, &answers, now);
            if let Some(tape) = self.trace.tape() {
                tape.call("leader.plan", Some(u64::from(slot.0)), &(view, site, answers, now));
                tape.gives(&operations);
            }
            operations
        } else {
            Vec::new()
        };
        if let ProcessKind::Agent(agent) = &mut self.process(slot).machine {
            agent.planner = planner;
        }
        for operation in operations {
            self.act_for_orphan(slot, &operation);
        }
    }

    fn holds_lease(&self, node: NodeIx) -> bool {
        let agent = |p: &&super::Process| p.alive && matches!(p.machine, ProcessKind::Agent(_));
        let first = self.processes.iter().filter(agent).map(|agent| agent.spawn.node).min();
        self.cluster.leases || first == Some(node)
    }

    fn site(&self, node: NodeIx) -> Site {
        Site {
            node: self.names.node(node).name.clone(),
            cluster: self.names.cluster.clone(),
            subnets: BTreeMap::from([(self.names.subnet.clone(), self.names.cidr)]),
        }
    }

    /// The registry as complete lists show it. All nodes are reported as ready: other histories
    /// cover lost nodes.
    fn view(&self) -> View {
        let registry = &self.cluster.registry;
        let claim =
            |(member, stored): (&Member, &Stored<Claim>)| (member.clone(), observed_claim(stored));
        let address =
            |(at, stored): (&Ipv4Addr, &Stored<StaticIp>)| (*at, observed_static_ip(stored));
        let pool = |(name, pool): (&PoolName, &Pool)| (name.clone(), observed_pool(pool));
        let nodes = self.names.nodes.iter().take(self.cluster.nodes.len());
        let ready =
            |name: &NodeName| (name.clone(), Some(ObservedNode::from(NodeReadiness::Ready)));
        View {
            addresses: registry.static_ips.iter().map(address).collect(),
            claims: registry.claims.iter().map(claim).collect(),
            pools: registry.pools.iter().map(pool).collect(),
            sets: BTreeMap::new(),
            nodes: nodes.map(|node| ready(&node.name)).collect(),
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
        // With a run ID of its own, like every write of the holder.
        let run = self.names.run(ProcessId(u32::MAX.saturating_sub(own.0)));
        let releasing = decide::releasing(object, &run);
        if let Some(tape) = self.trace.tape() {
            tape.function("decide.releasing", &(object, &run), &releasing);
        }
        let Some((object, _)) = releasing else { return false };
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
