//! A cloud that counts and times requests to EC2 by result. Requests to the metadata service count
//! as reads instead.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, SubnetId, VolumeId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::ports::{Cloud, Owner};
use firecamp_node::preflight::CloudChecks;
use firecamp_node::preflight::facts::{Permission, Reading, Right};
use firecamp_node::volumes::CloudVolumes;
use firecamp_node::volumes::observation::{Attachment, Elsewhere};
use tokio::time::Instant;

use crate::status::{Call, Calls, Ec2Calls, result};

/// A cloud with metrics.
#[derive(Debug)]
pub(crate) struct MeteredCloud<C> {
    inner: C,
    calls: Ec2Calls,
}

impl<C> MeteredCloud<C> {
    pub(crate) fn new(inner: C, calls: &Ec2Calls) -> Self {
        Self { inner, calls: calls.clone() }
    }

    /// Measures one request. A cancelled request does not count.
    async fn measure<T>(
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

impl<C: Cloud> Cloud for MeteredCloud<C> {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.inner.identity().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.inner.listed(mac).await
    }

    async fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.measure(Call::DescribeNetworkInterfaces, self.inner.owner(address, subnet)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let request = self.inner.assign(eni, address, force, within);
        self.measure(Call::AssignPrivateIpAddresses, request).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let request = self.inner.unassign(eni, address, within);
        self.measure(Call::UnassignPrivateIpAddresses, request).await
    }
}

impl<C: CloudChecks> CloudChecks for MeteredCloud<C> {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        self.inner.instance().await
    }

    async fn interfaces(&self, instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        self.measure(Call::DescribeNetworkInterfaces, self.inner.interfaces(instance)).await
    }

    async fn type_limits(&self, name: &str) -> Result<TypeLimits, CloudFailure> {
        self.measure(Call::DescribeInstanceTypes, self.inner.type_limits(name)).await
    }

    async fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        self.measure(Call::DescribeNetworkInterfaces, self.inner.peers(subnet, cluster)).await
    }

    /// A dry run, which only the preflight of the CLI makes.
    async fn permission(&self, right: Right) -> Result<Permission, CloudFailure> {
        self.inner.permission(right).await
    }

    fn clocks(&self) -> Vec<Reading> {
        self.inner.clocks()
    }
}

impl<C: CloudVolumes> CloudVolumes for MeteredCloud<C> {
    async fn attachments(&self, instance: &InstanceId) -> Result<Vec<Attachment>, CloudFailure> {
        self.measure(Call::DescribeVolumes, self.inner.attachments(instance)).await
    }

    async fn elsewhere(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        self.measure(Call::DescribeVolumes, self.inner.elsewhere(instance, volumes)).await
    }
}
