//! The cluster as the leader observes it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::ids::{
    InstanceId, InterfaceName, Member, NodeName, PoolName, SetName, Uid, Version, Zone,
};
use firecamp_core::managed_interface::{DescribedInterface, InstanceState, StoredInterface};
use firecamp_core::ports::PodView;
use firecamp_core::record::{Claim, Pool, State, StaticIp};
use firecamp_core::shared_texts::SharedTexts;
use firecamp_registry::api::{
    AddressPhase, ClaimRetentionPolicy, ReclaimPolicy, StaticIPPoolStatus,
};

use crate::leader::names::{NamedService, NamespacedName, ObservedRecords, ObservedSlice};
use crate::leader::seen_conditions::SeenConditions;

/// The precondition of a change or a deletion: exactly the object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Identity {
    /// The object's UID.
    pub uid: Uid,
    /// The version that was read.
    pub version: Version,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// A StaticIP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedStaticIp {
    /// Which object.
    pub id: Identity,
    /// Its record.
    pub record: StaticIp,
    /// Its generation.
    pub generation: u64,
    /// Its finalizers while it is being deleted.
    pub finalizers: Vec<String>,
    /// Its lifecycle phase.
    pub phase: Option<AddressPhase>,
    /// Its conditions.
    pub conditions: SeenConditions,
}

impl ObservedStaticIp {
    /// Keeps the texts that other objects repeat once for all.
    pub(super) fn share(&mut self, texts: &mut SharedTexts) {
        self.record.share(texts);
    }

    /// Whether it has an attachment that is not parked or released.
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
pub struct ObservedClaim {
    /// Which object.
    pub id: Identity,
    /// Its record.
    pub claim: Claim,
    /// Its generation.
    pub generation: u64,
    /// The recorded owner of its member.
    pub owner: Option<Owner>,
    /// Its conditions.
    pub conditions: SeenConditions,
}

impl ObservedClaim {
    /// Keeps the texts that other objects repeat once for all.
    pub(super) fn share(&mut self, texts: &mut SharedTexts) {
        self.claim.share(texts);
        if let Some(Owner { name, .. }) = &mut self.owner {
            name.share(texts);
        }
    }
}

/// A StaticIPPool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedPool {
    /// Which object.
    pub id: Identity,
    /// When it was created (RFC 3339 in UTC).
    #[cfg_attr(feature = "serde", serde(default))]
    pub created: Option<String>,
    /// Its generation.
    pub generation: u64,
    /// Its record.
    pub pool: Pool,
    /// What happens to an address whose claim is gone.
    pub reclaim: ReclaimPolicy,
    /// What happens to a claim whose member is not needed any more.
    pub retention: ClaimRetentionPolicy,
    /// Its status.
    pub status: Option<StaticIPPoolStatus>,
}

/// The StatefulSet that controls a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Owner {
    /// Its name.
    pub name: SetName,
    /// Its UID.
    pub uid: Uid,
}

impl Owner {
    /// Its full name: it is in the member's namespace.
    pub fn full_name(&self, member: &Member) -> NamespacedName {
        NamespacedName { namespace: member.namespace().to_owned(), name: self.name.to_string() }
    }
}

/// The parts of a StatefulSet that the leader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StatefulSet {
    /// Its UID.
    pub uid: Uid,
    /// The ordinal of its first member.
    pub first: u32,
    /// Its number of replicas.
    pub replicas: u32,
    /// Its headless Service.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub service: Option<String>,
}

impl StatefulSet {
    /// Whether it has a member of this ordinal.
    pub fn wants(&self, ordinal: u32) -> bool {
        let end = u64::from(self.first) + u64::from(self.replicas);
        ordinal >= self.first && u64::from(ordinal) < end
    }
}

/// The readiness of a Node object. Neither the object nor its absence shows whether the instance
/// runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NodeReadiness {
    /// Its kubelet reports that it is ready.
    Ready,
    /// Its kubelet does not report that.
    NotReady,
    /// A user or the cloud controller declares it shut down.
    OutOfService,
}

/// The parts of a Node that the leader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedNode {
    /// Its readiness.
    pub lifecycle: NodeReadiness,
    /// Its availability zone, from its labels.
    pub zone: Option<Zone>,
    /// Its instance, from its provider ID.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub instance: Option<InstanceId>,
}

impl From<NodeReadiness> for ObservedNode {
    fn from(lifecycle: NodeReadiness) -> Self {
        Self { lifecycle, zone: None, instance: None }
    }
}

/// A pod without a node that has the scheduling gate of FireCamp.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GatedPod {
    /// Which object.
    pub id: Identity,
    /// Its other scheduling gates.
    pub other_gates: Vec<String>,
    /// The zone in its node selector.
    pub zone: Option<String>,
    /// The PersistentVolumeClaims that it uses.
    pub claims: Vec<String>,
}

