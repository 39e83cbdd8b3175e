//! The kernel's tables, dumped once for many targets.

use firecamp_core::ports::{KernelTarget, Routing};

use crate::error::HostError;
use crate::kernel::address::{self, Assigned};
use crate::kernel::link::{self, Link};
use crate::kernel::route::{self, Installed};
use crate::kernel::rp_filter_and_arp::Filters;
use crate::kernel::rule::{self, OurRule};
use crate::netlink::Netlink;
use crate::policy_routing;

/// Links and addresses, and routing if a target needs it.
pub(crate) struct Tables {
    links: Vec<Link>,
    addresses: Vec<Assigned>,
    routing: Option<RoutingTables>,
}

/// Rules, routes and reverse-path filters.
struct RoutingTables {
    rules: Vec<OurRule>,
    routes: Vec<Installed>,
    filters: Filters,
}

/// The state of one target in the tables.
pub(crate) struct Found<'a> {
    pub(crate) link: &'a Link,
    pub(crate) address: Option<&'a Assigned>,
    pub(crate) routed: bool,
}

impl Tables {
    /// Dumps the tables that these targets need.
    pub(crate) async fn read(
        netlink: &mut Netlink,
        targets: &[KernelTarget],
    ) -> Result<Self, HostError> {
        let links = link::list(netlink).await?;
        let addresses = address::list(netlink).await?;
        let routing = if targets.iter().any(|target| target.routing.is_some()) {
            Some(RoutingTables {
                rules: rule::ours(netlink).await?,
                routes: route::list(netlink).await?,
                filters: Filters::read(netlink).await?,
            })
        } else {
            None
        };
        Ok(Self { links, addresses, routing })
    }

    /// None if the link of the target's ENI does not exist.
    pub(crate) fn find(&self, target: &KernelTarget) -> Result<Option<Found<'_>>, HostError> {
        let Some(link) = link::of_eni(&self.links, target.mac)? else { return Ok(None) };
        let mut there = self.addresses.iter().filter(|one| one.is(target.address));
        let address = there.find(|one| one.link == link.index);
        let wanted = target.routing.as_ref();
        let routed = wanted.is_none_or(|wanted| self.routed(link.index, target, wanted));
        Ok(Some(Found { link, address, routed }))
    }

    /// Whether rule, routes and the reverse-path setting are correct.
    fn routed(&self, link: u32, target: &KernelTarget, wanted: &Routing) -> bool {
        let Some(RoutingTables { rules, routes, filters }) = &self.routing else { return false };
        let there = |wanted| routes.iter().any(|one| one.route == wanted);
        rules.contains(&OurRule::wanted(target.address, wanted.table))
            && policy_routing::routes(link, wanted).into_iter().all(there)
            && !filters.strict(link)
    }
}
