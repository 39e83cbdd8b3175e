//! The leader's part of an agent, the same at every level: the product's [`LeaderController`], the
//! Lease, and what the lists and watches of a term report.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::Controller as _;
use firecamp_controllers::leader::{
    ClusterEvent, Effect, Event, Identity, LeaderController, LeaseWrite, NodeReadiness,
    ObjectEvent, ObservedClaim, ObservedLease, ObservedNode, ObservedPod, ObservedPool,
    ObservedStaticIp, SeenConditions, Terms,
};
use firecamp_controllers::node::Event as NodeEvent;
use firecamp_core::failure::{Effect as ReportedEffect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName, PoolName, Uid, Version};
use firecamp_core::record::{Claim, Pool, State, StaticIp, Stored};
use firecamp_core::time::Moment;
use firecamp_registry::api::{ClaimRetentionPolicy, ReclaimPolicy};

use crate::cluster::ApiPod;
use crate::names::{Names, NodeIx, ProcessId};
use crate::simulated_cluster::SimulatedCluster;

/// The leader's time passes this many times as fast as the cluster's, so that a history can wait
/// for the leader: a Lease expires after 6 s, a pass follows after 3 s, and the grace periods of
/// two minutes last 12 s, which is still longer than T.
const SPEED: u32 = 10;

/// An event of one of an agent's controllers.
#[derive(Debug)]
pub enum AgentEvent {
    /// Of the controller of the node.
    Node(NodeEvent),
    /// Of the controller of the leader.
    Leader(Event),
}

impl From<NodeEvent> for AgentEvent {
    fn from(event: NodeEvent) -> Self {
        Self::Node(event)
    }
}

impl From<Event> for AgentEvent {
    fn from(event: Event) -> Self {
        Self::Leader(event)
    }
}

/// An agent as candidate and leader.
#[derive(Debug)]
pub struct Leader {
    controller: LeaderController,
    in_term: bool,
}

impl Leader {
    /// A candidate on this node.
    pub fn new(node: NodeIx, process: ProcessId, names: &Names) -> Self {
        let (name, cluster) = (names.node(node).name.clone(), names.cluster.clone());
        let controller = LeaderController::new(name, cluster, &names.run(process));
        Self { controller, in_term: false }
    }

    /// Whether a term runs, in which the lists and watches report the cluster.
    pub fn in_term(&self) -> bool {
        self.in_term
    }

    /// Handles an event.
    pub fn handle(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let effects = self.controller.handle(event, Moment(now.0.saturating_mul(SPEED)));
        self.in_term |= effects.contains(&Effect::BeginTerm);
        self.in_term &= !effects.contains(&Effect::EndTerm);
        effects
    }

    /// When the next tick is due.
    pub fn next_tick(&self) -> Option<Moment> {
        let due = self.controller.next_tick()?.0;
        // Rounded up: a tick that comes too early does nothing.
        Some(Moment(due.saturating_add(Duration::from_nanos(u64::from(SPEED - 1))) / SPEED))
    }
}

/// The Lease; in some histories each agent has one of its own, so that all are leaders at once.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// Each agent has one of its own.
    pub separate: bool,
    shared: Option<ObservedLease>,
    own: BTreeMap<u32, ObservedLease>,
    writes: u32,
}

impl Leases {
    /// The Lease as the agent in this slot reads it.
    pub fn read(&self, agent: u32) -> Option<ObservedLease> {
        if self.separate { self.own.get(&agent) } else { self.shared.as_ref() }.cloned()
    }

    /// The agent in this slot creates or replaces the Lease.
    pub fn write(&mut self, agent: u32, write: LeaseWrite) -> Result<(), RegistryFailure> {
        let (terms, kind) = match (write, self.read(agent)) {
            (LeaseWrite::Create(terms), None) => (terms, None),
            (LeaseWrite::Create(terms), Some(_)) => (terms, Some(RegistryKind::AlreadyExists)),
            (LeaseWrite::Replace(_, terms), None) => (terms, Some(RegistryKind::NotFound)),
            (LeaseWrite::Replace(version, terms), Some(lease)) => {
                (terms, (version != lease.version).then_some(RegistryKind::Conflict))
            }
        };
        self.writes = self.writes.wrapping_add(1);
        let version = self.writes.to_string().parse().ok();
        let (None, Some(version)) = (kind, version) else {
            return Err(failure(kind.unwrap_or(RegistryKind::Invalid), ReportedEffect::None));
        };
        let Terms { holder, duration, transitions, acquired, ec2 } = terms;
        let lease = ObservedLease { version, holder, duration, transitions, acquired, ec2 };
        if self.separate {
            self.own.insert(agent, lease);
        } else {
            self.shared = Some(lease);
        }
        Ok(())
    }
}

