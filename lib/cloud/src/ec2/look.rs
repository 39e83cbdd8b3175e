//! Looks at what the account has, beyond one address.

use aws_sdk_ec2::Client;
use firecamp_core::contract::tag;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, InstanceId, SubnetId};
use firecamp_core::interface::Interface;
use firecamp_preflight::facts::{Permission, Right};

use super::{Call, Ec2};
use crate::classify::{Operation, Rehearsal, rehearsed};
use crate::metadata::Metadata;
use crate::{failed, interface};

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
        let look = |client| self.pages(client, &call.what, filters);
        let listing = self.run(metadata, &call, look).await?;
        interface::all(&call.what, &listing)
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
                Right::AssignPrivateIpAddresses | Right::UnassignPrivateIpAddresses => {
                    Err(failed::unrehearsable(what))
                }
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
