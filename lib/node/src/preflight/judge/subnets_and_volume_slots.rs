//! Checks of the pools' subnets and of the instance's volume slots.

use std::net::Ipv4Addr;

use firecamp_core::node_identity::VolumeLimit;

use crate::preflight::condition::Condition;
use crate::preflight::facts::{Fact, Facts, Range, Reservation};
use crate::preflight::reason::{Kind, Reason};

/// Reports the first range of a pool that is not fully covered. None without a pool or without
/// queries to EC2.
pub(super) fn reserved(facts: &Facts) -> Option<Condition> {
    let report = |reason, found: String| Some(Condition::new(Kind::RangesReserved, reason, found));
    let pools = facts.purpose.subnets.as_ref().filter(|pools| !pools.is_empty())?;
    if facts.reservations.is_empty() {
        return None;
    }
    for (subnet, ranges) in pools {
        let all = match facts.reservations.get(subnet) {
            Some(Fact::Known(all)) => all,
            Some(Fact::Failed(failure)) => return report(Reason::Unknown, failure.to_string()),
            Some(Fact::NotChecked) | None => {
                return report(
                    Reason::NotChecked,
                    format!("the reservations of {subnet} were not read"),
                );
            }
        };
        let gap = ranges.iter().find_map(|range| Some((*range, gap(*range, all)?)));
        if let Some(((first, last), (from, to))) = gap {
            let found = format!(
                "In {subnet} no explicit reservation covers {from} to {to} of the range {first} to \
                 {last}{}",
                prefixes((from, to), all)
            );
            return report(Reason::NotReserved, found);
        }
    }
    let names: Vec<String> = pools.keys().map(ToString::to_string).collect();
    report(Reason::Reserved, format!("All ranges in {} are reserved", names.join(", ")))
}

/// The first addresses of a range that no explicit reservation covers.
fn gap((first, last): Range, all: &[Reservation]) -> Option<Range> {
    let explicit = || all.iter().filter(|one| one.explicit).map(|one| one.block);
    let mut from = first;
    while let Some(block) = explicit().find(|block| block.contains(&from)) {
        let next = u32::from(block.broadcast()).checked_add(1).map(Ipv4Addr::from);
        from = next.filter(|next| *next <= last)?;
    }
    let next = explicit().map(|block| block.network()).filter(|start| *start > from).min();
    let before = |start: Ipv4Addr| Ipv4Addr::from(u32::from(start).saturating_sub(1));
    Some((from, next.map_or(last, |start| before(start).min(last))))
}

fn prefixes((from, to): Range, all: &[Reservation]) -> String {
    let over = |one: &&Reservation| {
        !one.explicit && one.block.network() <= to && from <= one.block.broadcast()
    };
    let block = all.iter().find(over).map(|one| one.block);
    block.map_or_else(String::new, |block| format!("; the reservation {block} is for prefixes"))
}

/// None without queries to EC2, and where EC2 reports no limit.
pub(super) fn slots(facts: &Facts) -> Option<Condition> {
    let report =
        |reason, found: String| Some(Condition::new(Kind::VolumeSlotsCounted, reason, found));
    let (limits, volumes) = match (&facts.limits, &facts.volumes) {
        (Fact::Known(limits), Fact::Known(volumes)) => (limits, *volumes),
        (Fact::NotChecked, _) | (_, Fact::NotChecked) => return None,
        (Fact::Failed(failure), _) | (_, Fact::Failed(failure)) => {
            return report(Reason::Unknown, failure.to_string());
        }
    };
    let VolumeLimit { count, shared } = limits.volumes?;
    let interfaces = facts.interfaces.known().map(Vec::len);
    let listed = || facts.identity.known().map_or(0, |identity| identity.enis.len());
    let enis = u32::try_from(interfaces.unwrap_or_else(listed)).unwrap_or(u32::MAX);
    let taken = if shared { enis } else { 0 };
    let for_volumes = count.saturating_sub(taken);
    let free = for_volumes.saturating_sub(volumes.count);
    let with =
        if shared { format!(", which its {enis} network interfaces share") } else { String::new() };
    let found = format!(
        "{} has {count} slots{with}; {} volumes are attached and {free} more fit",
        limits.name, volumes.count
    );
    let for_driver = for_volumes.saturating_sub(volumes.of_others());
    match facts.in_cluster.offered.known() {
        Some(Some(offered)) if *offered > for_driver => {
            // On a new node, the driver starts and counts while only the primary interface exists.
            let reserved = volumes.of_others().saturating_add(taken.saturating_sub(1));
            let found = format!(
                "{found}; the EBS CSI driver reports {offered}, but only {for_driver} fit. With \
                 node.reservedVolumeAttachments={reserved} it reports no more than fit"
            );
            report(Reason::SlotsOvercounted, found)
        }
        _ if free == 0 => report(Reason::SlotsExhausted, found),
        Some(_) | None => report(Reason::SlotsAvailable, found),
    }
}
