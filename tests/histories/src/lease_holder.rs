//! What the holder of the Lease observes of a simulated cluster: the same at every level.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    Identity, NodeReadiness, ObservedClaim, ObservedNode, ObservedPod, ObservedPool,
    ObservedStaticIp, Operation, Planner, QueryResults, Site, Uid, View,
};
use firecamp_core::agent::Operation as NodeOperation;
use firecamp_core::ids::{Member, NodeName, PoolName, Version};
use firecamp_core::record::{Claim, Pool, State, StaticIp, Stored};
use firecamp_core::time::Moment;
use firecamp_registry::api::{ClaimRetentionPolicy, ReclaimPolicy, StaticIPStatus};

use crate::cluster::ApiPod;
use crate::names::{Names, NodeIx};
use crate::simulated_cluster::SimulatedCluster;

/// The planner for lost nodes lives so many times as fast as the cluster: its grace periods only
/// spare nodes that come back, and no promise depends on them.
const SPEED: u32 = 60;

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

impl SimulatedCluster {
    /// Whether the agent of this node holds the Lease. `agents` lists the nodes where agents run.
    pub fn holds_lease(&self, node: NodeIx, mut agents: impl Iterator<Item = NodeIx>) -> bool {
        self.leases || agents.all(|other| node <= other)
    }

    /// Whether a node is lost, or declared out of service.
    pub fn is_any_node_lost(&self) -> bool {
        self.nodes.iter().any(|node| node.gone || self.leases && node.off)
    }

    /// The registry as complete lists show it. While all agents hold the Lease, nodes that are off
    /// are out of service.
    pub fn leader_view(&self, names: &Names) -> View {
        let registry = &self.registry;
        let claim =
            |(member, stored): (&Member, &Stored<Claim>)| (member.clone(), observed_claim(stored));
        let address =
            |(at, stored): (&Ipv4Addr, &Stored<StaticIp>)| (*at, observed_static_ip(stored));
        let pool = |(name, pool): (&PoolName, &Pool)| (name.clone(), observed_pool(pool));
        let nodes = names.nodes.iter().zip(&self.nodes).map(|(known, node)| {
            let readiness = match (node.gone, self.leases && node.off) {
                (true, _) => NodeReadiness::NotReady,
                (false, true) => NodeReadiness::OutOfService,
                (false, false) => NodeReadiness::Ready,
            };
            (known.name.clone(), Some(ObservedNode::from(readiness)))
        });
        View {
            addresses: registry.static_ips.iter().map(address).collect(),
            claims: registry.claims.iter().map(claim).collect(),
            pools: registry.pools.iter().map(pool).collect(),
            sets: BTreeMap::new(),
            nodes: nodes.collect(),
        }
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

/// The node of the leader, and its cluster.
pub fn site(node: NodeIx, names: &Names) -> Site {
    Site {
        node: names.node(node).name.clone(),
        cluster: names.cluster.clone(),
        subnets: BTreeMap::from([(names.subnet.clone(), names.cidr)]),
    }
}

/// The releases that the leader plans for lost nodes.
pub fn releases(
    planner: &mut Planner,
    (view, site): (&View, &Site),
    answers: &QueryResults,
    now: Moment,
) -> Vec<(Ipv4Addr, NodeOperation)> {
    let all = planner.plan(view, site, answers, Moment(now.0.saturating_mul(SPEED)));
    let release = |operation| match operation {
        Operation::Release { address, node_operation, .. } => Some((address, node_operation)),
        Operation::RecordOwner { .. }
        | Operation::DeleteClaim { .. }
        | Operation::Unassign { .. }
        | Operation::DeleteStaticIp { .. }
        | Operation::RemoveFinalizer { .. }
        | Operation::UpdateStaticIpStatus { .. }
        | Operation::ClearVolumeWait { .. }
        | Operation::UpdateClaimStatus { .. }
        | Operation::UpdatePoolStatus { .. } => None,
    };
    all.into_iter().filter_map(release).collect()
}
