//! Describe calls beyond the owner of one address.

use std::collections::BTreeSet;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, InstanceType, Volume};
use firecamp_core::contract::tag;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, InstanceId, SubnetId, VolumeId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::TypeLimits;
use firecamp_node::preflight::facts::Clock;
use firecamp_node::volumes::observation::{Attachment, Elsewhere};

use super::{Call, Ec2, filter, pages};
use crate::classify::Operation;
use crate::metadata::Metadata;
use crate::volume::DescribedVolume;
use crate::{instance_type_limits, interface, sdk_error, volume};

/// EC2's limit of values per filter. An instance has far fewer volumes.
const FILTER_VALUES: usize = 200;

impl Ec2 {
    /// The interfaces of an instance: one request for a node of any size that EC2 offers, unless
    /// EC2 returns shorter pages than requested.
    pub(crate) async fn interfaces(
        &self,
        metadata: &Metadata,
        instance: &InstanceId,
    ) -> Result<Vec<Interface>, CloudFailure> {
        let what = format!("DescribeNetworkInterfaces of {instance}");
        let filters = [filter("attachment.instance-id", std::slice::from_ref(instance))];
        self.listing(metadata, what, &filters).await
    }

    /// The interfaces of a subnet with the cluster's tag.
    pub(crate) async fn peers(
        &self,
        metadata: &Metadata,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        let what = format!("DescribeNetworkInterfaces of cluster {cluster} in {subnet}");
        let tag = format!("tag:{}", tag::CLUSTER);
        let filters = [
            filter("subnet-id", std::slice::from_ref(subnet)),
            filter(&tag, std::slice::from_ref(cluster)),
        ];
        self.listing(metadata, what, &filters).await
    }

    async fn listing(
        &self,
        metadata: &Metadata,
        what: String,
        filters: &[Filter],
    ) -> Result<Vec<Interface>, CloudFailure> {
        let call = Call::read(what);
        let describe = |client| self.enis(client, &call.what, filters);
        let listing = self.run(metadata, &call, describe).await?;
        interface::all(&call.what, &listing)
    }

    /// Every volume that is attached to the instance.
    pub(crate) async fn attachments(
        &self,
        metadata: &Metadata,
        instance: &InstanceId,
    ) -> Result<Vec<Attachment>, CloudFailure> {
        let call = Call::read(format!("DescribeVolumes of {instance}"));
        let filters = [filter("attachment.instance-id", std::slice::from_ref(instance))];
        let describe = |client| self.volumes(client, &call.what, &filters);
        let listing = self.run(metadata, &call, describe).await?;
        volume::all(&call.what, instance, &listing, self.skews.now_of(Clock::Ec2))
    }

    /// Where else these volumes are attached. A filter, because an unknown volume ID does not fail
    /// it.
    pub(crate) async fn elsewhere(
        &self,
        metadata: &Metadata,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        let call = Call::read(format!("DescribeVolumes of volumes not attached to {instance}"));
        let ids = volumes.iter().take(FILTER_VALUES).map(ToString::to_string).collect();
        let filters = [Filter::builder().name("volume-id").set_values(Some(ids)).build()];
        let describe = |client| self.volumes(client, &call.what, &filters);
        let listing = self.run(metadata, &call, describe).await?;
        volume::elsewhere(&call.what, instance, &listing)
    }

    /// A volume, if it exists. A filter, because an unknown volume ID does not fail it.
    pub(crate) async fn volume(
        &self,
        metadata: &Metadata,
        wanted: &VolumeId,
    ) -> Result<Option<DescribedVolume>, CloudFailure> {
        let call = Call::read(format!("DescribeVolumes of {wanted}"));
        let filters = [filter("volume-id", std::slice::from_ref(wanted))];
        let describe = |client| self.volumes(client, &call.what, &filters);
        let listing = self.run(metadata, &call, describe).await?;
        volume::described(&call.what, wanted, &listing)
    }

    async fn volumes(
        &self,
        client: Client,
        what: &str,
        filters: &[Filter],
    ) -> Result<Vec<Volume>, CloudFailure> {
        let page_request = |token| {
            let request = client
                .describe_volumes()
                .set_filters(Some(filters.to_vec()))
                .max_results(self.config.page_size)
                .set_next_token(token);
            async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| sdk_error::from_sdk(Operation::Describe, what, &error))?;
                Ok((answer.volumes.unwrap_or_default(), answer.next_token))
            }
        };
        pages::all(what, page_request).await
    }

    /// The limits of an instance type.
    pub(crate) async fn type_limits(
        &self,
        metadata: &Metadata,
        name: &str,
    ) -> Result<TypeLimits, CloudFailure> {
        let call = Call::read(format!("DescribeInstanceTypes of {}", sdk_error::clean(name)));
        let what = &call.what;
        let send = |client: Client| async move {
            let kind = InstanceType::from(name);
            let answer = client.describe_instance_types().instance_types(kind).send().await;
            answer.map_err(|error| sdk_error::from_sdk(Operation::Describe, what, &error))
        };
        let answer = self.run(metadata, &call, send).await?;
        instance_type_limits::limits(what, name, answer.instance_types())
    }
}
