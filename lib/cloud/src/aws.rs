//! The EC2 and metadata client that implements the protocol's cloud ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, SubnetId, VolumeId};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceFilter, NewInterface,
};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::ports::{Cloud, CloudInterfaces, Owner};
use firecamp_node::preflight::facts::{AttachedVolumes, Permission, Reading, Reservation, Right};
use firecamp_node::preflight::{AccountChecks, CloudChecks};
use firecamp_node::volumes::CloudVolumes;
use firecamp_node::volumes::observation::{Attachment, Elsewhere};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::classify::classify_metadata;
use crate::clock_skew::ClockSkews;
use crate::config::CloudConfig;
use crate::ec2::Ec2;
use crate::identity::{Instance, Known, SkippedInterfaces};
use crate::listing::{InterfacesBy, ListedInterface, ListedSubnet};
use crate::metadata::Metadata;
use crate::volume::DescribedVolume;
use crate::{identity, sdk_error};

/// The first identity takes three rounds of reads: the constant values, the MACs, their keys.
const ROUNDS: u32 = 3;

/// EC2 and the metadata service of this instance.
#[derive(Debug)]
pub struct AwsCloud {
    metadata: Metadata,
    ec2: Ec2,
    skews: ClockSkews,
    instance: OnceCell<Instance>,
    /// The interfaces of the last identity. Those that are still listed are read beside the list,
    /// which saves a round of reads.
    known: Mutex<Known>,
    skipped: SkippedInterfaces,
    identity_within: Duration,
}

impl AwsCloud {
    /// Validates the settings and prepares both clients. Sends nothing, so a program that needs no
    /// EC2 call causes none.
    ///
    /// *Errors.* `Auth` if an endpoint, the region or the page size is invalid.
    pub fn connect(config: CloudConfig) -> Result<Self, CloudFailure> {
        config.check()?;
        let skews = ClockSkews::new(config.clock());
        let metadata = Metadata::new(&config, skews.clone())?;
        let identity_within = config.imds_within.saturating_mul(ROUNDS);
        let ec2 = Ec2::new(config, &skews);
        let (instance, known) = (OnceCell::new(), Mutex::default());
        let skipped = SkippedInterfaces::default();
        Ok(Self { metadata, ec2, skews, instance, known, skipped, identity_within })
    }

    /// The interfaces of a subnet, page by page.
    pub async fn interface_pages(
        &self,
        subnet: &SubnetId,
        by: &InterfacesBy,
        page_size: i32,
    ) -> Result<Vec<Vec<ListedInterface>>, CloudFailure> {
        Box::pin(self.ec2.interface_pages(&self.metadata, subnet, by, page_size)).await
    }

    /// A subnet with its CIDR reservations.
    pub async fn subnet(&self, subnet: &SubnetId) -> Result<ListedSubnet, CloudFailure> {
        Box::pin(self.ec2.subnet(&self.metadata, subnet)).await
    }

    /// A volume; none if this region has no such volume.
    pub async fn volume(&self, volume: &VolumeId) -> Result<Option<DescribedVolume>, CloudFailure> {
        Box::pin(self.ec2.volume(&self.metadata, volume)).await
    }

    /// The region: the configured one, or that of this instance.
    pub async fn region(&self) -> Result<String, CloudFailure> {
        Box::pin(self.ec2.region(&self.metadata)).await
    }

    /// The URL to which the first request to EC2 was sent, whatever configured it; none before it.
    pub fn used_ec2_endpoint(&self) -> Option<String> {
        self.ec2.used_endpoint()
    }

    /// `unused`: the interfaces of a poll that need not be read; none reads everything.
    async fn read_identity(
        &self,
        unused: Option<&BTreeSet<Mac>>,
    ) -> Result<NodeIdentity, CloudFailure> {
        let instance = self.instance.get_or_try_init(|| identity::instance(&self.metadata));
        let known = self.known().clone();
        let early = identity::early(&self.metadata, known, unused);
        let early = async { Ok::<_, CloudFailure>(early.await) };
        let macs = identity::macs(&self.metadata);
        let (instance, macs, early) = tokio::try_join!(instance, macs, early)?;
        // One that was detached is read wholly when it comes back, whatever fails below.
        self.known().retain(|mac, _| macs.contains(mac));
        let (metadata, skipped) = (&self.metadata, &self.skipped);
        let identity = identity::identity(metadata, skipped, instance, (macs, early)).await?;
        *self.known() = identity.enis.iter().map(|eni| (eni.mac, eni.clone())).collect();
        Ok(identity)
    }

