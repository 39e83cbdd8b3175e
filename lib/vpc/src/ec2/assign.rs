//! AssignPrivateIpAddresses: ec2-semantics.md section 2.1.
//!
//! The order of the checks is ours, because AWS does not document it: syntax, ENI ID format, ENI
//! existence, addresses (format, subnet, reserved), ownership, limit.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::actions::{ActionContext, Effect};
use super::automatic_addresses;
use super::xml::Xml;
use super::{ApiError, Form, is_id};
use crate::model::{Eni, Subnet, VpcState};
use crate::view::HeldAs;

/// Selection to assign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    Addresses(Vec<String>),
    Count(u32),
    Prefixes(Vec<String>),
    PrefixCount(u32),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assign {
    pub(crate) eni: String,
    pub(crate) what: Selection,
    pub(crate) reassign: bool,
}

/// Parses a request.
pub(crate) fn parse(form: &Form) -> Result<Assign, ApiError> {
    let eni = form.required("NetworkInterfaceId")?.to_owned();
    let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<String>>();
    let (addresses, prefixes) = (form.list("PrivateIpAddress"), form.list("Ipv4Prefix"));
    let count = form.number("SecondaryPrivateIpAddressCount")?;
    let prefix_count = form.number("Ipv4PrefixCount")?;
    let reassign = form.flag("AllowReassignment")?;
    form.nothing_left()?;
    let given = [
        (!addresses.is_empty()).then(|| Selection::Addresses(owned(addresses))),
        count.map(Selection::Count),
        (!prefixes.is_empty()).then(|| Selection::Prefixes(owned(prefixes))),
        prefix_count.map(Selection::PrefixCount),
    ];
    let mut given = given.into_iter().flatten();
    let names = "privateIpAddressSet, secondaryPrivateIpAddressCount, ipv4Prefix, ipv4PrefixCount";
    let Some(what) = given.next() else {
        let text = format!("One of {names} must be specified");
        return Err(ApiError::new(400, "MissingParameter", text));
    };
    if given.next().is_some() {
        return Err(ApiError::combination(format!("One and only one of {names} may be specified")));
    }
    if matches!(what, Selection::Count(0) | Selection::PrefixCount(0)) {
        return Err(ApiError::value("The count must be at least 1"));
    }
    Ok(Assign { eni, what, reassign })
}

/// The addresses and prefixes that were assigned.
#[derive(Debug, Default)]
struct Assigned {
    addresses: Vec<Ipv4Addr>,
    prefixes: Vec<Ipv4Net>,
}

/// Executes a request on the current state.
pub(crate) fn execute(request: &Assign, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let eni = interface(&request.eni, on)?;
    let subnet = on.topology.subnet(&eni.subnet);
    let subnet = subnet.ok_or_else(|| ApiError::no_subnet(&eni.subnet))?;
    let mut next = (*on.vpc).clone();
    let done = match &request.what {
        Selection::Addresses(texts) => {
            named(texts, request.reassign, (eni, subnet), on, &mut next)?
        }
        Selection::Count(count) => {
            let picked = automatic_addresses::addresses(*count, (eni, subnet), on)?;
            add_secondary(&mut next, eni, &picked);
            Assigned { addresses: picked, prefixes: Vec::new() }
        }
        Selection::Prefixes(texts) => {
            prefixes(automatic_addresses::prefixes_named(texts, subnet, on)?, eni, &mut next)
        }
        Selection::PrefixCount(count) => {
            prefixes(automatic_addresses::prefixes(*count, (eni, subnet), on)?, eni, &mut next)
        }
    };
    within_limit(eni, on, &next)?;
    let changed = next.enis != on.vpc.enis;
    Ok(Effect { body: answer(&request.eni, &done, on), next: changed.then_some(next) })
}

/// The ENI that a mutating request names. A new ENI is not visible at once.
pub(super) fn interface<'a>(id: &str, on: &'a ActionContext<'_>) -> Result<&'a Eni, ApiError> {
    if !is_id("eni", id) {
        return Err(ApiError::malformed_eni(id));
    }
    let eni = on.vpc.enis.get(id).filter(|eni| eni.known_at <= on.now);
    let eni = eni.ok_or_else(|| ApiError::no_eni(id))?;
    match eni.operator() {
        Some(_) => Err(ApiError::managed(id)),
        None => Ok(eni),
    }
}

