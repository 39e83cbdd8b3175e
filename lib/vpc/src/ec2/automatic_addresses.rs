//! Addresses and prefixes that EC2 selects automatically.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::ApiError;
use super::actions::ActionContext;
use crate::faults::FullForm;
use crate::model::{Eni, Subnet, all_of};

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The error if a fault declares the subnet full.
fn declared_full(subnet: &Subnet, on: &ActionContext<'_>) -> Option<ApiError> {
    let (_, form, fault) = on.knobs.full.iter().find(|(id, _, _)| *id == subnet.id)?;
    on.knobs.fire(*fault);
    Some(match form {
        FullForm::Code => ApiError::subnet_full(),
        FullForm::Value => ApiError::subnet_full_as_value(),
    })
}

fn above_limit(count: u32, eni: &Eni, on: &ActionContext<'_>) -> bool {
    let limit = on.vpc.slot_limit(eni, &on.knobs.limits().ips);
    eni.slots().saturating_add(size(count)) > limit
}

/// Free addresses from anywhere in the subnet outside its explicit reservations.
pub(super) fn addresses(
    count: u32,
    (eni, subnet): (&Eni, &Subnet),
    on: &ActionContext<'_>,
) -> Result<Vec<Ipv4Addr>, ApiError> {
    if let Some(error) = declared_full(subnet, on) {
        return Err(error);
    }
    if above_limit(count, eni, on) {
        return Err(ApiError::limit());
    }
    free(count, (subnet, &[]), on)
}

/// This many free addresses of a subnet, without those in `taken`.
pub(super) fn free(
    count: u32,
    (subnet, taken): (&Subnet, &[Ipv4Addr]),
    on: &ActionContext<'_>,
) -> Result<Vec<Ipv4Addr>, ApiError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if let Some(error) = declared_full(subnet, on) {
        return Err(error);
    }
    let mut free = on.vpc.free_in(subnet);
    free.retain(|address| !taken.contains(address));
    if free.len() < size(count) {
        return Err(ApiError::subnet_full());
    }
    let length = u64::try_from(free.len()).unwrap_or(1);
    let start = on.rng.below(length, "pick", on.call, 0);
    let start = usize::try_from(start).unwrap_or(0);
    Ok(free.iter().cycle().skip(start).take(size(count)).copied().collect())
}

/// Free /28 blocks.
pub(super) fn prefixes(
    count: u32,
    (eni, subnet): (&Eni, &Subnet),
    on: &ActionContext<'_>,
) -> Result<Vec<Ipv4Net>, ApiError> {
    if let Some(error) = declared_full(subnet, on) {
        return Err(error);
    }
    if above_limit(count, eni, on) {
        return Err(ApiError::limit());
    }
    let free = on.vpc.free_prefixes_in(subnet);
    if free.len() < size(count) {
        return Err(ApiError::no_free_block());
    }
    Ok(free.into_iter().take(size(count)).collect())
}

/// /28 blocks that the caller names.
pub(super) fn prefixes_named(
    texts: &[String],
    subnet: &Subnet,
    on: &ActionContext<'_>,
) -> Result<Vec<Ipv4Net>, ApiError> {
    let mut nets = BTreeSet::new();
    for text in texts {
        let net: Ipv4Net = text.parse().map_err(|_source| ApiError::bad_prefix(text))?;
        let whole = net.prefix_len() == 28 && net.trunc() == net && subnet.cidr.contains(&net);
        if !whole || all_of(net).any(|address| subnet.is_reserved(address)) {
            return Err(ApiError::bad_prefix(text));
        }
        if all_of(net).any(|address| on.vpc.holder(address).is_some()) {
            return Err(ApiError::no_free_block());
        }
        if !nets.insert(net) {
            return Err(ApiError::twice(net));
        }
    }
    Ok(nets.into_iter().collect())
}
