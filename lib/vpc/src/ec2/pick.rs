//! Addresses and prefixes that EC2 chooses itself.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::ApiError;
use super::actions::Reading;
use crate::faults::FullForm;
use crate::model::{Eni, Subnet, all_of};

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A fault says that the subnet is full.
fn declared_full(subnet: &Subnet, on: &Reading<'_>) -> Option<ApiError> {
    let (_, form, fault) = on.knobs.full.iter().find(|(id, _, _)| *id == subnet.id)?;
    on.knobs.fire(*fault);
    Some(match form {
        FullForm::Code => ApiError::subnet_full(),
        FullForm::Value => ApiError::subnet_full_as_value(),
    })
}

fn above_limit(count: u32, eni: &Eni, on: &Reading<'_>) -> bool {
    let limit = on.ledger.slot_limit(eni, &on.knobs.limits().ips);
    eni.slots().saturating_add(size(count)) > limit
}

/// Free addresses, from anywhere in the subnet but its explicit reservations.
pub(super) fn addresses(
    count: u32,
    (eni, subnet): (&Eni, &Subnet),
    on: &Reading<'_>,
) -> Result<Vec<Ipv4Addr>, ApiError> {
    if let Some(error) = declared_full(subnet, on) {
        return Err(error);
    }
    if above_limit(count, eni, on) {
        return Err(ApiError::limit());
    }
    free(count, (subnet, &[]), on)
}

/// So many free addresses of a subnet, none of them one that is spoken for.
pub(super) fn free(
    count: u32,
    (subnet, spoken_for): (&Subnet, &[Ipv4Addr]),
    on: &Reading<'_>,
) -> Result<Vec<Ipv4Addr>, ApiError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if let Some(error) = declared_full(subnet, on) {
        return Err(error);
    }
    let mut free = on.ledger.free_in(subnet);
    free.retain(|address| !spoken_for.contains(address));
    if free.len() < size(count) {
        return Err(ApiError::subnet_full());
    }
    let length = u64::try_from(free.len()).unwrap_or(1);
    let start = on.chance.below(length, "pick", on.call, 0);
    let start = usize::try_from(start).unwrap_or(0);
    Ok(free.iter().cycle().skip(start).take(size(count)).copied().collect())
}

/// Whole free /28 blocks.
pub(super) fn prefixes(
    count: u32,
    (eni, subnet): (&Eni, &Subnet),
    on: &Reading<'_>,
) -> Result<Vec<Ipv4Net>, ApiError> {
    if let Some(error) = declared_full(subnet, on) {
        return Err(error);
    }
    if above_limit(count, eni, on) {
        return Err(ApiError::limit());
    }
    let free = on.ledger.free_prefixes_in(subnet);
    if free.len() < size(count) {
        return Err(ApiError::no_free_block());
    }
    Ok(free.into_iter().take(size(count)).collect())
}

/// /28 blocks that the caller names.
pub(super) fn prefixes_named(
    texts: &[String],
    subnet: &Subnet,
    on: &Reading<'_>,
) -> Result<Vec<Ipv4Net>, ApiError> {
    let mut nets = BTreeSet::new();
    for text in texts {
        let net: Ipv4Net = text.parse().map_err(|_source| ApiError::bad_prefix(text))?;
        let whole = net.prefix_len() == 28 && net.trunc() == net && subnet.cidr.contains(&net);
        if !whole || all_of(net).any(|address| subnet.is_reserved(address)) {
            return Err(ApiError::bad_prefix(text));
        }
        if all_of(net).any(|address| on.ledger.holder(address).is_some()) {
            return Err(ApiError::no_free_block());
        }
        if !nets.insert(net) {
            return Err(ApiError::twice(net));
        }
    }
    Ok(nets.into_iter().collect())
}
