//! The validation rules of every registry. In Kubernetes the CRD schemas contain the same rules,
//! and the API server enforces them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::allocate::{first_free, is_assignable};
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::managed_interface::{NodeInterface, Phase};
use firecamp_core::record::{Claim, Pool, PoolSubnet, State, StaticIp};
use ipnet::Ipv4Net;

use crate::failure::failed;

/// The path of a field, and why its value is invalid.
pub type Problem = (String, String);

/// EC2 allows subnets between /16 and /28.
const CIDR_LENGTHS: std::ops::RangeInclusive<u8> = 16..=28;
/// More subnets than any region has zones and secondary blocks for.
const MAX_SUBNETS: usize = 64;
/// Ranges in one subnet.
const MAX_RANGES: usize = 256;
/// A pending mutation lives for seconds, so there are never more than a few.
const MAX_PENDING: usize = 64;
/// Kubernetes stores integers as int64.
const MAX_EPOCH: u64 = i64::MAX.unsigned_abs();

fn refuse(
    when: bool,
    field: impl Into<String>,
    problem: impl FnOnce() -> String,
) -> Result<(), Problem> {
    if when { Err((field.into(), problem())) } else { Ok(()) }
}

/// Checks a pool.
pub fn check_pool(pool: &Pool) -> Result<(), Problem> {
    let count = pool.subnets.len();
    refuse(count == 0, "spec.subnets", || "is empty: a pool needs at least one subnet".to_owned())?;
    refuse(count > MAX_SUBNETS, "spec.subnets", || {
        format!("has {count} entries, more than {MAX_SUBNETS}")
    })?;
    for (index, entry) in pool.subnets.iter().enumerate() {
        check_subnet(index, entry)?;
        for (other, before) in pool.subnets.iter().take(index).enumerate() {
            refuse(before.subnet == entry.subnet, format!("spec.subnets[{index}].subnet"), || {
                format!("{} is a duplicate of spec.subnets[{other}]", entry.subnet)
            })?;
            let overlap = overlaps(before.cidr, entry.cidr);
            refuse(overlap, format!("spec.subnets[{index}].cidr"), || {
                format!("{} overlaps {} in spec.subnets[{other}]", entry.cidr, before.cidr)
            })?;
        }
    }
    Ok(())
}

fn overlaps(one: Ipv4Net, two: Ipv4Net) -> bool {
    one.contains(&two.network()) || two.contains(&one.network())
}

fn check_subnet(index: usize, entry: &PoolSubnet) -> Result<(), Problem> {
    let PoolSubnet { subnet, cidr, zone: _, ranges } = entry;
    let field = |name: &str| format!("spec.subnets[{index}].{name}");
    check_cidr(*cidr, field("cidr"))?;
    refuse(ranges.is_empty(), field("ranges"), || "is empty: add a range".to_owned())?;
    refuse(ranges.len() > MAX_RANGES, field("ranges"), || {
        format!("has {} entries, more than {MAX_RANGES}", ranges.len())
    })?;
    for (at, (start, end)) in ranges.iter().enumerate() {
        let field = field(&format!("ranges[{at}]"));
        refuse(start > end, &field, || format!("start {start} is after end {end}: swap them"))?;
        refuse(!cidr.contains(start) || !cidr.contains(end), &field, || {
            format!("{start} to {end} is not inside {cidr}, the CIDR block of {subnet}")
        })?;
        let before = ranges.iter().take(at).position(|(s, e)| start <= e && s <= end);
        refuse(before.is_some(), &field, || {
            format!("{start} to {end} overlaps ranges[{}]", before.unwrap_or_default())
        })?;
    }
    let none = BTreeSet::new();
    refuse(first_free(entry, &none, &none).is_none(), field("ranges"), || {
        format!("contain only addresses that AWS reserves (the first four and the last of {cidr})")
    })
}

fn check_cidr(cidr: Ipv4Net, field: String) -> Result<(), Problem> {
    refuse(!CIDR_LENGTHS.contains(&cidr.prefix_len()), field, || {
        format!("{cidr} cannot be the block of an EC2 subnet: such blocks are between /16 and /28")
    })
}

