//! A cloud client that connects at the first call: most releases need no EC2 call, and must not
//! fail because of an AWS setting that they do not use.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, SubnetId, VolumeId};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceFilter, NewInterface,
};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::ports::{Cloud, CloudInterfaces, Owner};
use firecamp_node::preflight::CloudChecks;
use firecamp_node::preflight::facts::{Permission, Reading, Reservation, Right};
use firecamp_node::volumes::CloudVolumes;
use firecamp_node::volumes::observation::{Attachment, Elsewhere};
use tokio::sync::OnceCell;

use crate::aws::AwsCloud;
use crate::config::CloudConfig;

/// [`AwsCloud`], connected at the first call.
#[derive(Debug)]
pub struct LazyCloud {
    config: CloudConfig,
    cloud: OnceCell<AwsCloud>,
}

impl LazyCloud {
    /// With these settings, which the first call validates.
    pub fn new(config: CloudConfig) -> Self {
        Self { config, cloud: OnceCell::new() }
    }

    async fn connected(&self) -> Result<&AwsCloud, CloudFailure> {
        let connect = async || AwsCloud::connect(self.config.clone());
        self.cloud.get_or_try_init(connect).await
    }
}

impl Cloud for LazyCloud {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.connected().await?.identity().await
    }

    async fn poll_identity(&self, unused: &BTreeSet<Mac>) -> Result<NodeIdentity, CloudFailure> {
        self.connected().await?.poll_identity(unused).await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.connected().await?.listed(mac).await
    }

    async fn owners(
        &self,
        addresses: &[Ipv4Addr],
        subnet: &SubnetId,
    ) -> Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure> {
        self.connected().await?.owners(addresses, subnet).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.connected().await?.assign(eni, addresses, force, within).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.connected().await?.unassign(eni, address, within).await
    }
}

impl CloudInterfaces for LazyCloud {
    async fn create_interface(
        &self,
        request: &NewInterface,
        within: Duration,
    ) -> Result<EniId, CloudFailure> {
        self.connected().await?.create_interface(request, within).await
    }

    async fn attach_interface(
        &self,
        eni: &EniId,
        instance: &InstanceId,
        device_index: u32,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.connected().await?.attach_interface(eni, instance, device_index, within).await
    }

    async fn detach_interface(
        &self,
        attachment: &str,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.connected().await?.detach_interface(attachment, within).await
    }

    async fn delete_interface(&self, eni: &EniId, within: Duration) -> Result<(), CloudFailure> {
        self.connected().await?.delete_interface(eni, within).await
    }

    async fn describe_interfaces(
        &self,
        filter: &InterfaceFilter,
    ) -> Result<Vec<DescribedInterface>, CloudFailure> {
        self.connected().await?.describe_interfaces(filter).await
    }

    async fn is_reserved(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Result<bool, CloudFailure> {
        self.connected().await?.is_reserved(address, subnet).await
    }

    async fn instance_state(&self, instance: &InstanceId) -> Result<InstanceState, CloudFailure> {
        self.connected().await?.instance_state(instance).await
    }
}

impl CloudChecks for LazyCloud {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        self.identity().await
    }

    async fn interfaces(&self, instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        self.connected().await?.interfaces(instance).await
    }

    async fn type_limits(&self, name: &str) -> Result<TypeLimits, CloudFailure> {
        self.connected().await?.type_limits(name).await
    }

    async fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        self.connected().await?.peers(subnet, cluster).await
    }

    async fn reservations(&self, subnet: &SubnetId) -> Result<Vec<Reservation>, CloudFailure> {
        self.connected().await?.reservations(subnet).await
    }

    async fn permission(&self, right: Right) -> Result<Permission, CloudFailure> {
        self.connected().await?.permission(right).await
    }

    fn clocks(&self) -> Vec<Reading> {
        self.cloud.get().map(AwsCloud::clocks).unwrap_or_default()
    }
}

impl CloudVolumes for LazyCloud {
    async fn attachments(&self, instance: &InstanceId) -> Result<Vec<Attachment>, CloudFailure> {
        self.connected().await?.attachments(instance).await
    }

    async fn elsewhere(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        self.connected().await?.elsewhere(instance, volumes).await
    }
}
