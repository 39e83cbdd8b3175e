//! Ports that several operations of one process share by reference.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Cloud, Owner, PodView, Registry};
use crate::failure::{CloudFailure, RegistryFailure};
use crate::ids::{EniId, Mac, Member, PoolName, SubnetId, Version};
use crate::node_identity::NodeIdentity;
use crate::record::{MemberRecords, StaticIp, Stored, Write};

/// EC2 and IMDS, shared by several operations.
impl<C: Cloud> Cloud for &C {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        C::identity(self).await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        C::listed(self, mac).await
    }

    async fn owners(
        &self,
        addresses: &[Ipv4Addr],
        subnet: &SubnetId,
    ) -> Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure> {
        C::owners(self, addresses, subnet).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        C::assign(self, eni, addresses, force, within).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        C::unassign(self, eni, address, within).await
    }
}

/// A registry, shared by several operations or by several processes of one test.
impl<R: Registry> Registry for &R {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        R::member(self, member, pool).await
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        R::static_ip(self, address).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        R::pod(self, member).await
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        R::allocated(self, pool).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        R::write(self, write).await
    }
}