/// Checks the fields of a static IP.
pub fn check_static_ip(ip: &StaticIp) -> Result<(), Problem> {
    check_cidr(ip.cidr, "spec.cidr".to_owned())?;
    refuse(!ip.cidr.contains(&ip.address), "spec.address", || {
        format!("{} is not inside {}, the CIDR block of {}", ip.address, ip.cidr, ip.subnet)
    })?;
    refuse(!is_assignable(ip.cidr, ip.address), "spec.address", || {
        format!("{} is reserved by AWS (the first four and the last of {})", ip.address, ip.cidr)
    })?;
    refuse(ip.epoch.0 > MAX_EPOCH, "spec.epoch", || {
        format!("{} is more than {MAX_EPOCH}", ip.epoch)
    })?;
    refuse(ip.pending_mutations.len() > MAX_PENDING, "spec.pendingMutations", || {
        format!("has {} entries, more than {MAX_PENDING}", ip.pending_mutations.len())
    })?;
    let Some(attachment) = &ip.attachment else { return Ok(()) };
    refuse(ip.epoch.0 == 0, "spec.epoch", || {
        "is 0 with an attachment: the first attachment has epoch 1".to_owned()
    })?;
    let wrong = match (attachment.state, &attachment.eni) {
        (State::Attaching | State::Attached | State::Parked, Some(_))
        | (State::Releasing | State::Released, None) => return Ok(()),
        (state @ (State::Attaching | State::Attached | State::Parked), None) => {
            format!("is missing: state {state:?} requires an ENI")
        }
        (state @ (State::Releasing | State::Released), Some(eni)) => {
            format!("is {eni}: state {state:?} allows no ENI")
        }
    };
    Err(("spec.attachment.eni".to_owned(), wrong))
}

/// Checks an update of a static IP: its owner and location are immutable, and its epoch never
/// decreases.
pub fn check_static_ip_change(old: &StaticIp, new: &StaticIp) -> Result<(), Problem> {
    let fixed = |same: bool, field: &str, old: &dyn ToString, new: &dyn ToString| {
        refuse(!same, field, || {
            format!("must not change from {} to {}", old.to_string(), new.to_string())
        })
    };
    fixed(old.address == new.address, "spec.address", &old.address, &new.address)?;
    fixed(old.pool == new.pool, "spec.pool", &old.pool, &new.pool)?;
    fixed(old.subnet == new.subnet, "spec.subnet", &old.subnet, &new.subnet)?;
    fixed(old.cidr == new.cidr, "spec.cidr", &old.cidr, &new.cidr)?;
    fixed(old.zone == new.zone, "spec.zone", &old.zone, &new.zone)?;
    fixed(old.member == new.member, "spec.claimRef", &old.member, &new.member)?;
    refuse(new.epoch < old.epoch, "spec.epoch", || {
        format!("must not decrease from {} to {}", old.epoch, new.epoch)
    })
}

/// Checks an update of a claim: its pool is immutable, and its requested address may change only
/// until an address is bound.
pub fn check_claim_change(old: &Claim, new: &Claim) -> Result<(), Problem> {
    refuse(old.pool != new.pool, "spec.pool", || {
        format!("must not change from {} to {}", old.pool, new.pool)
    })?;
    let (Some(requested), Some(address)) = (new.requested, new.address) else { return Ok(()) };
    let late = requested != address && old.requested != new.requested;
    refuse(late, "spec.requestedAddress", || {
        format!("cannot change to {requested}: the claim already has the address {address}")
    })
}

/// What a write may change in the record of an interface: its phase, forwards, and its ENI, once.
pub fn check_node_interface_change(
    old: &NodeInterface,
    new: &NodeInterface,
) -> Result<(), Problem> {
    let same = |record: &NodeInterface| NodeInterface {
        phase: old.phase,
        eni: None,
        excluded: old.excluded,
        ..record.clone()
    };
    refuse(same(old) != same(new), "spec", || "must not change".to_owned())?;
    let forward = match old.phase {
        Phase::Creating => true,
        Phase::Attached => new.phase != Phase::Creating,
        Phase::Draining => new.phase == Phase::Draining || new.phase == Phase::Deleting,
        Phase::Deleting => new.phase == Phase::Deleting,
    };
    refuse(!forward, "spec.phase", || {
        "an interface that is removed does not come back".to_owned()
    })?;
    refuse(old.eni.is_some() && new.eni != old.eni, "spec.eni", || {
        "must not change once it is set".to_owned()
    })?;
    refuse(new.eni.is_none() && new.phase == Phase::Attached, "spec.eni", || {
        "must be set in the phase Attached".to_owned()
    })
}

/// Whether the address is in a range of the pool.
pub fn in_ranges(pool: &Pool, address: Ipv4Addr) -> bool {
    let ranges =
        |entry: &PoolSubnet| entry.ranges.iter().any(|(s, e)| (*s..=*e).contains(&address));
    pool.subnets.iter().any(ranges)
}

/// The failure for a write that violates a rule.
pub fn refused(what: &str, (field, problem): Problem) -> RegistryFailure {
    failed(RegistryKind::Refused, format!("{what}: {field}: {problem}"))
}