/// A PersistentVolume that a pod's claim is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BoundVolume {
    /// Its name.
    pub name: String,
    /// The zones from which it can be used; empty if it is not zonal.
    pub zones: Vec<Zone>,
}

/// All objects, from complete lists. An object that exists and could not be read is none, never
/// absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct View {
    /// All StaticIPs.
    pub addresses: BTreeMap<Ipv4Addr, Option<Box<ObservedStaticIp>>>,
    /// All StaticIPClaims.
    pub claims: BTreeMap<Member, Option<Box<ObservedClaim>>>,
    /// All StaticIPPools.
    pub pools: BTreeMap<PoolName, Option<ObservedPool>>,
    /// All StatefulSets.
    #[cfg_attr(feature = "serde", serde(with = "crate::leader::map_as_pairs"))]
    pub sets: BTreeMap<NamespacedName, Option<StatefulSet>>,
    /// All Nodes.
    pub nodes: BTreeMap<NodeName, Option<ObservedNode>>,
    /// The interfaces that FireCamp makes; empty until they are listed.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "BTreeMap::is_empty"))]
    pub interfaces: BTreeMap<InterfaceName, Option<StoredInterface>>,
    /// All pods with FireCamp's scheduling gate.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "BTreeMap::is_empty"))]
    pub gated_pods: BTreeMap<Member, Option<GatedPod>>,
    /// The Services that name members.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub services: BTreeMap<NamespacedName, Option<NamedService>>,
    /// The EndpointSlices of headless Services.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub slices: BTreeMap<NamespacedName, Option<ObservedSlice>>,
    /// The DNSEndpoints that FireCamp made.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub records: BTreeMap<NamespacedName, Option<ObservedRecords>>,
}

impl View {
    /// The StaticIPs that could be read.
    pub(crate) fn readable(&self) -> impl Iterator<Item = (&Ipv4Addr, &ObservedStaticIp)> {
        self.addresses
            .iter()
            .filter_map(|(address, observed)| Some((address, observed.as_deref()?)))
    }

    /// The readiness of a Node that could be read.
    pub(crate) fn lifecycle(&self, node: &NodeName) -> Option<NodeReadiness> {
        self.nodes.get(node)?.as_ref().map(|observed| observed.lifecycle)
    }

    /// A pool, if it exists and could be read.
    pub(crate) fn pool(&self, name: &PoolName) -> Option<&ObservedPool> {
        self.pools.get(name)?.as_ref()
    }
}

/// A pod, read without the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedPod {
    /// Its state.
    pub view: PodView,
    /// The StatefulSet that controls it.
    pub controller: Option<Owner>,
}

/// The queries of a pass before it plans, the most urgent first, then round-robin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Queries {
    /// Pods to read; some may be named twice.
    pub pods: Vec<Member>,
    /// Addresses whose ENI to look up in EC2.
    pub owners: Vec<Ipv4Addr>,
    /// Members whose gated pods' volumes to read.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub volumes: Vec<Member>,
    /// Interfaces to look up in EC2, each with what is asked.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub interfaces: Vec<InterfaceQuery>,
}

/// A question to EC2 about an interface that FireCamp made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum InterfaceQuery {
    /// Whether its instance still exists.
    Instance(StoredInterface),
    /// What EC2 reports about it.
    Describe(StoredInterface),
}

impl InterfaceQuery {
    /// The UID of the record.
    pub fn uid(&self) -> &Uid {
        match self {
            Self::Instance(stored) | Self::Describe(stored) => &stored.uid,
        }
    }
}

/// The answer of EC2 about an interface that FireCamp made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum InterfaceAnswer {
    /// Whether its instance still exists.
    Instance(InstanceState),
    /// The interfaces that match: at most one, unless reads lag.
    Described(Vec<DescribedInterface>),
}

/// The results of the queries. A failed query has no result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct QueryResults {
    /// The pods.
    pub pods: BTreeMap<Member, ObservedPod>,
    /// Whether EC2 shows the address on the recorded ENI, attached to an instance.
    pub held: BTreeMap<Ipv4Addr, bool>,
    /// The bound volumes of gated pods.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "BTreeMap::is_empty"))]
    pub volumes: BTreeMap<Member, Vec<BoundVolume>>,
    /// The pods that were skipped for lack of time: they come first in the next pass.
    pub skipped_pods: BTreeSet<Member>,
    /// The addresses that were skipped.
    pub skipped_owners: BTreeSet<Ipv4Addr>,
    /// What EC2 answered about interfaces, by the UID of the record.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "BTreeMap::is_empty"))]
    pub interfaces: BTreeMap<Uid, InterfaceAnswer>,
}
