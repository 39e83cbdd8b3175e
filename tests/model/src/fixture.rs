//! The members, nodes, ENIs and pods of the model, by small numbers and by the core's names.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::attach::{AttachInput, UnwantedEnis};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::timing;
use firecamp_core::ids::{
    ClusterName, EniId, Epoch, Mac, Member, NodeName, PodUid, RunId, SubnetId, Version,
};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::ports::{Holder, Owner, OwnerEni, SocketScope};
use firecamp_core::record::{Claim, Pool, PoolSubnet, ReleasePolicy, StaticIp};
use firecamp_core::release::{ReleaseInput, Releaser};

use crate::state::Lock;

/// Members, each with one address.
pub(crate) const MEMBERS: usize = 2;
/// Nodes, each with one ENI of the same number.
pub(crate) const NODES: usize = 3;
/// Incarnations of pods, over all members.
pub(crate) const PODS: usize = 6;
/// The number of an ENI that is not this cluster's.
pub(crate) const FOREIGN: u8 = 3;
/// The number that stands for no ENI.
pub(crate) const NO_ENI: u8 = 4;
/// The number of possible answers to an owner look-up.
pub(crate) const OWNERS: usize = 5;

/// No deadline: the model has crashes, and a deadline would cut off the same executions.
const NEVER: Duration = Duration::from_hours(2);

/// The kind of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A pod's init container.
    Init,
    /// A pod's stop container.
    Stop,
    /// An operation of a node's agent.
    Agent,
}

/// The names.
#[derive(Debug)]
pub(crate) struct Fixture {
    /// There are two members, each with half of the pods; otherwise one.
    two: bool,
    cluster: ClusterName,
    subnet: SubnetId,
    pool: Pool,
    pods: Vec<PodUid>,
    nodes: Vec<NodeName>,
    enis: Vec<EniId>,
}

impl Fixture {
    pub(crate) fn new(two: bool, unassign: bool) -> Self {
        let subnet: SubnetId = "subnet-0000000a".parse().expect("a subnet id");
        let pool = Pool {
            name: "pool".parse().expect("a pool"),
            release_policy: if unassign { ReleasePolicy::Unassign } else { ReleasePolicy::Keep },
            orphaned: firecamp_core::record::OrphanPolicy::Report,
            resource: firecamp_core::ids::ResourceName::default(),
            subnets: vec![PoolSubnet {
                subnet: subnet.clone(),
                cidr: "10.0.0.0/24".parse().expect("a block"),
                zone: "z".parse().expect("a zone"),
                ranges: Vec::new(),
            }],
        };
        let numbered =
            |count: usize, prefix: &'static str| (0..count).map(move |n| format!("{prefix}{n}"));
        Self {
            two,
            cluster: "c".parse().expect("a cluster"),
            subnet,
            pool,
            pods: numbered(PODS, "pod").map(|t| t.parse().expect("a UID")).collect(),
            nodes: numbered(NODES, "node").map(|t| t.parse().expect("a node")).collect(),
            enis: numbered(OWNERS, "eni-0000000").map(|t| t.parse().expect("an ENI")).collect(),
        }
    }

    /// How many pods one member can have.
    pub(crate) fn pods_each(&self) -> usize {
        if self.two { PODS / 2 } else { PODS }
    }

    pub(crate) fn member_of(&self, pod: usize) -> usize {
        if self.two { pod / (PODS / 2) } else { 0 }
    }

    pub(crate) fn members(&self) -> usize {
        if self.two { 2 } else { 1 }
    }

