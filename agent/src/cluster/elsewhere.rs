//! The outside systems of an errand that is done for another node: no kernel, and a member's
//! record found by its address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use firecamp_core::failure::{CloudFailure, HostFailure, HostKind, RegistryFailure};
use firecamp_core::ids::{EniId, Mac, Member, PoolName, SubnetId, Version};
use firecamp_core::node::NodeIdentity;
use firecamp_core::outside::{
    Cloud, Holder, HostNet, KernelTarget, KernelView, Owner, PodView, Registry, SocketUse,
};
use firecamp_core::record::{MemberRecords, Pool, StaticIp, Stored, Write};
use firecamp_engine::{NoFile, Systems};

use crate::late::LateRegistry;

/// EC2 and the registry, shared by errands one after the other.
pub(crate) struct Elsewhere<C> {
    pub(super) cloud: Shared<C>,
    pub(super) registry: LateRegistry,
}

impl<C> Elsewhere<C> {
    pub(crate) fn new(cloud: C, registry: LateRegistry) -> Self {
        Self { cloud: Shared(Arc::new(cloud)), registry }
    }

    /// The systems of an errand about this address, whose pool is this one if it is known.
    pub(super) fn systems(
        &self,
        address: Ipv4Addr,
        pool: Option<Pool>,
    ) -> Systems<Shared<C>, NoKernel, ByAddress<LateRegistry>, NoFile> {
        let (cloud, registry) = (Shared(Arc::clone(&self.cloud.0)), self.registry.clone());
        let registry = ByAddress { registry, address, pool };
        Systems { cloud, host: NoKernel, registry, file: NoFile }
    }
}

/// One cloud for several errands.
pub(crate) struct Shared<C>(Arc<C>);

impl<C: Cloud> Cloud for Shared<C> {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.0.identity().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.0.listed(mac).await
    }

    async fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.0.owner(address, subnet).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: std::time::Duration,
    ) -> Result<(), CloudFailure> {
        self.0.assign(eni, address, force, within).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: std::time::Duration,
    ) -> Result<(), CloudFailure> {
        self.0.unassign(eni, address, within).await
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
