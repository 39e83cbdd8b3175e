//! A network interface in EC2's XML, as DescribeNetworkInterfaces and DescribeInstances show it.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::actions::ActionContext;
use super::xml::Xml;
use crate::calendar::iso_millis;
use crate::model::{Attachment, Eni, Stage, Subnet, VpcState};

/// The security group of every ENI.
pub(crate) const GROUP: (&str, &str) = ("sg-0f1ecaca000000001", "default");

/// The state of an ENI.
pub(super) fn status(eni: &Eni, now: Duration) -> &'static str {
    match eni.attachment.as_ref().map(|attachment| attachment.stage) {
        // As CreateNetworkInterface reports it, and for a while afterwards.
        None if now < eni.known_at => "pending",
        None => "available",
        Some(Stage::Detaching) => "detaching",
        Some(Stage::Attaching | Stage::Attached) => "in-use",
    }
}

/// The private DNS name of an address.
pub(crate) fn private_dns_name(address: Ipv4Addr, region: &str) -> String {
    let dashed = address.to_string().replace('.', "-");
    match region {
        "us-east-1" => format!("ip-{dashed}.ec2.internal"),
        other => format!("ip-{dashed}.{other}.compute.internal"),
    }
}

/// Launch and attachment times: a day before the simulation starts.
pub(super) fn long_ago(on: &ActionContext<'_>) -> String {
    iso_millis(on.epoch.saturating_sub(Duration::from_hours(24)))
}

/// A time in the simulation, or a day before its start.
pub(super) fn formatted_time(at: Option<Duration>, on: &ActionContext<'_>) -> String {
    at.map_or_else(|| long_ago(on), |at| iso_millis(on.epoch + at))
}

fn groups(xml: &mut Xml) {
    xml.set("groupSet", [GROUP], |xml, (id, name)| {
        xml.leaf("groupId", id).leaf("groupName", name);
    });
}

fn addresses(xml: &mut Xml, eni: &Eni, region: &str) {
    let all = std::iter::once((eni.primary, true));
    let all = all.chain(eni.secondary.iter().map(|address| (*address, false)));
    xml.set("privateIpAddressesSet", all, |xml, (address, primary)| {
        xml.leaf("privateIpAddress", address)
            .leaf("privateDnsName", private_dns_name(address, region))
            .leaf("primary", primary);
    });
    if !eni.prefixes.is_empty() {
        xml.set("ipv4PrefixSet", &eni.prefixes, |xml, net| {
            xml.leaf("ipv4Prefix", net);
        });
    }
}

/// The elements that both forms share.
fn common(xml: &mut Xml, eni: &Eni, on: &ActionContext<'_>) {
    xml.leaf("networkInterfaceId", &eni.id)
        .leaf("subnetId", &eni.subnet)
        .leaf("vpcId", &on.topology.vpc)
        .leaf("description", &eni.description)
        .leaf("ownerId", &on.topology.account)
        .leaf("status", status(eni, on.now))
        .leaf("macAddress", &eni.mac)
        .leaf("privateIpAddress", eni.primary)
        .leaf("privateDnsName", private_dns_name(eni.primary, &on.topology.region))
        .leaf("sourceDestCheck", eni.source_dest_check)
        .leaf("interfaceType", eni.kind.name());
    groups(xml);
    addresses(xml, eni, &on.topology.region);
}

fn attachment(xml: &mut Xml, attachment: &Attachment, on: &ActionContext<'_>) {
    xml.leaf("attachmentId", &attachment.id)
        .leaf("deviceIndex", attachment.device_index)
        .leaf("networkCardIndex", 0)
        .leaf("status", attachment.status())
        .leaf("attachTime", formatted_time(attachment.since, on))
        .leaf("deleteOnTermination", attachment.delete_on_termination);
}

/// An item of `networkInterfaceSet` of DescribeNetworkInterfaces.
pub(super) fn described(xml: &mut Xml, eni: &Eni, subnet: Option<&Subnet>, on: &ActionContext<'_>) {
    common(xml, eni, on);
    if let Some(subnet) = subnet {
        xml.leaf("availabilityZone", &subnet.zone).leaf("availabilityZoneId", &subnet.zone_id);
    }
    xml.leaf("requesterManaged", eni.operator().is_some());
    if let Some(operator) = eni.operator() {
        xml.leaf("requesterId", "amazon-aws");
        xml.node("operator", |xml| {
            xml.leaf("managed", true)
                .leaf("principal", &operator.principal)
                .leaf("hiddenByDefault", operator.hidden);
        });
    }
    if let Some(attached) = &eni.attachment {
        xml.node("attachment", |xml| {
            attachment(xml, attached, on);
            xml.leaf("instanceId", &attached.instance)
                .leaf("instanceOwnerId", &on.topology.account);
        });
    }
    xml.tags(&eni.tags);
}

/// An item of `networkInterfaceSet` of an instance in DescribeInstances.
pub(super) fn of_instance(xml: &mut Xml, eni: &Eni, on: &ActionContext<'_>) {
    common(xml, eni, on);
    if let Some(attached) = &eni.attachment {
        xml.node("attachment", |xml| attachment(xml, attached, on));
    }
}

/// The ENIs of an instance in a state.
pub(super) fn enis_of(vpc: &VpcState, instance: &str) -> Vec<Eni> {
    vpc.enis_of(instance).into_iter().map(|eni| (**eni).clone()).collect()
}
