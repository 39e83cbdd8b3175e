//! The Kubernetes API as the leader needs it.

use std::future::Future;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, Zone};
use firecamp_core::managed_interface::StoredInterface;
use firecamp_core::record::Claim;
use firecamp_registry::api::{AddressPhase, StaticIPPoolStatus};

use crate::leader::lease::{LeaseWrite, ObservedLease};
use crate::leader::names::{NamesChange, NamespacedName};
use crate::leader::seen_conditions::ConditionChange;
use crate::leader::view::{BoundVolume, Identity, ObservedClaim, ObservedPod, Owner, StatefulSet};

/// A change of something that the protocol itself never changes. Each names the version that was
/// read, and fails if the object has changed since. A [`ConditionChange`] reads the object's other
/// conditions first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Record the owner of a claim, or that it has none.
    RecordOwner(Member, Identity, Option<Owner>),
    /// Delete a claim.
    DeleteClaim(Member, Identity),
    /// Delete a StaticIP.
    DeleteStaticIp(std::net::Ipv4Addr, Identity),
    /// Replace the finalizers of a deleted StaticIP with these.
    RemoveFinalizer(std::net::Ipv4Addr, Identity, Vec<String>),
    /// Replace the record of an interface that FireCamp makes.
    UpdateInterface(StoredInterface),
    /// Delete such a record.
    DeleteInterface(StoredInterface),
    /// Create a deleted claim again.
    Restore(Claim, Option<Owner>),
    /// Replace the scheduling gates of a pod with these, and add a zone to its node selector.
    RemoveZoneGate(Member, Identity, Vec<String>, Option<Zone>),
    /// Replace the phase of a StaticIP, and change its conditions.
    UpdateStaticIpStatus(std::net::Ipv4Addr, Identity, Option<AddressPhase>, ConditionChange),
    /// Change the conditions of a claim.
    UpdateClaimStatus(Member, Identity, ConditionChange),
    /// Replace the status of a StaticIPPool.
    UpdatePoolStatus(PoolName, Identity, StaticIPPoolStatus),
    /// Create, replace or delete an object that names members.
    Names(NamesChange),
}

/// The leader's calls to the Kubernetes API. Each call is one attempt, bounded in time; reads of
/// single objects bypass the cache.
pub trait Cluster: Send + Sync {
    /// The Lease.
    fn lease(&self) -> impl Future<Output = Result<Option<ObservedLease>, RegistryFailure>> + Send;

    /// Creates or replaces the Lease.
    fn write_lease(
        &self,
        write: &LeaseWrite,
    ) -> impl Future<Output = Result<(), RegistryFailure>> + Send;

    /// The pod of a member, and the StatefulSet that controls it.
    fn pod(
        &self,
        member: &Member,
    ) -> impl Future<Output = Result<ObservedPod, RegistryFailure>> + Send;

    /// The volumes to which these PersistentVolumeClaims in the member's namespace are bound.
    fn volumes(
        &self,
        member: &Member,
        claims: &[String],
    ) -> impl Future<Output = Result<Vec<BoundVolume>, RegistryFailure>> + Send;

    /// A claim.
    fn claim(
        &self,
        member: &Member,
    ) -> impl Future<Output = Result<Option<ObservedClaim>, RegistryFailure>> + Send;

    /// A StatefulSet.
    fn set(
        &self,
        name: &NamespacedName,
    ) -> impl Future<Output = Result<Option<StatefulSet>, RegistryFailure>> + Send;

    /// Makes a change.
    fn change(&self, change: &Change) -> impl Future<Output = Result<(), RegistryFailure>> + Send;
}
