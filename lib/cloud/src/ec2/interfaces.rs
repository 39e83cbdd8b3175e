//! Interfaces that FireCamp makes: create, attach, detach, delete and describe.

use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{ClusterName, EniId, InstanceId};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceFilter, NewInterface,
};

use super::{Call, Ec2, filter};
use crate::classify::Operation;
use crate::metadata::Metadata;
use crate::{managed_interface, sdk_error};

/// Interfaces in a page of a list of the whole cluster. With fifty addresses each, the answer has
/// about 5 MiB, which the leader's memory limit allows.
const CLUSTER_PAGE: i32 = 500;
/// A list of the whole cluster takes so many times as long as another Describe.
const CLUSTER_PATIENCE: u32 = 5;

impl Ec2 {
    pub(crate) async fn create_interface(
        &self,
        metadata: &Metadata,
        request: &NewInterface,
        within: Duration,
    ) -> Result<EniId, CloudFailure> {
        let what = format!("CreateNetworkInterface in {}", request.subnet);
        let call = &Call::change(Operation::Create, within, what);
        let send = |client: Client| async move {
            client
                .create_network_interface()
                .subnet_id(request.subnet.as_str())
                .set_groups(Some(request.groups.iter().cloned().collect()))
                .description(&request.description)
                .tag_specifications(tags(&request.tags))
                .client_token(&request.token)
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        let answer = self.run(metadata, call, send).await?;
        managed_interface::created(&call.what, &request.subnet, answer.network_interface())
    }

    pub(crate) async fn attach_interface(
        &self,
        metadata: &Metadata,
        (eni, instance): (&EniId, &InstanceId),
        device_index: u32,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let what = format!("AttachNetworkInterface of {eni} to {instance} at {device_index}");
        let call = &Call::change(Operation::Attach, within, what);
        // No instance type has an index that exceeds the wire's number; EC2 refuses such a one.
        let index = i32::try_from(device_index).unwrap_or(i32::MAX);
        let send = |client: Client| async move {
            client
                .attach_network_interface()
                .network_interface_id(eni.as_str())
                .instance_id(instance.as_str())
                .device_index(index)
                .network_card_index(0)
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        self.run(metadata, call, send).await.map(drop)
    }

    pub(crate) async fn detach_interface(
        &self,
        metadata: &Metadata,
        attachment: &str,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let what = format!("DetachNetworkInterface of {}", sdk_error::clean(attachment));
        let call = &Call::change(Operation::Detach, within, what);
        let send = |client: Client| async move {
            client
                .detach_network_interface()
                .attachment_id(attachment)
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        self.run(metadata, call, send).await.map(drop)
    }

    pub(crate) async fn delete_interface(
        &self,
        metadata: &Metadata,
        eni: &EniId,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let what = format!("DeleteNetworkInterface of {eni}");
        let call = &Call::change(Operation::Delete, within, what);
        let send = |client: Client| async move {
            client
                .delete_network_interface()
                .network_interface_id(eni.as_str())
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        self.run(metadata, call, send).await.map(drop)
    }

    /// By a filter: an unknown ID does not fail it.
    pub(crate) async fn describe_interfaces(
        &self,
        metadata: &Metadata,
        by: &InterfaceFilter,
    ) -> Result<Vec<DescribedInterface>, CloudFailure> {
        let (name, value) = match by {
            InterfaceFilter::Id(eni) => ("network-interface-id".to_owned(), eni.to_string()),
            InterfaceFilter::Record(uid) => (format!("tag:{}", tag::INTERFACE), uid.clone()),
            InterfaceFilter::Cluster(cluster) => {
                return self.cluster_interfaces(metadata, cluster).await;
            }
        };
        let call = Call::read(format!(
            "DescribeNetworkInterfaces with {name}={}",
            sdk_error::clean(&value)
        ));
        let filters = [filter(&name, std::slice::from_ref(&value))];
        let describe = |client| self.enis(client, &call.what, &filters);
        let listing = self.run(metadata, &call, describe).await?;
        managed_interface::described(&call.what, by, &listing)
    }

    /// Each page is parsed before the next one is requested: as EC2 sends them, the interfaces of
    /// a large cluster would take tens of megabytes.
    async fn cluster_interfaces(
        &self,
        metadata: &Metadata,
        cluster: &ClusterName,
    ) -> Result<Vec<DescribedInterface>, CloudFailure> {
        let what = format!("DescribeNetworkInterfaces of cluster {cluster}");
        let within = self.config.answer_within.saturating_mul(CLUSTER_PATIENCE);
        let call = Call { operation: Operation::Describe, within: Some(within), what };
        let tag = format!("tag:{}", tag::CLUSTER);
        let filters = [filter(&tag, std::slice::from_ref(cluster))];
        let keep = |page: Vec<_>| managed_interface::of_cluster(&call.what, cluster, &page);
        let describe = |client| self.eni_pages(client, &call.what, &filters, CLUSTER_PAGE, keep);
        let pages = self.run(metadata, &call, describe).await?;
        Ok(pages.into_iter().flatten().collect())
    }

    /// By its ID: an empty answer to a filter would not say that the instance is unknown.
    pub(crate) async fn instance_state(
        &self,
        metadata: &Metadata,
        instance: &InstanceId,
    ) -> Result<InstanceState, CloudFailure> {
        let call = &Call::read(format!("DescribeInstances of {instance}"));
        let send = |client: Client| async move {
            client
                .describe_instances()
                .instance_ids(instance.as_str())
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        match self.run(metadata, call, send).await {
            Ok(answer) => managed_interface::state(&call.what, instance, answer.reservations()),
            Err(failure) if failure.kind == CloudKind::NotFound => Ok(InstanceState::Gone),
            Err(failure) => Err(failure),
        }
    }
}

fn tags(all: &[(String, String)]) -> TagSpecification {
    let tags = all.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    TagSpecification::builder()
        .resource_type(ResourceType::NetworkInterface)
        .set_tags(Some(tags.collect()))
        .build()
}