fn named(
    texts: &[String],
    reassign: bool,
    (eni, subnet): (&Eni, &Subnet),
    on: &ActionContext<'_>,
    next: &mut VpcState,
) -> Result<Assigned, ApiError> {
    let addresses = addresses(texts, subnet)?;
    ownership(&addresses, reassign, eni, on)?;
    for address in &addresses {
        let holder = next.holder(*address).map(|(holder, _)| holder.id.clone());
        if let Some(holder) = holder.filter(|holder| *holder != eni.id)
            && let Some(holder) = next.eni_mut(&holder)
        {
            holder.secondary.retain(|held| held != address);
        }
    }
    add_secondary(next, eni, &addresses);
    Ok(Assigned { addresses, prefixes: Vec::new() })
}

/// Checks format, subnet and reserved addresses.
pub(super) fn addresses(texts: &[String], subnet: &Subnet) -> Result<Vec<Ipv4Addr>, ApiError> {
    let parse = |text: &String| text.parse().map_err(|_source| ApiError::not_an_address(text));
    let addresses: Vec<Ipv4Addr> = texts.iter().map(parse).collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    for address in &addresses {
        if !subnet.cidr.contains(address) {
            return Err(ApiError::outside_subnet());
        }
        if subnet.is_reserved(*address) {
            return Err(ApiError::reserved());
        }
        if !seen.insert(*address) {
            return Err(ApiError::twice(address));
        }
    }
    Ok(addresses)
}

/// Whether each address is free, held by this ENI, or may be reassigned.
fn ownership(
    addresses: &[Ipv4Addr],
    reassign: bool,
    eni: &Eni,
    on: &ActionContext<'_>,
) -> Result<(), ApiError> {
    let mut elsewhere = Vec::new();
    for address in addresses {
        let Some((holder, held)) = on.vpc.holder(*address) else { continue };
        let own = holder.id == eni.id;
        match (held, own, reassign) {
            (HeldAs::Primary, true, _) => return Err(ApiError::own_primary(*address)),
            (HeldAs::Primary, false, true) => return Err(ApiError::primary_elsewhere()),
            (HeldAs::Secondary, true, _) => {
                if let Some(fault) = on.knobs.own_is_error {
                    on.knobs.fire(fault);
                    elsewhere.push(*address);
                }
            }
            (HeldAs::Secondary, false, true) => {}
            // A single address of a prefix cannot be reassigned (unverified).
            (HeldAs::Prefix, _, _) | (HeldAs::Primary | HeldAs::Secondary, false, false) => {
                elsewhere.push(*address);
            }
        }
    }
    if elsewhere.is_empty() {
        return Ok(());
    }
    if let Some(fault) = on.knobs.already_assigned {
        on.knobs.fire(fault);
        return Err(ApiError::already_assigned());
    }
    Err(ApiError::held_elsewhere(&elsewhere))
}

fn add_secondary(next: &mut VpcState, eni: &Eni, addresses: &[Ipv4Addr]) {
    let new: Vec<Ipv4Addr> =
        addresses.iter().filter(|address| !eni.secondary.contains(address)).copied().collect();
    if let (false, Some(eni)) = (new.is_empty(), next.eni_mut(&eni.id)) {
        eni.secondary.extend(new);
    }
}

fn prefixes(picked: Vec<Ipv4Net>, eni: &Eni, next: &mut VpcState) -> Assigned {
    if let Some(eni) = next.eni_mut(&eni.id) {
        eni.prefixes.extend(&picked);
    }
    Assigned { addresses: Vec::new(), prefixes: picked }
}

/// M13.
fn within_limit(eni: &Eni, on: &ActionContext<'_>, next: &VpcState) -> Result<(), ApiError> {
    let Some(after) = next.enis.get(&eni.id) else { return Ok(()) };
    let limit = next.slot_limit(after, &on.knobs.limits().ips);
    if after.slots() <= eni.slots() || after.slots() <= limit {
        return Ok(());
    }
    let kind = next.instance_of(after).map(|instance| instance.size.name);
    if let Some((_, fault)) = kind.and_then(|name| on.knobs.limits.get(name)) {
        on.knobs.fire(*fault);
    }
    Err(ApiError::limit())
}

fn answer(eni: &str, done: &Assigned, on: &ActionContext<'_>) -> Vec<u8> {
    let name = super::Action::Assign.name();
    let mut xml = Xml::answer(name, on.request_id);
    xml.leaf("networkInterfaceId", eni);
    xml.set("assignedPrivateIpAddressesSet", &done.addresses, |xml, address| {
        xml.leaf("privateIpAddress", address);
    });
    xml.set("assignedIpv4PrefixSet", &done.prefixes, |xml, net| {
        xml.leaf("ipv4Prefix", net);
    });
    xml.leaf("return", "true");
    xml.finish(name)
}
