//! An address in the network of its pod: a /32 beside the pod's own address, and routes.
//!
//! The default route stays the CNI plugin's. Two halves of it, which take precedence, have the
//! address as source; the ranges of the cluster and link-local addresses keep the pod's own one.
//! Without that, cluster DNS, Services and the agent's endpoint would see the static address.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::PodNetwork;
use super::namespace::Namespace;
use crate::error::HostError;
use crate::kernel::address::{self, Assigned};
use crate::kernel::link::{self, Link};
use crate::kernel::route::{self, Installed, Route};

/// The halves of the default route.
const HALVES: [(Ipv4Addr, u8); 2] = [(Ipv4Addr::UNSPECIFIED, 1), (Ipv4Addr::new(128, 0, 0, 0), 1)];
/// Link-local addresses: the agent's endpoint, EKS Pod Identity, NodeLocal DNS.
const LINK_LOCAL: (Ipv4Addr, u8) = (Ipv4Addr::new(169, 254, 0, 0), 16);

/// What the pod's network has, and what it needs for an address.
pub(super) struct Inside {
    /// The pod's end of its veth.
    pub(super) link: Link,
    address: Ipv4Addr,
    there: Vec<Assigned>,
    present: Vec<Installed>,
    wanted: Vec<Route>,
}

impl Inside {
    /// Reads the pod's network, or says why it cannot have the address.
    pub(super) async fn read(
        within: &mut Namespace,
        network: &PodNetwork,
        (address, ranges): (Ipv4Addr, &[Ipv4Net]),
    ) -> Result<Result<Self, String>, HostError> {
        let links = link::list(&mut within.route).await?;
        let there = address::list(&mut within.route).await?;
        let present = route::list(&mut within.route).await?;
        let default = route::default(&present).filter(|route| route.via.is_some());
        let Some(default) = default.cloned() else {
            return Ok(Err("it has no default route with a gateway".to_owned()));
        };
        let Some(link) = links.into_iter().find(|link| Some(link.index) == default.link) else {
            return Ok(Err("its default route has no link".to_owned()));
        };
        if !there.iter().any(|one| one.link == link.index && one.local == network.ip) {
            let text = format!("{} of its default route does not have {}", link.name, network.ip);
            return Ok(Err(text));
        }
        let halves = HALVES.map(|to| default.towards(to, address));
        let taken =
            |one: &&Installed| !one.ours && halves.iter().any(|half| one.route.same_place(half));
        if let Some(other) = present.iter().find(taken) {
            let text = format!("another program has the route {} there", other.route);
            return Ok(Err(text));
        }
        let ranges = ranges.iter().map(|range| (range.network(), range.prefix_len()));
        let ranges = ranges.chain([LINK_LOCAL]).map(|to| default.towards(to, network.ip));
        // A route of the CNI plugin to a range is as good.
        let foreign =
            |wanted: &Route| present.iter().any(|one| !one.ours && one.route.same_place(wanted));
        let ranges = ranges.filter(|wanted| !foreign(wanted));
        let wanted = halves.iter().cloned().chain(ranges).collect();
        Ok(Ok(Self { link, address, there, present, wanted }))
    }

    /// Whether the pod has address and routes, and no others of FireCamp's.
    pub(super) fn is_complete(&self) -> bool {
        self.has_address() && self.missing().next().is_none() && self.surplus().next().is_none()
    }

    fn has_address(&self) -> bool {
        self.there.iter().any(|one| one.link == self.link.index && one.is(self.address))
    }

    fn missing(&self) -> impl Iterator<Item = &Route> {
        let there = |wanted: &Route| self.present.iter().any(|one| one.route == *wanted);
        self.wanted.iter().filter(move |wanted| !there(wanted))
    }

    /// Routes of an earlier configuration.
    fn surplus(&self) -> impl Iterator<Item = &Route> {
        let ours = self.present.iter().filter(|one| one.ours).map(|one| &one.route);
        ours.filter(|one| !self.wanted.contains(one))
    }

    /// Adds what is missing. Returns whether it changed anything.
    pub(super) async fn ensure(&self, within: &mut Namespace) -> Result<bool, HostError> {
        let mut changed = false;
        if !self.has_address() {
            let link = self.link.index;
            changed |= address::add(&mut within.route, link, self.address, true).await?;
        }
        for surplus in self.surplus() {
            changed |= route::remove(&mut within.route, surplus).await?;
        }
        for missing in self.missing() {
            changed |= route::ensure(&mut within.route, &[], missing).await?;
        }
        Ok(changed)
    }
}

/// FireCamp's addresses in the pod's network. A kernel that keeps no tags does not show them.
pub(super) async fn ours(within: &mut Namespace) -> Result<Vec<Assigned>, HostError> {
    let mut there = address::list(&mut within.route).await?;
    there.retain(|one| one.prefix == 32 && one.tagged());
    Ok(there)
}

/// Removes the address and FireCamp's routes from the pod's network. The address goes last: it
/// shows that something is left if the process ends before. It goes also if a route stays, because
/// a pod that may change its network could prevent that. Returns whether it changed anything.
pub(super) async fn remove(within: &mut Namespace, at: Ipv4Addr) -> Result<bool, HostError> {
    let (own, others): (Vec<_>, Vec<_>) =
        ours(within).await?.into_iter().partition(|one| one.local == at);
    let last = !own.is_empty() && others.is_empty();
    let routes = if last { remove_routes(within).await } else { Ok(()) };
    let mut changed = false;
    for one in own {
        changed |= address::remove(&mut within.route, one.link, at).await?;
    }
    routes.map(|()| changed)
}

async fn remove_routes(within: &mut Namespace) -> Result<(), HostError> {
    let mut routes = route::list(&mut within.route).await?;
    // The halves first: meanwhile the ranges keep the pod's own address.
    routes.sort_by_key(|one| one.route.to.1);
    for one in routes.iter().filter(|one| one.ours) {
        route::remove(&mut within.route, &one.route).await?;
    }
    Ok(())
}
