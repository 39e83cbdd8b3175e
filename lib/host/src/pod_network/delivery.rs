//! The node's part for an address in a pod's own network: how packets reach the pod, and which of
//! its packets do not leave through the ENI.

use std::net::Ipv4Addr;

use firecamp_core::ids::Mac;
use ipnet::Ipv4Net;

use crate::error::HostError;
use crate::kernel::link::{self, Link};
use crate::kernel::neighbour::{self, Neighbour};
use crate::kernel::route::{self, Installed, Route};
use crate::kernel::rule::{self, OurRule};
use crate::netlink::Netlink;

/// What the node has.
pub(crate) struct NodeTables {
    pub(super) links: Vec<Link>,
    routes: Vec<Installed>,
    rules: Vec<OurRule>,
    neighbours: Vec<Neighbour>,
}

impl NodeTables {
    pub(super) async fn read(netlink: &mut Netlink) -> Result<Self, HostError> {
        Ok(Self {
            links: link::list(netlink).await?,
            routes: route::list(netlink).await?,
            rules: rule::ours(netlink).await?,
            neighbours: neighbour::ours(netlink).await?,
        })
    }
}

/// Whether packets of the address are led to a pod.
pub(super) async fn reaches_a_pod(
    netlink: &mut Netlink,
    address: Ipv4Addr,
) -> Result<bool, HostError> {
    let routes = route::list(netlink).await?;
    Ok(routes.iter().any(|one| one.ours && one.route.is_delivery(address)))
}

/// What the node needs.
pub(super) struct Delivery {
    address: Ipv4Addr,
    route: Route,
    neighbour: Neighbour,
    rules: Vec<OurRule>,
}

impl Delivery {
    /// Over the node's link to the pod with this MAC. The next hop is never the pod's own address,
    /// which the next pod may get.
    pub(super) fn new(address: Ipv4Addr, (link, mac): (u32, Mac), ranges: &[Ipv4Net]) -> Self {
        let inside = ranges.iter().map(|range| OurRule::inside(address, *range));
        Self {
            address,
            route: Route::delivery(address, link),
            neighbour: Neighbour { link, address, mac },
            rules: [OurRule::delivery(address)].into_iter().chain(inside).collect(),
        }
    }

    /// Whether everything is there, and nothing of an earlier configuration.
    pub(super) fn is_complete(&self, node: &NodeTables) -> bool {
        self.rules.iter().all(|wanted| node.rules.contains(wanted))
            && self.surplus(&node.rules).next().is_none()
            && node.routes.iter().any(|one| one.route == self.route)
            && node.neighbours.contains(&self.neighbour)
    }

    fn surplus<'a>(&'a self, rules: &'a [OurRule]) -> impl Iterator<Item = &'a OurRule> {
        let of_pod = |one: &&OurRule| one.is_for_pod(self.address);
        rules.iter().filter(of_pod).filter(|one| !self.rules.contains(one))
    }

    /// Adds what is missing. The route moves from a predecessor's link to this one in one step.
    pub(super) async fn ensure(&self, netlink: &mut Netlink) -> Result<bool, HostError> {
        let NodeTables { routes, rules, neighbours, .. } = NodeTables::read(netlink).await?;
        let mut changed = false;
        if !neighbours.contains(&self.neighbour) {
            neighbour::set(netlink, self.neighbour).await?;
            changed = true;
        }
        for missing in self.rules.iter().filter(|wanted| !rules.contains(wanted)) {
            changed |= rule::add(netlink, *missing).await?;
        }
        for surplus in self.surplus(&rules) {
            changed |= rule::remove(netlink, *surplus).await?;
        }
        changed |= route::ensure(netlink, &routes, &self.route).await?;
        for stale in neighbours {
            if stale.address == self.address && stale.link != self.neighbour.link {
                changed |= neighbour::remove(netlink, stale).await?;
            }
        }
        Ok(changed)
    }
}

/// Removes the route: nothing reaches the pod any more. Returns whether it changed anything.
pub(super) async fn stop(netlink: &mut Netlink, address: Ipv4Addr) -> Result<bool, HostError> {
    let mut changed = false;
    let to_pod = |one: &&Installed| one.ours && one.route.is_delivery(address);
    for one in route::list(netlink).await?.iter().filter(to_pod) {
        changed |= route::remove(netlink, &one.route).await?;
    }
    Ok(changed)
}

/// Removes the rest of the node's part. Returns whether it changed anything.
pub(super) async fn remove(netlink: &mut Netlink, address: Ipv4Addr) -> Result<bool, HostError> {
    let mut changed = false;
    for one in neighbour::ours(netlink).await?.iter().filter(|one| one.address == address) {
        changed |= neighbour::remove(netlink, *one).await?;
    }
    // Last: by its rules an address is known to be here.
    for one in rule::ours(netlink).await?.iter().filter(|one| one.is_for_pod(address)) {
        changed |= rule::remove(netlink, *one).await?;
    }
    Ok(changed)
}
