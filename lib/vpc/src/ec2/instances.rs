//! DescribeInstances: ec2-semantics.md section 2.4.

use std::sync::Arc;
use std::time::Duration;

use super::actions::{Action, ActionContext, Effect};
use super::describe::{Describe, DescribeRequest};
use super::filters::pass;
use super::interface_xml::{enis_of, long_ago, of_instance, private_dns_name};
use super::xml::Xml;
use super::{ApiError, interfaces, is_id, volumes};
use crate::model::{Eni, Instance};
use crate::rng::key_of;
use crate::view::NodeState;

/// The action.
pub(super) const DESCRIBE: Describe = Describe {
    action: Action::Instances,
    ids: Some("InstanceId"),
    ids_without_pages: Some("instancesSet"),
    filters: &[
        "availability-zone",
        "block-device-mapping.volume-id",
        "instance-id",
        "instance-state-code",
        "instance-state-name",
        "instance-type",
        "network-interface.addresses.private-ip-address",
        "network-interface.network-interface-id",
        "network-interface.subnet-id",
        "owner-id",
        "private-dns-name",
        "private-ip-address",
        "subnet-id",
        "tag-key",
        "vpc-id",
    ],
    tags: true,
    most: 1_000,
    // The simulator has no managed instances, so the flag has no effect.
    managed: true,
    set: "reservationSet",
    empty_set: None,
};

/// How long DescribeInstances lists a terminated instance.
const LISTED: Duration = Duration::from_hours(1);

/// An instance with its ENIs.
struct InstanceWithEnis<'a> {
    instance: &'a Arc<Instance>,
    enis: Vec<Eni>,
}

/// Whether EC2 still lists an instance.
pub(super) fn is_listed(instance: &Instance, now: Duration) -> bool {
    instance.terminated_at.is_none_or(|at| now.saturating_sub(at) < LISTED)
}

/// Executes a request on the caller's view.
pub(crate) fn execute(
    request: &DescribeRequest,
    on: &ActionContext<'_>,
) -> Result<Effect, ApiError> {
    let listed = |instance: &Instance| is_listed(instance, on.now);
    if let Some(bad) = request.ids.iter().find(|id| !is_id("i", id)) {
        return Err(ApiError::malformed_instance(bad));
    }
    let there = |id: &String| on.vpc.instances.get(id.as_str()).is_some_and(|i| listed(i));
    if let Some(unknown) = request.ids.iter().find(|id| !there(id)) {
        return Err(ApiError::no_instance(unknown));
    }
    let found: Vec<InstanceWithEnis<'_>> = on
        .vpc
        .instances
        .values()
        .filter(|instance| listed(instance))
        .filter(|i| request.names(&i.id))
        .map(|instance| InstanceWithEnis { instance, enis: enis_of(&on.vpc, &instance.id) })
        .filter(|item| pass(&request.filters, &item.instance.tags, |name| values(name, item, on)))
        .filter(|item| !on.knobs.omitted(|name| is_about(item, name)))
        .collect();
    let id = |item: &InstanceWithEnis<'_>| item.instance.id.to_string();
    let page = DESCRIBE.page(request, on, found, id)?;
    Ok(DESCRIBE.answer(on, page, |xml, item| reservation(xml, &item, on)))
}

fn is_about(item: &InstanceWithEnis<'_>, name: &str) -> bool {
    &*item.instance.id == name || item.enis.iter().any(|eni| interfaces::is_about(eni, name))
}

/// Each instance is in a reservation by itself.
fn reservation(xml: &mut Xml, item: &InstanceWithEnis<'_>, on: &ActionContext<'_>) {
    let number = key_of(&item.instance.id);
    xml.leaf("reservationId", format!("r-{}", on.rng.hex17("reservation", number)))
        .leaf("ownerId", &on.topology.account)
        .set("groupSet", std::iter::empty::<()>(), |_, ()| {})
        .set("instancesSet", [item], |xml, item| instance(xml, item, on));
}

fn state(instance: &Instance) -> (u16, &'static str) {
    match instance.state {
        NodeState::Running => (16, "running"),
        NodeState::Terminated => (48, "terminated"),
        NodeState::Stopped => (80, "stopped"),
    }
}

fn instance(xml: &mut Xml, item: &InstanceWithEnis<'_>, on: &ActionContext<'_>) {
    let InstanceWithEnis { instance, enis } = item;
    let (code, name) = state(instance);
    xml.leaf("instanceId", &instance.id).leaf("imageId", "ami-0f1ecaca000000001");
    xml.node("instanceState", |xml| {
        xml.leaf("code", code).leaf("name", name);
    });
    xml.leaf("instanceType", instance.size.name).leaf("launchTime", long_ago(on)).node(
        "placement",
        |xml| {
            xml.leaf("availabilityZone", &instance.zone).leaf("tenancy", "default");
        },
    );
    // A terminated instance has no addresses.
    if let Some(primary) = enis.first() {
        xml.leaf("privateDnsName", private_dns_name(primary.primary, &on.topology.region))
            .leaf("subnetId", &primary.subnet)
            .leaf("vpcId", &on.topology.vpc)
            .leaf("privateIpAddress", primary.primary)
            .leaf("sourceDestCheck", primary.source_dest_check);
    }
    xml.leaf("architecture", "x86_64")
        .leaf("rootDeviceName", "/dev/xvda")
        .leaf("rootDeviceType", "ebs");
    volumes::of_instance(xml, &instance.id, on);
    xml.leaf("hypervisor", "xen")
        .tags(&instance.tags)
        .set("networkInterfaceSet", enis, |xml, eni| of_instance(xml, eni, on))
        .node("metadataOptions", |xml| {
            xml.leaf("state", "applied")
                .leaf("httpTokens", "required")
                .leaf("httpPutResponseHopLimit", 1)
                .leaf("httpEndpoint", "enabled")
                .leaf("instanceMetadataTags", "disabled");
        });
}

/// The values of an instance for a filter.
fn values(name: &str, item: &InstanceWithEnis<'_>, on: &ActionContext<'_>) -> Vec<String> {
    let InstanceWithEnis { instance, enis } = item;
    let one = |text: &str| vec![text.to_owned()];
    let primary = enis.first();
    match name {
        "availability-zone" => one(&instance.zone),
        "block-device-mapping.volume-id" => {
            on.vpc.volumes_of(&instance.id).iter().map(|v| v.id.to_string()).collect()
        }
        "instance-id" => one(&instance.id),
        "instance-state-code" => one(&state(instance).0.to_string()),
        "instance-state-name" => one(state(instance).1),
        "instance-type" => one(instance.size.name),
        "network-interface.addresses.private-ip-address" => enis
            .iter()
            .flat_map(|eni| std::iter::once(&eni.primary).chain(&eni.secondary))
            .map(ToString::to_string)
            .collect(),
        "network-interface.network-interface-id" => {
            enis.iter().map(|eni| eni.id.to_string()).collect()
        }
        "network-interface.subnet-id" => enis.iter().map(|eni| eni.subnet.to_string()).collect(),
        "owner-id" => one(&on.topology.account),
        "private-dns-name" => primary
            .map(|eni| private_dns_name(eni.primary, &on.topology.region))
            .into_iter()
            .collect(),
        "private-ip-address" => primary.map(|eni| eni.primary.to_string()).into_iter().collect(),
        "subnet-id" => primary.map(|eni| eni.subnet.to_string()).into_iter().collect(),
        "vpc-id" => primary.map(|_| on.topology.vpc.clone()).into_iter().collect(),
        _ => Vec::new(),
    }
}
