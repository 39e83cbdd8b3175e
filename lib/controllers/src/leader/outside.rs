//! The Kubernetes API as the holder of the Lease needs it.

use std::future::Future;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName};
use firecamp_core::record::Claim;
use firecamp_registry::api::{Condition, StaticIPPoolStatus, StaticIPStatus};

use crate::leader::lease::{LeaseSeen, LeaseWrite};
use crate::leader::view::{ClaimSeen, Identity, Owner, PodSeen, SetName, StatefulSet};

/// A change of something that the protocol itself never changes. Each names the version that was
/// read, and changes nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Record the owner of a claim, or that it has none.
    Own(Member, Identity, Option<Owner>),
    /// Delete a claim.
    DropClaim(Member, Identity),
    /// Delete a StaticIP.
    DropAddress(std::net::Ipv4Addr, Identity),
    /// Leave a StaticIP that was deleted only these finalizers.
    FreeAddress(std::net::Ipv4Addr, Identity, Vec<String>),
    /// Make a claim again that was deleted.
    Restore(Claim, Option<Owner>),
    /// Replace the status of a StaticIP.
    TellAddress(std::net::Ipv4Addr, Identity, StaticIPStatus),
    /// Replace the conditions of a claim.
    TellClaim(Member, Identity, Vec<Condition>),
    /// Replace the status of a StaticIPPool.
    TellPool(PoolName, Identity, StaticIPPoolStatus),
}

/// What the holder of the Lease asks the Kubernetes API. One call is one attempt, bounded in
/// time; reads of one object are fresh.
pub trait Cluster: Send + Sync {
    /// The Lease.
    fn lease(&self) -> impl Future<Output = Result<Option<LeaseSeen>, RegistryFailure>> + Send;

    /// Creates or replaces the Lease.
    fn write_lease(
        &self,
        write: &LeaseWrite,
    ) -> impl Future<Output = Result<(), RegistryFailure>> + Send;

    /// The pod of a member, and which StatefulSet controls it.
    fn pod(&self, member: &Member)
    -> impl Future<Output = Result<PodSeen, RegistryFailure>> + Send;

    /// A claim.
    fn claim(
        &self,
        member: &Member,
    ) -> impl Future<Output = Result<Option<ClaimSeen>, RegistryFailure>> + Send;

    /// A StatefulSet.
    fn set(
        &self,
        name: &SetName,
    ) -> impl Future<Output = Result<Option<StatefulSet>, RegistryFailure>> + Send;

    /// Makes a change.
    fn change(&self, change: &Change) -> impl Future<Output = Result<(), RegistryFailure>> + Send;
}
