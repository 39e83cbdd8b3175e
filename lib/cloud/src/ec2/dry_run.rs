//! Dry runs: whether a role may send a call.

use aws_sdk_ec2::Client;
use firecamp_core::failure::CloudFailure;
use firecamp_node::preflight::facts::{Permission, Right};

use super::{Call, Ec2};
use crate::classify::{DryRun, dry_run_result};
use crate::metadata::Metadata;
use crate::sdk_error;

impl Ec2 {
    /// A request with `DryRun`, which never changes anything.
    pub(crate) async fn permission(
        &self,
        metadata: &Metadata,
        right: Right,
    ) -> Result<Permission, CloudFailure> {
        let call = Call::read(format!("{right} (dry run)"));
        let (what, operation) = (&call.what, call.operation);
        let dry_run = |client: Client| async move {
            match right {
                Right::DescribeNetworkInterfaces => {
                    let sent = client.describe_network_interfaces().dry_run(true).send().await;
                    permission_from(sent.err().map(|error| {
                        (
                            dry_run_result(sdk_error::code(&error)),
                            sdk_error::from_sdk(operation, what, &error),
                        )
                    }))
                }
                Right::DescribeVolumes => {
                    let sent = client.describe_volumes().dry_run(true).send().await;
                    permission_from(sent.err().map(|error| {
                        (
                            dry_run_result(sdk_error::code(&error)),
                            sdk_error::from_sdk(operation, what, &error),
                        )
                    }))
                }
                Right::DescribeInstanceTypes => {
                    let sent = client.describe_instance_types().dry_run(true).send().await;
                    permission_from(sent.err().map(|error| {
                        (
                            dry_run_result(sdk_error::code(&error)),
                            sdk_error::from_sdk(operation, what, &error),
                        )
                    }))
                }
                Right::GetSubnetCidrReservations
                | Right::AssignPrivateIpAddresses
                | Right::UnassignPrivateIpAddresses => Err(sdk_error::no_dry_run(what)),
            }
        };
        self.run(metadata, &call, dry_run).await
    }
}

/// A dry run that succeeds was executed by a server that ignores `DryRun`: it was allowed.
fn permission_from(error: Option<(DryRun, CloudFailure)>) -> Result<Permission, CloudFailure> {
    match error {
        None | Some((DryRun::Allowed, _)) => Ok(Permission::Allowed),
        Some((DryRun::Denied, failure)) => Ok(Permission::Denied(failure.detail)),
        Some((DryRun::Open, failure)) => Err(failure),
    }
}