fn failure(kind: RegistryKind, effect: ReportedEffect) -> RegistryFailure {
    RegistryFailure { kind, effect, detail: String::new() }
}

fn identity(name: &str, version: &Version) -> Option<Identity> {
    Some(Identity { uid: Uid::new(name).ok()?, version: version.clone(), deleting: false })
}

fn observed_static_ip(stored: &Stored<StaticIp>) -> Option<ObservedStaticIp> {
    Some(ObservedStaticIp {
        id: identity("address", &stored.version)?,
        record: stored.object.clone(),
        generation: 1,
        finalizers: Vec::new(),
        phase: None,
        conditions: SeenConditions::default(),
    })
}

fn observed_claim(stored: &Stored<Claim>) -> Option<ObservedClaim> {
    Some(ObservedClaim {
        id: identity("claim", &stored.version)?,
        claim: stored.object.clone(),
        generation: 1,
        owner: None,
        conditions: SeenConditions::default(),
    })
}

fn observed_pool(pool: &Pool, reclaim: ReclaimPolicy) -> Option<ObservedPool> {
    Some(ObservedPool {
        id: identity("pool", &"1".parse().ok()?)?,
        created: None,
        generation: 1,
        pool: pool.clone(),
        reclaim,
        retention: ClaimRetentionPolicy::default(),
        status: None,
    })
}

impl SimulatedCluster {
    /// What the lists and watches of a term report, complete each time, or that the API server does
    /// not answer. While each agent holds a Lease, nodes that are off are out of service.
    pub fn reports(&self, answers: bool, names: &Names) -> Vec<ClusterEvent> {
        let current = ClusterEvent::Nodes(ObjectEvent::Current(answers));
        if !answers {
            return vec![current];
        }
        let registry = &self.registry;
        let claim =
            |(member, stored): (&Member, &Stored<Claim>)| (member.clone(), observed_claim(stored));
        let address =
            |(at, stored): (&Ipv4Addr, &Stored<StaticIp>)| (*at, observed_static_ip(stored));
        let pool =
            |(name, pool): (&PoolName, &Pool)| (name.clone(), observed_pool(pool, self.reclaim));
        let nodes = names.nodes.iter().zip(&self.nodes).map(|(known, node)| {
            let readiness = match (node.gone, self.leases.separate && node.off) {
                (true, _) => NodeReadiness::NotReady,
                (false, true) => NodeReadiness::OutOfService,
                (false, false) => NodeReadiness::Ready,
            };
            (known.name.clone(), Some(ObservedNode::from(readiness)))
        });
        let (addresses, claims) = (registry.static_ips.iter(), registry.claims.iter());
        let addresses = ObjectEvent::list(addresses.map(address));
        let claims = ObjectEvent::list(claims.map(claim));
        let pools = ObjectEvent::list(registry.pools.iter().map(pool));
        let mut events = vec![
            current,
            ClusterEvent::Sets(ObjectEvent::Listed),
            ClusterEvent::GatedPods(ObjectEvent::Listed),
        ];
        events.extend(addresses.into_iter().map(ClusterEvent::StaticIps));
        events.extend(claims.into_iter().map(ClusterEvent::Claims));
        events.extend(pools.into_iter().map(ClusterEvent::Pools));
        events.extend(ObjectEvent::list(nodes).into_iter().map(ClusterEvent::Nodes));
        events
    }

    /// A fresh read of a member's pod.
    pub fn leader_pod(&self, member: &Member, names: &Names, now: Moment) -> ObservedPod {
        let pod = names.member_ix(member).and_then(|member| self.pods[member.at()]);
        ObservedPod { view: ApiPod::view(pod, names, now), controller: None }
    }

    /// An address that only the leader can release: a lost node holds it for a pod that is gone.
    pub fn awaits_leader(&self, names: &Names) -> Option<Ipv4Addr> {
        let lost = |name: &NodeName| {
            let mut nodes = names.nodes.iter().zip(&self.nodes);
            nodes.any(|(known, node)| node.gone && known.name == *name)
        };
        let left = |record: &StaticIp| {
            let Some(it) = &record.attachment else { return false };
            let held = match it.state {
                State::Attaching | State::Attached | State::Releasing => true,
                State::Parked | State::Released => false,
            };
            let member = names.member_ix(&record.member);
            let pod = member.and_then(|member| self.pods[member.at()]);
            held && lost(&it.node) && pod.map(|pod| names.uid(pod.pod)).as_ref() != Some(&it.pod)
        };
        let mut records = self.registry.static_ips.values().map(|stored| &stored.object);
        records.find(|record| left(record)).map(|record| record.address)
    }
}