    pub(crate) fn cluster(&self) -> ClusterName {
        self.cluster.clone()
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn member(member: usize) -> Member {
        Member::new("ns", &format!("m{member}")).expect("a member")
    }

    pub(crate) fn address(member: usize) -> Ipv4Addr {
        if member == 0 { Ipv4Addr::new(10, 0, 0, 10) } else { Ipv4Addr::new(10, 0, 0, 100) }
    }

    pub(crate) fn uid(&self, pod: u8) -> PodUid {
        self.pods[usize::from(pod)].clone()
    }

    pub(crate) fn pod_number(&self, uid: &PodUid) -> u8 {
        small(self.pods.iter().position(|p| p == uid).expect("a pod of this state"))
    }

    pub(crate) fn node(&self, node: u8) -> NodeName {
        self.nodes[usize::from(node)].clone()
    }

    pub(crate) fn node_number(&self, name: &NodeName) -> u8 {
        small(self.nodes.iter().position(|n| n == name).expect("a node of this state"))
    }

    pub(crate) fn eni_number(&self, id: &EniId) -> u8 {
        small(self.enis.iter().position(|e| e == id).expect("an ENI of this state"))
    }

    pub(crate) fn eni_id(&self, eni: u8) -> EniId {
        self.enis[usize::from(eni)].clone()
    }

    pub(crate) fn run(pod: u8, kind: Kind, run: u8) -> RunId {
        RunId::new(&format!("{kind:?}-{pod}-{run}")).expect("a run id")
    }

    pub(crate) fn holder(&self, holder: HolderId) -> Holder {
        Holder { pod: self.uid(holder.pod), epoch: Epoch(u64::from(holder.epoch)) }
    }

    pub(crate) fn compact_holder(&self, holder: &Holder) -> HolderId {
        HolderId { pod: self.pod_number(&holder.pod), epoch: epoch_number(holder.epoch) }
    }

    pub(crate) fn lock_record(&self, lock: Lock) -> LockRecord {
        let hold = if lock.held { Hold::Held } else { Hold::Released };
        LockRecord { holder: self.holder(lock.holder), hold }
    }

    /// The input of an init container.
    pub(crate) fn attach(&self, pod: u8, node: u8, run: u8) -> AttachInput {
        AttachInput {
            member: Self::member(self.member_of(usize::from(pod))),
            pod: self.uid(pod),
            node: self.node(node),
            cluster: self.cluster.clone(),
            pool: None,
            pool_is_approved: false,
            rule: EniRule::Primary,
            unwanted: UnwantedEnis::default(),
            metadata_poll: timing::METADATA_POLL,
            run: Self::run(pod, Kind::Init, run),
            deadline: NEVER,
            predecessor_grace: crate::machines::TICK,
            looked_up: None,
        }
    }

    /// The input of a stop container.
    pub(crate) fn release(&self, pod: u8, run: u8, await_stop: bool) -> ReleaseInput {
        ReleaseInput {
            member: Self::member(self.member_of(usize::from(pod))),
            pod: self.uid(pod),
            run: Self::run(pod, Kind::Stop, run),
            unassign: false,
            await_stop,
            by: Releaser::Stop,
            scope: SocketScope::All,
            drain: Duration::ZERO,
            grace: NEVER,
        }
    }

    /// The input of an agent's release: no deadline, as for all others.
    pub(crate) fn agents_release(
        member: &Member,
        pod: &PodUid,
        by: Releaser,
        run: RunId,
    ) -> ReleaseInput {
        ReleaseInput {
            member: member.clone(),
            pod: pod.clone(),
            run,
            unassign: by == Releaser::Evictor,
            await_stop: false,
            by,
            scope: SocketScope::All,
            drain: Duration::ZERO,
            grace: NEVER,
        }
    }

    pub(crate) fn identity(&self, node: u8, listed: Option<Ipv4Addr>) -> NodeIdentity {
        NodeIdentity {
            instance: format!("i-0000000{node}").parse().expect("an instance"),
            instance_type: String::new(),
            zone: "z".parse().expect("a zone"),
            region: String::new(),
            enis: vec![Eni {
                id: self.eni_id(node),
                mac: Mac::from_bytes([2, 0, 0, 0, 0, node]),
                device_index: 0,
                network_card: 0,
                subnet: self.subnet.clone(),
                cidr: "10.0.0.0/24".parse().expect("a block"),
                primary_address: Ipv4Addr::new(10, 0, 0, 200 + node),
                listed: listed.into_iter().collect(),
                prefixes: 0,
            }],
        }
    }

    pub(crate) fn owner(&self, owner: u8) -> Owner {
        if owner == NO_ENI {
            return Owner::Unassigned;
        }
        let ours = owner != FOREIGN;
        Owner::Eni(OwnerEni {
            id: self.eni_id(owner),
            primary: false,
            cluster: ours.then(|| self.cluster.to_string()),
            instance: None,
            description: String::new(),
        })
    }

    pub(crate) fn claim(&self, member: usize) -> Claim {
        Claim {
            member: Self::member(member),
            pool: self.pool.name.clone(),
            requested: None,
            address: Some(Self::address(member)),
            set: None,
        }
    }

    /// A record that is bound and was never attached.
    pub(crate) fn fresh_record(&self, member: usize) -> StaticIp {
        StaticIp {
            address: Self::address(member),
            pool: self.pool.name.clone(),
            subnet: self.subnet.clone(),
            cidr: "10.0.0.0/24".parse().expect("a block"),
            zone: "z".parse().expect("a zone"),
            member: Self::member(member),
            epoch: Epoch::default(),
            attachment: None,
            reserved_on: None,
            pending_mutations: BTreeSet::new(),
        }
    }
}

/// A pod and an epoch, in small numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct HolderId {
    pub(crate) pod: u8,
    pub(crate) epoch: u8,
}

pub(crate) fn epoch_number(epoch: Epoch) -> u8 {
    u8::try_from(epoch.0).expect("no state has so many epochs")
}

/// The version of a record: its epoch and the number of writes since that epoch was acquired. No
/// two writes of one execution have the same version.
pub(crate) fn version(epoch: u8, edit: u8) -> Version {
    Version::new(&format!("{epoch}.{edit}")).expect("a version")
}

pub(crate) fn version_numbers(version: &Version) -> (u8, u8) {
    let (epoch, edit) = version.as_str().split_once('.').expect("a version of this state");
    (epoch.parse().expect("an epoch"), edit.parse().expect("an edit"))
}

pub(crate) fn small(number: usize) -> u8 {
    u8::try_from(number).expect("a small number")
}
