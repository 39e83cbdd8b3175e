//! DescribeSubnets: ec2-semantics.md section 2.5.

use super::actions::{ActionContext, Effect};
use super::filters::{Filter, boolean, known, pass};
use super::pages::{Bounds, Listing, PageRequest, check_bounds};
use super::xml::Xml;
use super::{ApiError, Form};
use crate::model::Subnet;
use crate::rng::key_of;

/// The supported filters.
pub(crate) const FILTERS: [&str; 10] = [
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
];

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Subnets {
    ids: Vec<String>,
    filters: Vec<Filter>,
    page: PageRequest,
}

/// Parses a request.
pub(crate) fn parse(form: &Form) -> Result<Subnets, ApiError> {
    let ids: Vec<String> = form.list("SubnetId").into_iter().map(str::to_owned).collect();
    let filters = form.filters()?;
    let max = form.number("MaxResults")?;
    let token = form.text("NextToken").map(str::to_owned);
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    known(&filters, &FILTERS)?;
    check_bounds(max, Bounds { least: 5, most: 1_000 })?;
    if dry {
        return Err(ApiError::dry_run());
    }
    Ok(Subnets { ids, filters, page: PageRequest { max, token } })
}

/// M5, according to the lagging count.
fn free(subnet: &Subnet, on: &ActionContext<'_>) -> u64 {
    let size = 1_u64 << (32 - u32::from(subnet.cidr.prefix_len()));
    size.saturating_sub(5).saturating_sub(on.counts.used_in(&subnet.id))
}

/// Executes a request on the caller's view.
pub(crate) fn execute(request: &Subnets, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    if let Some(unknown) = request.ids.iter().find(|id| on.topology.subnet(id).is_none()) {
        return Err(ApiError::no_subnet(unknown));
    }
    let found: Vec<&Subnet> = on
        .topology
        .subnets
        .iter()
        .filter(|s| request.ids.is_empty() || request.ids.iter().any(|id| **id == *s.id))
        .filter(|subnet| pass(&request.filters, &subnet.tags, |name| values(name, subnet, on)))
        .filter(|subnet| !on.knobs.omitted(|name| &*subnet.id == name || subnet.name == name))
        .collect();
    let name = super::Action::Subnets.name();
    let fingerprint = key_of(&format!("{:?}{:?}", request.ids, request.filters));
    let listing = Listing { rng: on.rng, action: name, fingerprint };
    let page = on.page(&listing, found, |s| s.id.to_string(), &request.page)?;
    let mut xml = Xml::answer(name, on.request_id);
    xml.set("subnetSet", page.items, |xml, subnet| item(xml, subnet, on));
    if let Some(token) = page.token {
        xml.leaf("nextToken", token);
    }
    Ok(Effect::read(xml.finish(name)))
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

#[cfg(test)]
mod tests {
    use super::FILTERS;

    #[test]
    fn the_table_of_filters_is_in_order() {
        assert!(FILTERS.is_sorted());
    }
}
