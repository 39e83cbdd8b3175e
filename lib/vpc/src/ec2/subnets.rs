//! DescribeSubnets: ec2-semantics.md section 2.5.

use super::ApiError;
use super::actions::{Action, ActionContext, Effect};
use super::describe::{Describe, DescribeRequest};
use super::filters::{boolean, pass};
use super::xml::Xml;
use crate::model::Subnet;

/// The action.
pub(super) const DESCRIBE: Describe = Describe {
    action: Action::Subnets,
    ids: Some("SubnetId"),
    ids_without_pages: None,
    filters: &[
        "availability-zone",
        "availability-zone-id",
        "available-ip-address-count",
        "cidr-block",
        "default-for-az",
        "owner-id",
        "state",
        "subnet-id",
        "tag-key",
        "vpc-id",
    ],
    tags: true,
    most: 1_000,
    managed: false,
    set: "subnetSet",
    empty_set: None,
};

/// M5, according to the lagging count.
fn free(subnet: &Subnet, on: &ActionContext<'_>) -> u64 {
    let size = 1_u64 << (32 - u32::from(subnet.cidr.prefix_len()));
    size.saturating_sub(5).saturating_sub(on.counts.used_in(&subnet.id))
}

/// Executes a request on the caller's view.
pub(crate) fn execute(
    request: &DescribeRequest,
    on: &ActionContext<'_>,
) -> Result<Effect, ApiError> {
    if let Some(unknown) = request.ids.iter().find(|id| on.topology.subnet(id).is_none()) {
        return Err(ApiError::no_subnet(unknown));
    }
    let found: Vec<&Subnet> = on
        .topology
        .subnets
        .iter()
        .filter(|s| request.names(&s.id))
        .filter(|subnet| pass(&request.filters, &subnet.tags, |name| values(name, subnet, on)))
        .filter(|subnet| !on.knobs.omitted(|name| &*subnet.id == name || subnet.name == name))
        .collect();
    let page = DESCRIBE.page(request, on, found, |s| s.id.to_string())?;
    Ok(DESCRIBE.answer(on, page, |xml, subnet| item(xml, subnet, on)))
}

fn item(xml: &mut Xml, subnet: &Subnet, on: &ActionContext<'_>) {
    let (region, account) = (&on.topology.region, &on.topology.account);
    xml.leaf("subnetId", &subnet.id)
        .leaf("subnetArn", format!("arn:aws:ec2:{region}:{account}:subnet/{}", subnet.id))
        .leaf("state", "available")
        .leaf("ownerId", account)
        .leaf("vpcId", &on.topology.vpc)
        .leaf("cidrBlock", subnet.cidr)
        .leaf("availableIpAddressCount", free(subnet, on))
        .leaf("availabilityZone", &subnet.zone)
        .leaf("availabilityZoneId", &subnet.zone_id)
        .leaf("defaultForAz", false)
        .leaf("mapPublicIpOnLaunch", false)
        .leaf("ipv6Native", false)
        .tags(&subnet.tags);
}

/// The values of a subnet for a filter.
fn values(name: &str, subnet: &Subnet, on: &ActionContext<'_>) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match name {
        "availability-zone" => one(&subnet.zone),
        "availability-zone-id" => one(&subnet.zone_id),
        "available-ip-address-count" => one(&free(subnet, on).to_string()),
        "cidr-block" => one(&subnet.cidr.to_string()),
        "default-for-az" => boolean(false),
        "owner-id" => one(&on.topology.account),
        "state" => one("available"),
        "subnet-id" => one(&subnet.id),
        "vpc-id" => one(&on.topology.vpc),
        _ => Vec::new(),
    }
}
