//! The owners of addresses, Assign and Unassign.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::assign_private_ip_addresses::AssignPrivateIpAddressesOutput;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::ports::Owner;

use super::{Call, Ec2, filter};
use crate::classify::Operation;
use crate::metadata::Metadata;
use crate::owner::{self, MadeFor};
use crate::sdk_error;

impl Ec2 {
    pub(crate) async fn owners(
        &self,
        metadata: &Metadata,
        addresses: &[Ipv4Addr],
        subnet: &SubnetId,
    ) -> Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure> {
        let named = list(addresses);
        let what = format!("DescribeNetworkInterfaces for the owner of {named} in {subnet}");
        let call = Call::read(what);
        let filters = [
            filter("addresses.private-ip-address", addresses),
            filter("subnet-id", std::slice::from_ref(subnet)),
        ];
        let describe = |client| self.enis(client, &call.what, &filters);
        let enis = self.run(metadata, &call, describe).await?;
        owner::owners(&call.what, (addresses, subnet), &self.made_for(), &enis)
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
        (eni, addresses): (&EniId, &[Ipv4Addr]),
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let how = if force { " by force" } else { "" };
        let what = format!("AssignPrivateIpAddresses of {} to {eni}{how}", list(addresses));
        let call = &Call::change(Operation::Assign, within, what);
        let send = |client: Client| async move {
            client
                .assign_private_ip_addresses()
                .network_interface_id(eni.as_str())
                .set_private_ip_addresses(Some(addresses.iter().map(ToString::to_string).collect()))
                .allow_reassignment(force)
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        let answer = self.run(metadata, call, send).await?;
        confirm(&call.what, (eni, addresses), &answer)
    }

    pub(crate) async fn unassign(
        &self,
        metadata: &Metadata,
        (eni, address): (&EniId, Ipv4Addr),
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let what = format!("UnassignPrivateIpAddresses of {address} from {eni}");
        let call = &Call::change(Operation::Unassign, within, what);
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

/// For messages: who asks for one of several addresses need not learn the others.
fn list(addresses: &[Ipv4Addr]) -> String {
    match addresses {
        [address] => address.to_string(),
        _ => format!("{} addresses", addresses.len()),
    }
}

/// A 2xx is a success. The documentation does not guarantee that the body contains the addresses,
/// but a body without one of them, or with another ENI, is not the response to our request.
fn confirm(
    what: &str,
    (eni, addresses): (&EniId, &[Ipv4Addr]),
    answer: &AssignPrivateIpAddressesOutput,
) -> Result<(), CloudFailure> {
    let assigned = answer.assigned_private_ip_addresses();
    let named: BTreeSet<&str> =
        assigned.iter().filter_map(|entry| entry.private_ip_address()).collect();
    let lacks = addresses.iter().any(|address| !named.contains(address.to_string().as_str()));
    let other_eni = answer.network_interface_id().is_some_and(|id| id != eni.as_str());
    if other_eni || (!assigned.is_empty() && lacks) {
        let detail =
            format!("{what}: the response lacks an address or names another ENI: {answer:?}");
        let detail = sdk_error::clean(&detail);
        return Err(CloudFailure { kind: CloudKind::Unknown, effect: Effect::Unknown, detail });
    }
    Ok(())
}
