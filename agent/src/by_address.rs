//! A registry that finds a member's record by its address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{MemberRecords, Pool, StaticIp, Stored, Write};

/// A registry that finds the member's record by address instead of by claim, because the claim may
/// be deleted. Only the record decides who holds the address.
#[derive(Debug, Clone)]
pub(crate) struct ByAddress<R> {
    pub(crate) registry: R,
    pub(crate) address: Ipv4Addr,
    /// None if unknown.
    pub(crate) pool: Option<Pool>,
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
