//! Policy routing for addresses on secondary ENIs.
//!
//! Without it, replies leave through the primary ENI and EC2's source check drops them. Routes are
//! added before the rule and removed after it, so that no packet sees an incomplete setup.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::contract::kernel::{MAIN_TABLE, TABLE_BASE, TABLE_MAX};
use firecamp_core::ports::{KernelTarget, Routing};

use crate::eni_links;
use crate::error::{HostError, NetlinkError};
use crate::kernel::link::{self, Link};
use crate::kernel::route::{self, Installed, Route};
use crate::kernel::rp_filter_and_arp::{self, Filters};
use crate::kernel::rule::{self, OurRule};
use crate::kernel::{address, failed};
use crate::netlink::Netlink;

/// Sets the link up if it is down. A secondary link that is down and has no address is not
/// configured (EKS leaves later ENIs so): only then its MTU is raised to that of the link with the
/// node's default route, as DHCP would do. Returns false if it was up.
pub(crate) async fn bring_up(
    netlink: &mut Netlink,
    links: &[Link],
    eni: &Link,
    target: &KernelTarget,
) -> Result<bool, HostError> {
    if eni.up {
        return Ok(false);
    }
    let addresses = address::list(netlink).await?;
    let bare = addresses.iter().all(|one| one.link != eni.index || one.is(target.address));
    let mtu = if bare && target.routing.is_some() {
        eni_links::example_mtu(netlink, links, eni).await?
    } else {
        None
    };
    link::bring_up(netlink, eni, mtu).await?;
    Ok(true)
}

/// Ensures settings, routes and rule. Returns whether it changed anything.
pub(crate) async fn ensure(
    netlink: &mut Netlink,
    eni: &Link,
    address: Ipv4Addr,
    routing: &Routing,
) -> Result<bool, HostError> {
    let mut changed = settings(netlink, eni, routing).await?;
    let wanted = routes(eni.index, routing);
    let present = route::list(netlink).await?;
    for route in &wanted {
        changed |= route::ensure(netlink, &present, route).await?;
    }
    let rule = OurRule::wanted(address, routing.table);
    let rules = rule::ours(netlink).await?;
    if !rules.contains(&rule) {
        changed |= rule::add(netlink, rule).await?;
    }
    let stale = |one: &&OurRule| one.source == Some(address) && one.to.is_none() && **one != rule;
    for stale in rules.iter().filter(stale) {
        changed |= rule::remove(netlink, *stale).await?;
    }
    // Only this ENI uses the table: other FireCamp routes in it are left from an old gateway.
    let left = |one: &&Installed| {
        one.ours && one.route.table == routing.table && !wanted.contains(&one.route)
    };
    let present = route::list(netlink).await?;
    for stale in present.iter().filter(left) {
        changed |= route::remove(netlink, &stale.route).await?;
    }
    Ok(changed)
}

/// Removes FireCamp's rules for exactly this address, and its routes in tables of ENIs that none of
/// its rules looks up, including those that an interrupted removal left.
pub(crate) async fn remove(netlink: &mut Netlink, address: Ipv4Addr) -> Result<bool, HostError> {
    let mut changed = false;
    let mut tables = BTreeSet::new();
    for mine in rule::ours(netlink).await?.iter().filter(|one| one.subject() == Some(address)) {
        changed |= rule::remove(netlink, *mine).await?;
        tables.insert(mine.table);
    }
    let used: BTreeSet<u32> = rule::ours(netlink).await?.iter().map(|one| one.table).collect();
    let present = route::list(netlink).await?;
    for one in present.iter().filter(|one| one.ours) {
        let table = one.route.table;
        let enis = tables.contains(&table) || (TABLE_BASE..=TABLE_MAX).contains(&table);
        // Routes to pods are in the main table.
        let private = enis && table != MAIN_TABLE;
        if private && !used.contains(&table) {
            changed |= route::remove(netlink, &one.route).await?;
        }
    }
    Ok(changed)
}

/// The routes of an ENI's table.
pub(crate) fn routes(eni: u32, routing: &Routing) -> [Route; 2] {
    let Routing { table, gateway, .. } = *routing;
    [Route::to_gateway(table, gateway, eni), Route::default_via(table, gateway, eni)]
}

/// Sets reverse-path filtering to loose if it is strict. If another link of the node is in the same
/// subnet, this link answers ARP requests only for its own addresses and uses them as source; the
/// settings of the other link stay.
async fn settings(netlink: &mut Netlink, eni: &Link, routing: &Routing) -> Result<bool, HostError> {
    let mut changed = false;
    if Filters::read(netlink).await?.strict(eni.index) {
        let set = link::set_conf(
            netlink,
            eni.index,
            rp_filter_and_arp::RP_FILTER,
            rp_filter_and_arp::LOOSE,
        )
        .await;
        set.map_err(|source| strict(eni, source))?;
        if Filters::read(netlink).await?.strict(eni.index) {
            return Err(strict(eni, NetlinkError::Incomplete));
        }
        changed = true;
    }
    let addresses = address::list(netlink).await?;
    let shared =
        addresses.iter().any(|one| one.link != eni.index && routing.subnet.contains(&one.local));
    if shared {
        for (setting, value) in
            [(rp_filter_and_arp::ARP_IGNORE, 1), (rp_filter_and_arp::ARP_ANNOUNCE, 2)]
        {
            if eni.conf(setting) < value {
                let set = link::set_conf(netlink, eni.index, setting, value).await;
                set.map_err(failed("set ARP behaviour of link", &eni.name))?;
                changed = true;
            }
        }
    }
    Ok(changed)
}

fn strict(eni: &Link, source: NetlinkError) -> HostError {
    HostError::StrictFilter { link: eni.name.clone(), source }
}