    async fn bounded_identity(
        &self,
        unused: Option<&BTreeSet<Mac>>,
    ) -> Result<NodeIdentity, CloudFailure> {
        let within = self.identity_within;
        let late = |_elapsed| {
            let detail =
                format!("failed to read this instance from the metadata service within {within:?}");
            Err(sdk_error::read_failure(classify_metadata(None), detail))
        };
        timeout(within, Box::pin(self.read_identity(unused))).await.unwrap_or_else(late)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The SDK's futures are large and deeply nested; boxed, they do not enlarge the callers' futures.
impl Cloud for AwsCloud {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.bounded_identity(None).await
    }

    async fn poll_identity(&self, unused: &BTreeSet<Mac>) -> Result<NodeIdentity, CloudFailure> {
        self.bounded_identity(Some(unused)).await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        Ok(Box::pin(identity::addresses(&self.metadata, mac)).await?.into_iter().collect())
    }

    async fn owners(
        &self,
        addresses: &[Ipv4Addr],
        subnet: &SubnetId,
    ) -> Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure> {
        Box::pin(self.ec2.owners(&self.metadata, addresses, subnet)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        Box::pin(self.ec2.assign(&self.metadata, (eni, addresses), force, within)).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        Box::pin(self.ec2.unassign(&self.metadata, (eni, address), within)).await
    }
}

impl CloudInterfaces for AwsCloud {
    async fn create_interface(
        &self,
        request: &NewInterface,
        within: Duration,
    ) -> Result<EniId, CloudFailure> {
        Box::pin(self.ec2.create_interface(&self.metadata, request, within)).await
    }

    async fn attach_interface(
        &self,
        eni: &EniId,
        instance: &InstanceId,
        device_index: u32,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let (metadata, ends) = (&self.metadata, (eni, instance));
        Box::pin(self.ec2.attach_interface(metadata, ends, device_index, within)).await
    }

    async fn detach_interface(
        &self,
        attachment: &str,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        Box::pin(self.ec2.detach_interface(&self.metadata, attachment, within)).await
    }

    async fn delete_interface(&self, eni: &EniId, within: Duration) -> Result<(), CloudFailure> {
        Box::pin(self.ec2.delete_interface(&self.metadata, eni, within)).await
    }

    async fn describe_interfaces(
        &self,
        filter: &InterfaceFilter,
    ) -> Result<Vec<DescribedInterface>, CloudFailure> {
        Box::pin(self.ec2.describe_interfaces(&self.metadata, filter)).await
    }

    async fn is_reserved(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Result<bool, CloudFailure> {
        let found = self.reservations(subnet).await?;
        Ok(found.iter().any(|one| one.explicit && one.block.contains(&address)))
    }

    async fn instance_state(&self, instance: &InstanceId) -> Result<InstanceState, CloudFailure> {
        Box::pin(self.ec2.instance_state(&self.metadata, instance)).await
    }
}

impl CloudChecks for AwsCloud {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        self.identity().await
    }

    async fn interfaces(&self, instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        Box::pin(self.ec2.interfaces(&self.metadata, instance)).await
    }

    async fn type_limits(&self, name: &str) -> Result<TypeLimits, CloudFailure> {
        Box::pin(self.ec2.type_limits(&self.metadata, name)).await
    }

    async fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        Box::pin(self.ec2.peers(&self.metadata, subnet, cluster)).await
    }

    async fn reservations(&self, subnet: &SubnetId) -> Result<Vec<Reservation>, CloudFailure> {
        Box::pin(self.ec2.reservations(&self.metadata, subnet)).await
    }

    async fn permission(&self, right: Right) -> Result<Permission, CloudFailure> {
        Box::pin(self.ec2.permission(&self.metadata, right)).await
    }

    fn clocks(&self) -> Vec<Reading> {
        self.skews.readings()
    }
}

impl AccountChecks for AwsCloud {
    async fn volumes(&self, instance: &InstanceId) -> Result<AttachedVolumes, CloudFailure> {
        Ok(AttachedVolumes::of(&self.attachments(instance).await?))
    }
}

impl CloudVolumes for AwsCloud {
    async fn attachments(&self, instance: &InstanceId) -> Result<Vec<Attachment>, CloudFailure> {
        Box::pin(self.ec2.attachments(&self.metadata, instance)).await
    }

    async fn elsewhere(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        Box::pin(self.ec2.elsewhere(&self.metadata, instance, volumes)).await
    }
}
