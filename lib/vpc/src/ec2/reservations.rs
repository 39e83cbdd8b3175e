//! GetSubnetCidrReservations, CreateSubnetCidrReservation, DeleteSubnetCidrReservation:
//! ec2-semantics.md section 2.12.

use std::sync::Arc;

use ipnet::Ipv4Net;

use super::actions::{Action, ActionContext, Effect};
use super::describe::{Describe, DescribeRequest};
use super::filters::pass;
use super::xml::Xml;
use super::{ApiError, Form};
use crate::model::{Reservation, Subnet};

/// The action.
pub(super) const DESCRIBE: Describe = Describe {
    action: Action::Reservations,
    ids: None,
    ids_without_pages: None,
    filters: &["reservationType", "subnet-id", "tag-key"],
    tags: true,
    most: 1_000,
    managed: false,
    set: "subnetIpv4CidrReservationSet",
    empty_set: Some("subnetIpv6CidrReservationSet"),
};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Reservations {
    subnet: String,
    rest: DescribeRequest,
}

/// Parses a request.
pub(crate) fn parse(form: &Form) -> Result<Reservations, ApiError> {
    let subnet = form.required("SubnetId")?.to_owned();
    Ok(Reservations { subnet, rest: DESCRIBE.parse(form)? })
}

/// A request to create a reservation of the type `explicit`.
#[derive(Debug, Clone)]
pub(crate) struct Reserve {
    subnet: String,
    block: Ipv4Net,
    dry: bool,
}

/// Parses a request to create one. Tags and a description are refused.
pub(crate) fn parse_create(form: &Form) -> Result<Reserve, ApiError> {
    let subnet = form.required("SubnetId")?.to_owned();
    let text = form.required("Cidr")?;
    let kind = form.required("ReservationType")?;
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    if kind != "explicit" {
        return Err(ApiError::value(format!("{kind}: only explicit reservations are served here")));
    }
    let block: Ipv4Net =
        text.parse().map_err(|_source| ApiError::value(format!("Invalid CIDR block: {text}")))?;
    if block.trunc() != block {
        return Err(ApiError::value(format!("{text} is not the start of a CIDR block")));
    }
    Ok(Reserve { subnet, block, dry })
}

/// Creates a reservation in the subnet, which may contain addresses in use. Codes and texts of
/// refusals are unverified.
pub(crate) fn create(request: &Reserve, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let (subnet, block) = (on.topology.subnet(&request.subnet), request.block);
    let subnet = subnet.ok_or_else(|| ApiError::no_subnet(&request.subnet))?;
    if !subnet.cidr.contains(&block) {
        return Err(ApiError::value(format!("{block} is not in {}", subnet.cidr)));
    }
    let overlaps = |other: &Ipv4Net| other.contains(&block) || block.contains(other);
    if let Some(other) = on.vpc.reservations(subnet).map(|one| one.block).find(overlaps) {
        return Err(ApiError::value(format!("{block} overlaps the reservation {other}")));
    }
    if request.dry {
        return Err(ApiError::dry_run());
    }
    let mut next = (*on.vpc).clone();
    let made = Reservation::new(on.rng, &subnet.id, block, on.call);
    Arc::make_mut(&mut next.reserved).push(made.clone());
    let name = Action::Reserve.name();
    let mut xml = Xml::answer(name, on.request_id);
    xml.node("subnetCidrReservation", |xml| item(xml, &made, on));
    Ok(Effect { body: xml.finish(name), next: Some(next) })
}

/// A request to delete a reservation.
#[derive(Debug, Clone)]
pub(crate) struct Unreserve {
    id: String,
    dry: bool,
}

/// Parses a request to delete one.
pub(crate) fn parse_delete(form: &Form) -> Result<Unreserve, ApiError> {
    let id = form.required("SubnetCidrReservationId")?.to_owned();
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    Ok(Unreserve { id, dry })
}

/// Deletes a reservation. Addresses in use stay.
pub(crate) fn delete(request: &Unreserve, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let found = on.vpc.reserved.iter().find(|one| *one.id == *request.id);
    let found = found.ok_or_else(|| ApiError::no_reservation(&request.id))?;
    if request.dry {
        return Err(ApiError::dry_run());
    }
    let mut next = (*on.vpc).clone();
    Arc::make_mut(&mut next.reserved).retain(|one| one != found);
    let name = Action::Unreserve.name();
    let mut xml = Xml::answer(name, on.request_id);
    xml.node("deletedSubnetCidrReservation", |xml| item(xml, found, on));
    Ok(Effect { body: xml.finish(name), next: Some(next) })
}

/// Executes a request on the caller's view.
pub(crate) fn execute(request: &Reservations, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let subnet = on.topology.subnet(&request.subnet);
    let subnet = subnet.ok_or_else(|| ApiError::no_subnet(&request.subnet))?;
    let no_tags = std::collections::BTreeMap::new();
    let wanted =
        |_: &&Reservation| pass(&request.rest.filters, &no_tags, |name| values(name, subnet));
    let hidden = on.knobs.omitted(|name| &*subnet.id == name || subnet.name == name);
    let found: Vec<&Reservation> =
        on.vpc.reservations(subnet).filter(wanted).filter(|_| !hidden).collect();
    let page = DESCRIBE.page(&request.rest, on, found, |one| one.id.to_string())?;
    Ok(DESCRIBE.answer(on, page, |xml, one| item(xml, one, on)))
}

fn item(xml: &mut Xml, one: &Reservation, on: &ActionContext<'_>) {
    xml.leaf("subnetCidrReservationId", &one.id)
        .leaf("subnetId", &one.subnet)
        .leaf("cidr", one.block)
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
