//! The systems of an operation that the leader runs for another node: no kernel, and member records
//! are found by address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::{HostFailure, HostKind, RegistryFailure};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{
    Holder, HostNet, KernelTarget, KernelView, PodView, Registry, SocketUse,
};
use firecamp_core::record::{MemberRecords, Pool, StaticIp, Stored, Write};
use firecamp_engine::{NoFile, Systems};

use super::recorded_cloud::RecordedCloud;
use crate::lazy_registry::LazyRegistry;

/// EC2 and the registry, shared by consecutive operations.
pub(crate) struct RemoteSystems<C> {
    pub(super) cloud: RecordedCloud<C>,
    pub(super) registry: LazyRegistry,
}

impl<C> RemoteSystems<C> {
    pub(crate) fn new(cloud: C, registry: LazyRegistry) -> Self {
        Self { cloud: RecordedCloud::new(cloud), registry }
    }

    /// The systems of an operation on this address; `pool` is none if unknown.
    pub(super) fn systems(
        &self,
        address: Ipv4Addr,
        pool: Option<Pool>,
    ) -> Systems<&RecordedCloud<C>, NoKernel, ByAddress<LazyRegistry>, NoFile> {
        let registry = ByAddress { registry: self.registry.clone(), address, pool };
        Systems { cloud: &self.cloud, host: NoKernel, registry, file: NoFile }
    }
}

/// The kernel of another node: every call fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoKernel;

impl NoKernel {
    fn refuse<T>() -> Result<T, HostFailure> {
        let detail = "the leader cannot access the kernel of another node".to_owned();
        Err(HostFailure { kind: HostKind::Refused, detail })
    }
}

impl HostNet for NoKernel {
    async fn add_address(&self, _: &KernelTarget, _: &Holder) -> Result<bool, HostFailure> {
        Self::refuse()
    }

    async fn add_routing(&self, _: &KernelTarget, _: &Holder) -> Result<bool, HostFailure> {
        Self::refuse()
    }

    async fn note_assign(&self, _: Ipv4Addr) -> Result<(), HostFailure> {
        Self::refuse()
    }

    async fn observe(&self, _: &KernelTarget) -> Result<KernelView, HostFailure> {
        Self::refuse()
    }

    async fn remove_address(&self, _: Ipv4Addr, _: &Holder) -> Result<bool, HostFailure> {
        Self::refuse()
    }

    async fn remove_routing(&self, _: Ipv4Addr, _: &Holder) -> Result<bool, HostFailure> {
        Self::refuse()
    }

    async fn sockets(&self, _: Ipv4Addr) -> Result<SocketUse, HostFailure> {
        Self::refuse()
    }
}

/// A registry that finds the member's record by address instead of by claim, because the claim may
/// be deleted. Only the record decides who holds the address.
#[derive(Debug, Clone)]
pub(crate) struct ByAddress<R> {
    registry: R,
    address: Ipv4Addr,
    pool: Option<Pool>,
}

impl<R: Registry> Registry for ByAddress<R> {
    async fn member(
        &self,
        _member: &Member,
        _pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        let static_ip = self.registry.static_ip(self.address).await?;
        Ok(MemberRecords { claim: None, static_ip, pool: self.pool.clone() })
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        self.registry.static_ip(address).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        self.registry.pod(member).await
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        self.registry.allocated(pool).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        self.registry.write(write).await
    }
}
