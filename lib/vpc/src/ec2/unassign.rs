//! UnassignPrivateIpAddresses: ec2-semantics.md section 2.2.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::actions::{ActionContext, Effect};
use super::assign::interface;
use super::xml::Xml;
use super::{ApiError, Form};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unassign {
    pub(crate) eni: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) prefixes: Vec<String>,
}

/// Parses a request.
pub(crate) fn parse(form: &Form) -> Result<Unassign, ApiError> {
    let eni = form.required("NetworkInterfaceId")?.to_owned();
    let owned = |name: &str| form.list(name).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let (addresses, prefixes) = (owned("PrivateIpAddress"), owned("Ipv4Prefix"));
    form.nothing_left()?;
    match (addresses.is_empty(), prefixes.is_empty()) {
        (true, true) => Err(ApiError::missing_addresses()),
        (false, false) => Err(ApiError::combination(
            "One and only one of privateIpAddressSet, ipv4Prefix may be specified",
        )),
        (true, false) | (false, true) => Ok(Unassign { eni, addresses, prefixes }),
    }
}

/// Executes a request on the current state: all addresses or none.
pub(crate) fn execute(request: &Unassign, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let eni = interface(&request.eni, on)?;
    let parse = |text: &String| text.parse().map_err(|_source| ApiError::not_an_address(text));
    let addresses: Vec<Ipv4Addr> = request.addresses.iter().map(parse).collect::<Result<_, _>>()?;
    let parse = |text: &String| text.parse().map_err(|_source| ApiError::bad_prefix(text));
    let prefixes: Vec<Ipv4Net> = request.prefixes.iter().map(parse).collect::<Result<_, _>>()?;
    if addresses.contains(&eni.primary) {
        return Err(ApiError::unassign_primary());
    }
    let here = addresses.iter().all(|address| eni.secondary.contains(address))
        && prefixes.iter().all(|net| eni.prefixes.contains(net));
    if !here {
        return Err(ApiError::not_assigned(&request.eni));
    }
    let mut next = (*on.vpc).clone();
    if let Some(eni) = next.eni_mut(&eni.id) {
        eni.secondary.retain(|address| !addresses.contains(address));
        eni.prefixes.retain(|net| !prefixes.contains(net));
    }
    let body = Xml::done(super::Action::Unassign.name(), on.request_id);
    Ok(Effect { body, next: Some(next) })
}
