//! A small cluster, and passes over it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use firecamp_controllers::leader::{
    Identity, NamespacedName, NodeReadiness, ObservedClaim, ObservedPod, ObservedPool,
    ObservedStaticIp, Operation, Owner, Planner, QueryResults, SeenConditions, Site, StatefulSet,
    View,
};
use firecamp_core::contract::cluster::FINALIZER;
use firecamp_core::ids::{Epoch, Member, Uid};
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::{Attachment, Claim, Pool, PoolSubnet, ReleasePolicy, State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::{ClaimRetention, ClaimRetentionPolicy, ReclaimPolicy};

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);

pub(crate) fn parsed<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn member(name: &str) -> Member {
    Member::new("prod", name).unwrap()
}

pub(crate) fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

pub(crate) fn identity(text: &str) -> Identity {
    Identity { uid: uid(text), version: parsed("7"), deleting: false }
}

pub(crate) fn owner(set: &str) -> Owner {
    Owner { name: parsed("redis"), uid: uid(set) }
}

pub(crate) fn attachment(state: State, pod: &str, node: &str) -> Attachment {
    let eni = match state {
        State::Attaching | State::Attached | State::Parked => Some(parsed("eni-0000000a")),
        State::Releasing | State::Released => None,
    };
    let (pod, node, run) = (parsed(pod), parsed(node), parsed("run"));
    Attachment { state, pod, node, eni, run, served: true }
}

pub(crate) fn address(
    at: Ipv4Addr,
    name: &str,
    attachment: Option<Attachment>,
) -> ObservedStaticIp {
    let record = StaticIp {
        address: at,
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: member(name),
        epoch: Epoch(if attachment.is_some() { 5 } else { 0 }),
        reserved_on: attachment.as_ref().and_then(|it| it.eni.clone()),
        attachment,
        pending_mutations: BTreeSet::new(),
    };
    let id = identity(&format!("ip-{at}"));
    let finalizers = vec![FINALIZER.to_owned()];
    let conditions = SeenConditions::default();
    ObservedStaticIp { id, record, generation: 1, finalizers, phase: None, conditions }
}

pub(crate) fn claim(name: &str, at: Option<Ipv4Addr>, owner: Option<Owner>) -> ObservedClaim {
    let (member, pool) = (member(name), parsed("pool"));
    let id = identity(&format!("claim-{name}"));
    ObservedClaim {
        id,
        claim: Claim { member, pool, requested: None, address: at, set: None },
        generation: 4,
        owner,
        conditions: SeenConditions::default(),
    }
}

pub(crate) fn pool(name: &str, ranges: &[(&str, &str)]) -> ObservedPool {
    let ranges = ranges.iter().map(|(start, end)| (parsed(start), parsed(end))).collect();
    let subnet = PoolSubnet {
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        ranges,
    };
    let release_policy = ReleasePolicy::Keep;
    ObservedPool {
        id: identity(&format!("pool-{name}")),
        created: None,
        generation: 3,
        pool: Pool {
            name: parsed(name),
            release_policy,
            orphaned: firecamp_core::record::OrphanPolicy::Report,
            resource: firecamp_core::ids::ResourceName::default(),
            subnets: vec![subnet],
        },
        reclaim: ReclaimPolicy::Delete,
        retention: ClaimRetentionPolicy {
            when_deleted: ClaimRetention::Delete,
            when_scaled: ClaimRetention::Delete,
        },
        status: None,
    }
}

pub(crate) fn gone() -> ObservedPod {
    ObservedPod { view: PodView::Absent, controller: None }
}

pub(crate) fn live(pod: &str, controller: Option<Owner>) -> ObservedPod {
    let view = PodView::Present {
        pod: parsed(pod),
        node: None,
        lifecycle: PodLifecycle::Running,
        controller: None,
    };
    ObservedPod { view, controller }
}

/// A cluster and the planner that looks at it.
pub(crate) struct ClusterFixture {
    pub(crate) view: View,
    pub(crate) answers: QueryResults,
    pub(crate) site: Site,
    pub(crate) planner: Planner,
    pub(crate) now: Moment,
}

