//! GetSubnetCidrReservations: ec2-semantics.md section 2.12.

use ipnet::Ipv4Net;

use super::actions::{ActionContext, Effect};
use super::filters::{Filter, known, pass};
use super::pages::{Bounds, Listing, PageRequest, check_bounds};
use super::xml::Xml;
use super::{ApiError, Form};
use crate::model::Subnet;
use crate::rng::key_of;

/// The supported filters.
pub(crate) const FILTERS: [&str; 3] = ["reservationType", "subnet-id", "tag-key"];

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Reservations {
    subnet: String,
    filters: Vec<Filter>,
    page: PageRequest,
}

/// Parses a request.
pub(crate) fn parse(form: &Form) -> Result<Reservations, ApiError> {
    let subnet = form.required("SubnetId")?.to_owned();
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
    Ok(Reservations { subnet, filters, page: PageRequest { max, token } })
}

/// Executes a request. Reservations never change.
pub(crate) fn execute(request: &Reservations, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let subnet = on.topology.subnet(&request.subnet);
    let subnet = subnet.ok_or_else(|| ApiError::no_subnet(&request.subnet))?;
    let no_tags = std::collections::BTreeMap::new();
    let wanted = |_block: &Ipv4Net| pass(&request.filters, &no_tags, |name| values(name, subnet));
    let hidden = on.knobs.omitted(|name| &*subnet.id == name || subnet.name == name);
    let found: Vec<Ipv4Net> =
        subnet.reservations.iter().copied().filter(wanted).filter(|_block| !hidden).collect();
    let name = super::Action::Reservations.name();
    let fingerprint = key_of(&format!("{:?}{:?}", request.subnet, request.filters));
    let listing = Listing { rng: on.rng, action: name, fingerprint };
    let page = on.page(&listing, found, |block| id(subnet, *block, on), &request.page)?;
    let mut xml = Xml::answer(name, on.request_id);
    xml.set("subnetIpv4CidrReservationSet", page.items, |xml, block| item(xml, subnet, block, on));
    xml.set("subnetIpv6CidrReservationSet", Vec::<()>::new(), |_xml, ()| {});
    if let Some(token) = page.token {
        xml.leaf("nextToken", token);
    }
    Ok(Effect::read(xml.finish(name)))
}

fn id(subnet: &Subnet, block: Ipv4Net, on: &ActionContext<'_>) -> String {
    let number = key_of(&format!("{} {block}", subnet.id));
    format!("scr-{}", on.rng.hex17("cidr-reservation", number))
}

fn item(xml: &mut Xml, subnet: &Subnet, block: Ipv4Net, on: &ActionContext<'_>) {
    xml.leaf("subnetCidrReservationId", id(subnet, block, on))
        .leaf("subnetId", &subnet.id)
        .leaf("cidr", block)
        .leaf("reservationType", "explicit")
        .leaf("ownerId", &on.topology.account)
        .leaf("description", "");
}

/// The values of a reservation for a filter.
fn values(name: &str, subnet: &Subnet) -> Vec<String> {
    match name {
        "reservationType" => vec!["explicit".to_owned()],
        "subnet-id" => vec![subnet.id.to_string()],
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
