//! A cloud whose requests to EC2 are counted by what came of them. Those to the metadata service
//! are none: they are counted as reads.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, SubnetId, VolumeId};
use firecamp_core::interface::Interface;
use firecamp_core::node::{NodeIdentity, TypeLimits};
use firecamp_core::outside::{Cloud, Owner};
use firecamp_preflight::CloudChecks;
use firecamp_preflight::facts::{Permission, Reading, Right};
use firecamp_volumes::CloudVolumes;
use firecamp_volumes::seen::{Attachment, Elsewhere};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::status::{Call, Calls, result};

/// That cloud.
#[derive(Debug)]
pub(crate) struct Counted<C> {
    inner: C,
    calls: Family<Calls, Counter>,
}

impl<C> Counted<C> {
    pub(crate) fn new(inner: C, calls: &Family<Calls, Counter>) -> Self {
        Self { inner, calls: calls.clone() }
    }

    fn note<T>(&self, call: Call, done: Result<T, CloudFailure>) -> Result<T, CloudFailure> {
        let result = result(done.as_ref().err().map(|failure| failure.kind));
        self.calls.get_or_create(&Calls { call, result }).inc();
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
        self.note(Call::DescribeNetworkInterfaces, self.inner.owner(address, subnet).await)
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let done = self.inner.assign(eni, address, force, within).await;
        self.note(Call::AssignPrivateIpAddresses, done)
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let done = self.inner.unassign(eni, address, within).await;
        self.note(Call::UnassignPrivateIpAddresses, done)
    }
}

impl<C: CloudChecks> CloudChecks for Counted<C> {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        self.inner.instance().await
    }

    async fn interfaces(&self, instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        self.note(Call::DescribeNetworkInterfaces, self.inner.interfaces(instance).await)
    }

    async fn type_limits(&self, name: &str) -> Result<TypeLimits, CloudFailure> {
        self.note(Call::DescribeInstanceTypes, self.inner.type_limits(name).await)
    }

    async fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        self.note(Call::DescribeNetworkInterfaces, self.inner.peers(subnet, cluster).await)
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
        self.note(Call::DescribeVolumes, self.inner.attachments(instance).await)
    }

    async fn elsewhere(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        self.note(Call::DescribeVolumes, self.inner.elsewhere(instance, volumes).await)
    }
}