impl ClusterFixture {
    /// The agent's own node, a pool with both policies `Delete`, and nothing else.
    pub(crate) fn new() -> Self {
        let mut view = View::default();
        view.nodes.insert(parsed("here"), Some(NodeReadiness::Ready.into()));
        view.pools.insert(parsed("pool"), Some(pool("pool", &[("10.0.1.50", "10.0.1.59")])));
        let site = Site {
            node: parsed("here"),
            cluster: parsed("test"),
            subnets: [(parsed("subnet-0000000a"), parsed("10.0.1.0/24"))].into(),
        };
        let (answers, planner) = (QueryResults::default(), Planner::default());
        Self { view, answers, site, planner, now: Moment::default() }
    }

    /// Member redis-0 of StatefulSet redis with one member, attached on node n1.
    pub(crate) fn with_member(state: State) -> Self {
        let mut fixture = Self::new();
        fixture.view.nodes.insert(parsed("n1"), Some(NodeReadiness::Ready.into()));
        fixture.put(address(ADDRESS, "redis-0", Some(attachment(state, "pod-1", "n1"))));
        fixture.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-1"))));
        fixture.set("set-1", 1);
        fixture.pod("redis-0", live("pod-1", Some(owner("set-1"))));
        fixture
    }

    pub(crate) fn put(&mut self, seen: ObservedStaticIp) {
        self.view.addresses.insert(seen.record.address, Some(Box::new(seen)));
    }

    pub(crate) fn claim(&mut self, seen: ObservedClaim) {
        self.view.claims.insert(seen.claim.member.clone(), Some(Box::new(seen)));
    }

    pub(crate) fn unclaim(&mut self, name: &str) {
        self.view.claims.remove(&member(name));
    }

    pub(crate) fn set(&mut self, uid_of: &str, replicas: u32) {
        let service = Some("redis".to_owned());
        let set = StatefulSet { uid: uid(uid_of), first: 0, replicas, service };
        self.view.sets.insert(set_name(), Some(set));
    }

    pub(crate) fn no_set(&mut self) {
        self.view.sets.remove(&set_name());
    }

    pub(crate) fn pod(&mut self, name: &str, seen: ObservedPod) {
        self.answers.pods.insert(member(name), seen);
    }

    pub(crate) fn ec2(&mut self, held: bool) {
        self.answers.held.insert(ADDRESS, held);
    }

    /// One pass, which gets exactly the results of its queries.
    pub(crate) fn pass(&mut self) -> Vec<Operation> {
        let asked = self.planner.ask(&self.view, &self.site);
        let mut answers = self.answers.clone();
        answers.pods.retain(|member, _| asked.pods.contains(member));
        answers.held.retain(|address, _| asked.owners.contains(address));
        answers.volumes.retain(|member, _| asked.volumes.contains(member));
        self.planner.plan(&self.view, &self.site, &answers, self.now)
    }

    /// A pass after this long, without what is only reported.
    pub(crate) fn after(&mut self, pause: Duration) -> Vec<Operation> {
        self.now = self.now.plus(pause);
        let mut operations = self.pass();
        operations.retain(|operation| match operation {
            Operation::UpdatePoolStatus { .. }
            | Operation::UpdateStaticIpStatus { .. }
            | Operation::UpdateClaimStatus { .. } => false,
            Operation::Release { .. }
            | Operation::RecordOwner { .. }
            | Operation::DeleteClaim { .. }
            | Operation::Unassign { .. }
            | Operation::DeleteStaticIp { .. }
            | Operation::RemoveFinalizer { .. }
            | Operation::RemoveZoneGate { .. }
            | Operation::ReportZoneConflict { .. }
            | Operation::DrainInterface(_)
            | Operation::DetachInterface { .. }
            | Operation::DeleteInterface(_)
            | Operation::ClearVolumeWait { .. } => true,
        });
        operations
    }

    /// Everything that passes every half a minute find in this time.
    pub(crate) fn during(&mut self, time: Duration) -> Vec<Operation> {
        let half = MINUTE / 2;
        let passes = time.as_secs() / half.as_secs();
        (0..=passes).flat_map(|_| self.after(half)).collect()
    }
}

fn set_name() -> NamespacedName {
    NamespacedName { namespace: "prod".to_owned(), name: "redis".to_owned() }
}
