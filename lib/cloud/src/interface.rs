//! Parses network interfaces from DescribeNetworkInterfaces.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use aws_sdk_ec2::types::{NetworkInterface, NetworkInterfaceAttachment, NetworkInterfaceType};
use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{EniId, SubnetId, parse_address};
use firecamp_core::network_interface::{Interface, TRUNK_CONTROLLER};

use crate::sdk_error;

/// All of them that have IPv4 addresses, or a failure: a listing without one of them would prove
/// that its addresses are gone. An IPv6-only or EFA-only interface has none.
pub(crate) fn all(
    what: &str,
    listing: &[NetworkInterface],
) -> Result<Vec<Interface>, CloudFailure> {
    let has_ipv4 = |one: &&NetworkInterface| {
        one.private_ip_address().is_some() || !one.private_ip_addresses().is_empty()
    };
    listing.iter().filter(has_ipv4).map(|one| interface(what, one)).collect()
}

fn interface(what: &str, one: &NetworkInterface) -> Result<Interface, CloudFailure> {
    let named = one.network_interface_id().unwrap_or_default();
    let parse_error = |problem: &dyn std::fmt::Display| {
        let detail = format!("{what}: failed to parse {:?}: {problem}", sdk_error::clean(named));
        sdk_error::read_failure(CloudKind::Transient, detail)
    };
    let address = |text: &str| parse_address(text).map_err(|why| parse_error(&why));
    let primary = address(one.private_ip_address().unwrap_or_default())?;
    let listed = one.private_ip_addresses().iter().filter_map(|entry| entry.private_ip_address());
    let listed = listed.map(address).collect::<Result<BTreeSet<Ipv4Addr>, _>>()?;
    let attachment = one.attachment();
    let index = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    let groups = one.groups().iter().filter_map(|group| group.group_id());
    Ok(Interface {
        id: EniId::new(named).map_err(|why| parse_error(&why))?,
        subnet: SubnetId::new(one.subnet_id().unwrap_or_default())
            .map_err(|why| parse_error(&why))?,
        device_index: index(attachment.and_then(NetworkInterfaceAttachment::device_index))
            .unwrap_or(0),
        network_card: index(attachment.and_then(NetworkInterfaceAttachment::network_card_index))
            .unwrap_or(0),
        primary,
        addresses: listed.into_iter().filter(|address| *address != primary).collect(),
        prefixes: u32::try_from(one.ipv4_prefixes().len()).unwrap_or(u32::MAX),
        groups: groups.map(sdk_error::clean).collect(),
        cluster: tagged(one, tag::CLUSTER),
        no_manage: tagged(one, tag::CNI_NO_MANAGE),
        operator: operator(one),
        delete_on_termination: attachment
            .and_then(NetworkInterfaceAttachment::delete_on_termination)
            .unwrap_or(false),
    })
}

/// The value of a tag.
pub(crate) fn tagged(one: &NetworkInterface, key: &str) -> Option<String> {
    let found = one.tag_set().iter().find(|tag| tag.key() == Some(key))?;
    Some(sdk_error::clean(found.value().unwrap_or_default()))
}

/// The service that manages it; AWS refuses changes to a managed interface. A trunk belongs to the
/// VPC resource controller, and the VPC CNI assigns none of its addresses to pods.
fn operator(one: &NetworkInterface) -> Option<String> {
    if one.interface_type() == Some(&NetworkInterfaceType::Trunk) {
        return Some(TRUNK_CONTROLLER.to_owned());
    }
    let managed = one.operator().filter(|operator| operator.managed() == Some(true));
    if let Some(operator) = managed {
        return Some(sdk_error::clean(operator.principal().unwrap_or("a service of AWS")));
    }
    let requested = one.requester_managed() == Some(true);
    requested.then(|| sdk_error::clean(one.requester_id().unwrap_or("a service of AWS")))
}
