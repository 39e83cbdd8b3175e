//! A cloud whose requests to EC2 are counted and timed, by what came of them. Those to the metadata
//! service are none: they are counted as reads.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, SubnetId, VolumeId};
use firecamp_core::interface::Interface;
use firecamp_core::node::{NodeIdentity, TypeLimits};
use firecamp_core::outside::{Cloud, Owner};
use firecamp_node::preflight::CloudChecks;
use firecamp_node::preflight::facts::{Permission, Reading, Right};
use firecamp_node::volumes::CloudVolumes;
use firecamp_node::volumes::seen::{Attachment, Elsewhere};
use tokio::time::Instant;

use crate::status::{Call, Calls, Ec2Calls, result};

/// That cloud.
#[derive(Debug)]
pub(crate) struct Counted<C> {
    inner: C,
    calls: Ec2Calls,
}

impl<C> Counted<C> {
    pub(crate) fn new(inner: C, calls: &Ec2Calls) -> Self {
        Self { inner, calls: calls.clone() }
    }

    /// One request. Who gives it up learns nothing of it, and it counts as nothing.
    async fn made<T>(
        &self,
        call: Call,
        request: impl Future<Output = Result<T, CloudFailure>>,
    ) -> Result<T, CloudFailure> {
        let begun = Instant::now();
        let done = request.await;
        let result = result(done.as_ref().err().map(|failure| failure.kind));
        self.calls.ended(Calls { call, result }, begun.elapsed());
        done
    }
}

impl<C: Cloud> Cloud for Counted<C> {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.inner.identity().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.inner.listed(mac).await
    }

    async fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.made(Call::DescribeNetworkInterfaces, self.inner.owner(address, subnet)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let request = self.inner.assign(eni, address, force, within);
        self.made(Call::AssignPrivateIpAddresses, request).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let request = self.inner.unassign(eni, address, within);
        self.made(Call::UnassignPrivateIpAddresses, request).await
    }
}

impl<C: CloudChecks> CloudChecks for Counted<C> {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        self.inner.instance().await
    }

    async fn interfaces(&self, instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        self.made(Call::DescribeNetworkInterfaces, self.inner.interfaces(instance)).await
    }

    async fn type_limits(&self, name: &str) -> Result<TypeLimits, CloudFailure> {
        self.made(Call::DescribeInstanceTypes, self.inner.type_limits(name)).await
    }

    async fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        self.made(Call::DescribeNetworkInterfaces, self.inner.peers(subnet, cluster)).await
    }

    /// A dry run of a person's preflight: an agent makes none.
    async fn permission(&self, right: Right) -> Result<Permission, CloudFailure> {
        self.inner.permission(right).await
    }

    fn clocks(&self) -> Vec<Reading> {
        self.inner.clocks()
    }
}

impl<C: CloudVolumes> CloudVolumes for Counted<C> {
    async fn attachments(&self, instance: &InstanceId) -> Result<Vec<Attachment>, CloudFailure> {
        self.made(Call::DescribeVolumes, self.inner.attachments(instance)).await
    }

    async fn elsewhere(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        self.made(Call::DescribeVolumes, self.inner.elsewhere(instance, volumes)).await
    }
}
