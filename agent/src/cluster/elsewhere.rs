//! The outside systems of an errand that is done for another node: no kernel, and a member's
//! record found by its address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::{HostFailure, HostKind, RegistryFailure};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::outside::{
    Holder, HostNet, KernelTarget, KernelView, PodView, Registry, SocketUse,
};
use firecamp_core::record::{MemberRecords, Pool, StaticIp, Stored, Write};
use firecamp_engine::{NoFile, Systems};

use super::ear::Ear;
use crate::late::LateRegistry;

/// EC2 and the registry, shared by errands one after the other.
pub(crate) struct Elsewhere<C> {
    pub(super) cloud: Ear<C>,
    pub(super) registry: LateRegistry,
}

impl<C> Elsewhere<C> {
    pub(crate) fn new(cloud: C, registry: LateRegistry) -> Self {
        Self { cloud: Ear::new(cloud), registry }
    }

    /// The systems of an errand about this address, whose pool is this one if it is known.
    pub(super) fn systems(
        &self,
        address: Ipv4Addr,
        pool: Option<Pool>,
    ) -> Systems<&Ear<C>, NoKernel, ByAddress<LateRegistry>, NoFile> {
        let registry = ByAddress { registry: self.registry.clone(), address, pool };
        Systems { cloud: &self.cloud, host: NoKernel, registry, file: NoFile }
    }
}

/// The kernel of a node that is not this one: nothing of it can be read or changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoKernel;

impl NoKernel {
    fn refuse<T>() -> Result<T, HostFailure> {
        let detail = "another node's kernel is out of reach".to_owned();
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

/// A registry in which the member's record is found by its address and not by its claim, which may
/// be gone. Only the record decides who holds the address.
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
