//! The cluster as the holder of the Lease sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use firecamp_core::ids::{Member, NodeName, PoolName, Version, Zone};
use firecamp_core::outside::PodView;
use firecamp_core::record::{Claim, Pool, State, StaticIp};
use firecamp_registry::api::{
    ClaimRetentionPolicy, Condition, ReclaimPolicy, StaticIPPoolStatus, StaticIPStatus,
};

/// Tells an object from another one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Uid(String);

impl Uid {
    /// As the API server gave it; none without a text.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a change or a deletion must name, so that it meets what was read and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Identity {
    /// The object's UID.
    pub uid: Uid,
    /// The version that was read.
    pub version: Version,
    /// Its deletion was asked for already.
    pub deleting: bool,
}

/// A StaticIP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AddressSeen {
    /// Which object.
    pub id: Identity,
    /// Its record.
    pub record: StaticIp,
    /// Its generation.
    pub generation: u64,
    /// What has to end before it goes.
    pub finalizers: Vec<String>,
    /// What is reported of it.
    pub status: StaticIPStatus,
}

impl AddressSeen {
    /// Whether an attachment is not over: taken, attached, or on its way out of EC2.
    pub fn is_held(&self) -> bool {
        self.record.attachment.as_ref().is_some_and(|it| match it.state {
            State::Attaching | State::Attached | State::Releasing => true,
            State::Parked | State::Released => false,
        })
    }
}

/// A StaticIPClaim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClaimSeen {
    /// Which object.
    pub id: Identity,
    /// Its record.
    pub claim: Claim,
    /// Its generation.
    pub generation: u64,
    /// The StatefulSet on record as its member's.
    pub owner: Option<Owner>,
    /// What is reported of it.
    pub conditions: Vec<Condition>,
}

/// A StaticIPPool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PoolSeen {
    /// Which object.
    pub id: Identity,
    /// Its generation.
    pub generation: u64,
    /// Its record.
    pub pool: Pool,
    /// What becomes of an address whose claim is gone.
    pub reclaim: ReclaimPolicy,
    /// What becomes of a claim whose member is not wanted.
    pub retention: ClaimRetentionPolicy,
    /// What is reported of it.
    pub status: Option<StaticIPPoolStatus>,
}

/// The StatefulSet that controls a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its UID: another one of the same name is another one.
    pub uid: Uid,
}

/// Namespace and name of a StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SetName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl SetName {
    /// The StatefulSet of this name beside the member.
    pub fn of(member: &Member, owner: &Owner) -> Self {
        Self { namespace: member.namespace().to_owned(), name: owner.name.clone() }
    }
}

/// A StatefulSet, as far as it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StatefulSet {
    /// Its UID.
    pub uid: Uid,
    /// The ordinal of its first member.
    pub first: u32,
    /// How many members it wants.
    pub replicas: u32,
}

impl StatefulSet {
    /// Whether it wants a member of this ordinal.
    pub fn wants(&self, ordinal: u32) -> bool {
        let end = u64::from(self.first) + u64::from(self.replicas);
        ordinal >= self.first && u64::from(ordinal) < end
    }
}

/// A Node object. It is not the machine: neither says it whether the machine runs, nor does its
/// absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NodeLife {
    /// Its kubelet reports that it is ready.
    Ready,
    /// It does not.
    NotReady,
    /// A person or the cloud's controller says that it is shut down.
    OutOfService,
}

/// A Node, as far as it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeSeen {
    /// What is said of its machine.
    pub life: NodeLife,
    /// Its availability zone, where its labels have one.
    pub zone: Option<Zone>,
}

impl From<NodeLife> for NodeSeen {
    fn from(life: NodeLife) -> Self {
        Self { life, zone: None }
    }
}

/// Everything, from complete lists. What is there and could not be read is none, and never
/// absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct View {
    /// All StaticIPs.
    pub addresses: BTreeMap<Ipv4Addr, Option<AddressSeen>>,
    /// All StaticIPClaims.
    pub claims: BTreeMap<Member, Option<ClaimSeen>>,
    /// All StaticIPPools.
    pub pools: BTreeMap<PoolName, Option<PoolSeen>>,
    /// All StatefulSets.
    #[cfg_attr(feature = "serde", serde(with = "crate::leader::pairs"))]
    pub sets: BTreeMap<SetName, Option<StatefulSet>>,
    /// All Nodes.
    pub nodes: BTreeMap<NodeName, Option<NodeSeen>>,
}

impl View {
    /// The StaticIPs that could be read.
    pub(crate) fn readable(&self) -> impl Iterator<Item = (&Ipv4Addr, &AddressSeen)> {
        self.addresses.iter().filter_map(|(address, seen)| Some((address, seen.as_ref()?)))
    }

    /// What a Node that could be read says of its machine.
    pub(crate) fn life(&self, node: &NodeName) -> Option<NodeLife> {
        self.nodes.get(node)?.as_ref().map(|seen| seen.life)
    }

    /// A pool, if it is there and could be read.
    pub(crate) fn pool(&self, name: &PoolName) -> Option<&PoolSeen> {
        self.pools.get(name)?.as_ref()
    }
}

/// A pod, read afresh.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PodSeen {
    /// Its life.
    pub view: PodView,
    /// The StatefulSet that controls it.
    pub controller: Option<Owner>,
}

/// What a pass has to ask before it plans, the most urgent first, and then by whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Questions {
    /// Pods to be read afresh; some may be named twice.
    pub pods: Vec<Member>,
    /// Addresses whose owner EC2 is to be asked for.
    pub owners: Vec<Ipv4Addr>,
}

/// What was answered. What could not be read is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Answers {
    /// The pods.
    pub pods: BTreeMap<Member, PodSeen>,
    /// Whether EC2 shows the address on the recorded ENI, attached to a machine.
    pub held: BTreeMap<Ipv4Addr, bool>,
    /// The pods that there was no time to read: they come first in the next pass.
    pub unasked_pods: BTreeSet<Member>,
    /// The same of addresses.
    pub unasked_owners: BTreeSet<Ipv4Addr>,
}
