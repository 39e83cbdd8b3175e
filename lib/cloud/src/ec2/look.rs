//! Looks at what the account has, beyond one address.

use std::collections::BTreeSet;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, InstanceType, Volume};
use firecamp_core::contract::tag;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, InstanceId, SubnetId, VolumeId};
use firecamp_core::interface::Interface;
use firecamp_core::node::TypeLimits;
use firecamp_node::preflight::facts::{Clock, Permission, Right};
use firecamp_node::volumes::seen::{Attachment, Elsewhere};

use super::{Call, Ec2, filters_of, pages};
use crate::classify::{Operation, Rehearsal, rehearsed};
use crate::metadata::Metadata;
use crate::{failed, interface, limits, volume};

/// EC2 takes so many values of one filter. An instance takes far fewer volumes.
const FILTER_VALUES: usize = 200;

impl Ec2 {
    /// The interfaces of an instance: one request for a node of any size that EC2 offers, unless
    /// EC2 gives shorter pages than it is asked for.
    pub(crate) async fn interfaces(
        &self,
        metadata: &Metadata,
        instance: &InstanceId,
    ) -> Result<Vec<Interface>, CloudFailure> {
        let what = format!("DescribeNetworkInterfaces of {instance}");
        let filters = [("attachment.instance-id".to_owned(), instance.to_string())];
        self.listing(metadata, what, &filters).await
    }

    /// The interfaces of a subnet that carry the cluster's tag.
    pub(crate) async fn peers(
        &self,
        metadata: &Metadata,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        let what = format!("DescribeNetworkInterfaces of cluster {cluster} in {subnet}");
        let tag = format!("tag:{}", tag::CLUSTER);
        let filters = [("subnet-id".to_owned(), subnet.to_string()), (tag, cluster.to_string())];
        self.listing(metadata, what, &filters).await
    }

    async fn listing(
        &self,
        metadata: &Metadata,
        what: String,
        filters: &[(String, String)],
    ) -> Result<Vec<Interface>, CloudFailure> {
        let within = self.config.describe_within;
        let call = Call { operation: Operation::Describe, within, what };
        let look = |client| self.enis(client, &call.what, filters);
        let listing = self.run(metadata, &call, look).await?;
        interface::all(&call.what, &listing)
    }

    /// Every volume with an attachment to the instance.
    pub(crate) async fn attachments(
        &self,
        metadata: &Metadata,
        instance: &InstanceId,
    ) -> Result<Vec<Attachment>, CloudFailure> {
        let what = format!("DescribeVolumes of {instance}");
        let within = self.config.describe_within;
        let call = Call { operation: Operation::Describe, within, what };
        let filters = filters_of(&[("attachment.instance-id".to_owned(), instance.to_string())]);
        let look = |client| self.volumes(client, &call.what, &filters);
        let listing = self.run(metadata, &call, look).await?;
        volume::all(&call.what, instance, &listing, self.dates.now_of(Clock::Ec2))
    }

    /// Where else these volumes are. By a filter: one that EC2 does not know fails nothing then.
    pub(crate) async fn elsewhere(
        &self,
        metadata: &Metadata,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        let what = format!("DescribeVolumes that {instance} lacks");
        let within = self.config.describe_within;
        let call = Call { operation: Operation::Describe, within, what };
        let ids = volumes.iter().take(FILTER_VALUES).map(ToString::to_string).collect();
        let filters = [Filter::builder().name("volume-id").set_values(Some(ids)).build()];
        let look = |client| self.volumes(client, &call.what, &filters);
        let listing = self.run(metadata, &call, look).await?;
        volume::elsewhere(&call.what, instance, &listing)
    }

    async fn volumes(
        &self,
        client: Client,
        what: &str,
        filters: &[Filter],
    ) -> Result<Vec<Volume>, CloudFailure> {
        let turn = |token| {
            let page = client
                .describe_volumes()
                .set_filters(Some(filters.to_vec()))
                .max_results(self.config.page_size)
                .set_next_token(token);
            async move {
                let answer = page
                    .send()
                    .await
                    .map_err(|error| failed::from_sdk(Operation::Describe, what, &error))?;
                Ok((answer.volumes.unwrap_or_default(), answer.next_token))
            }
        };
        pages(what, turn).await
    }

    /// What an instance type allows.
    pub(crate) async fn type_limits(
        &self,
        metadata: &Metadata,
        name: &str,
    ) -> Result<TypeLimits, CloudFailure> {
        let what = format!("DescribeInstanceTypes of {}", failed::clean(name));
        let within = self.config.describe_within;
        let call = Call { operation: Operation::Describe, within, what };
        let what = &call.what;
        let ask = |client: Client| async move {
            let kind = InstanceType::from(name);
            let answer = client.describe_instance_types().instance_types(kind).send().await;
            answer.map_err(|error| failed::from_sdk(Operation::Describe, what, &error))
        };
        let answer = self.run(metadata, &call, ask).await?;
        limits::limits(what, name, answer.instance_types())
    }

    /// One request with `DryRun`, which changes nothing whatever it would do.
    pub(crate) async fn permission(
        &self,
        metadata: &Metadata,
        right: Right,
    ) -> Result<Permission, CloudFailure> {
        let within = self.config.describe_within;
        let call =
            Call { operation: Operation::Describe, within, what: format!("{right} (dry run)") };
        let (what, operation) = (&call.what, call.operation);
        let rehearse = |client: Client| async move {
            match right {
                Right::DescribeNetworkInterfaces => {
                    let sent = client.describe_network_interfaces().dry_run(true).send().await;
                    verdict(sent.err().map(|error| {
                        (rehearsed(failed::code(&error)), failed::from_sdk(operation, what, &error))
                    }))
                }
                Right::DescribeVolumes => {
                    let sent = client.describe_volumes().dry_run(true).send().await;
                    verdict(sent.err().map(|error| {
                        (rehearsed(failed::code(&error)), failed::from_sdk(operation, what, &error))
                    }))
                }
                Right::DescribeInstanceTypes => {
                    let sent = client.describe_instance_types().dry_run(true).send().await;
                    verdict(sent.err().map(|error| {
                        (rehearsed(failed::code(&error)), failed::from_sdk(operation, what, &error))
                    }))
                }
                Right::GetSubnetCidrReservations
                | Right::AssignPrivateIpAddresses
                | Right::UnassignPrivateIpAddresses => Err(failed::unrehearsable(what)),
            }
        };
        self.run(metadata, &call, rehearse).await
    }
}

/// A dry run that succeeds is one that somebody took for the real thing: it was allowed.
fn verdict(error: Option<(Rehearsal, CloudFailure)>) -> Result<Permission, CloudFailure> {
    match error {
        None | Some((Rehearsal::Allowed, _)) => Ok(Permission::Allowed),
        Some((Rehearsal::Denied, failure)) => Ok(Permission::Denied(failure.detail)),
        Some((Rehearsal::Open, failure)) => Err(failure),
    }
}
