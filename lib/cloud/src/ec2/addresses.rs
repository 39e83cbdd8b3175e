//! The owner of an address, Assign and Unassign.

use std::net::Ipv4Addr;
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::assign_private_ip_addresses::AssignPrivateIpAddressesOutput;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::ports::Owner;

use super::{Call, Ec2};
use crate::classify::Operation;
use crate::metadata::Metadata;
use crate::owner::{self, MadeFor};
use crate::sdk_error;

impl Ec2 {
    pub(crate) async fn owner(
        &self,
        metadata: &Metadata,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Result<Owner, CloudFailure> {
        let call = Call {
            operation: Operation::Describe,
            within: self.config.describe_within,
            what: format!("DescribeNetworkInterfaces for the owner of {address} in {subnet}"),
        };
        let filters = [
            ("addresses.private-ip-address".to_owned(), address.to_string()),
            ("subnet-id".to_owned(), subnet.to_string()),
        ];
        let describe = |client| self.enis(client, &call.what, &filters);
        let enis = self.run(metadata, &call, describe).await?;
        owner::owner(&call.what, (address, subnet), &self.made_for(), &enis)
    }

    fn made_for(&self) -> MadeFor {
        let Some(file) = &self.config.cluster_uid else { return MadeFor::AnyOfTheName };
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let uid = text.trim();
        MadeFor::Uid((!uid.is_empty()).then(|| uid.to_owned()))
    }

    pub(crate) async fn assign(
        &self,
        metadata: &Metadata,
        (eni, address): (&EniId, Ipv4Addr),
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let how = if force { " by force" } else { "" };
        let what = format!("AssignPrivateIpAddresses of {address} to {eni}{how}");
        let call = &Call { operation: Operation::Assign, within, what };
        let send = |client: Client| async move {
            client
                .assign_private_ip_addresses()
                .network_interface_id(eni.as_str())
                .private_ip_addresses(address.to_string())
                .allow_reassignment(force)
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        let answer = self.run(metadata, call, send).await?;
        confirm(&call.what, eni, address, &answer)
    }

    pub(crate) async fn unassign(
        &self,
        metadata: &Metadata,
        (eni, address): (&EniId, Ipv4Addr),
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let what = format!("UnassignPrivateIpAddresses of {address} from {eni}");
        let call = &Call { operation: Operation::Unassign, within, what };
        let send = |client: Client| async move {
            client
                .unassign_private_ip_addresses()
                .network_interface_id(eni.as_str())
                .private_ip_addresses(address.to_string())
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        self.run(metadata, call, send).await.map(drop)
    }
}

/// A 2xx is a success. The documentation does not guarantee that the body contains the address, but
/// a body with another address or ENI is not the response to our request.
fn confirm(
    what: &str,
    eni: &EniId,
    address: Ipv4Addr,
    answer: &AssignPrivateIpAddressesOutput,
) -> Result<(), CloudFailure> {
    let address = address.to_string();
    let assigned = answer.assigned_private_ip_addresses();
    let named = |entry: &aws_sdk_ec2::types::AssignedPrivateIpAddress| {
        entry.private_ip_address() == Some(address.as_str())
    };
    let other_eni = answer.network_interface_id().is_some_and(|id| id != eni.as_str());
    if other_eni || (!assigned.is_empty() && !assigned.iter().any(named)) {
        let detail = format!("{what}: the response names another address or ENI: {answer:?}");
        let detail = sdk_error::clean(&detail);
        return Err(CloudFailure { kind: CloudKind::Unknown, effect: Effect::Unknown, detail });
    }
    Ok(())
}
