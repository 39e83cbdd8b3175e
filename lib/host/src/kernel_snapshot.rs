//! A snapshot of FireCamp's addresses in the kernel, of addresses that others configured, and of
//! the locks.

use std::net::Ipv4Addr;
use std::path::Path;

use firecamp_core::agent::KernelOwner;
use firecamp_node::kernel::KernelSnapshot;

use crate::error::HostError;
use crate::kernel::address::{self, Assigned};
use crate::kernel::rule::{self, OurRule};
use crate::lock::Locks;
use crate::netlink::Netlink;

pub(crate) async fn take(
    netlink: &mut Netlink,
    locks: &Locks,
    is_ours: impl Fn(&Assigned, &crate::lock::record::Recorded) -> bool,
) -> Result<KernelSnapshot, HostError> {
    let mut kernel_snapshot = KernelSnapshot::default();
    let recorded = locks.all()?;
    let nothing = crate::lock::record::Recorded::Nothing;
    let mut assigned = address::list(netlink).await?;
    // A kernel that keeps no tags shows the endpoint's address without one.
    assigned.retain(|one| !one.is_own() && !one.local.is_link_local());
    for one in assigned.iter().filter(|one| one.prefix == 32) {
        let ours = is_ours(one, recorded.get(&one.local).unwrap_or(&nothing));
        let mark = if ours { KernelOwner::Ours } else { KernelOwner::Foreign };
        kernel_snapshot
            .kernel
            .entry(one.local)
            .and_modify(|had| *had = mark.min(*had))
            .or_insert(mark);
    }
    let wider = assigned.iter().filter(|one| one.prefix != 32);
    kernel_snapshot.wider = wider.map(|one| one.local).collect();
    for source in rule::ours(netlink).await?.into_iter().filter_map(OurRule::subject) {
        kernel_snapshot.kernel.insert(source, KernelOwner::Ours);
    }
    let records = recorded.iter();
    let torn = recorded.iter().filter(|(_, one)| one.is_unreadable());
    kernel_snapshot.torn = torn.map(|(at, _)| *at).collect();
    kernel_snapshot.locks =
        records.filter_map(|(at, one)| one.last().map(|last| (*at, last))).collect();
    Ok(kernel_snapshot)
}

/// The addresses with a lock file in this directory; none if it does not exist.
pub(crate) fn addresses(dir: &Path) -> std::io::Result<Vec<Ipv4Addr>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        // Ignore files whose name is not an address.
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<Ipv4Addr>().ok()));
    }
    Ok(found)
}
