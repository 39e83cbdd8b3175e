//! The link of the agent's endpoint: a bridge without ports, with a link-local /32.
//!
//! It is a link of its own, and never `lo`, because Cilium's BPF host routing drops what pods send
//! to addresses there. It stays while the agent is away, and `firecamp cleanup` removes it.

use std::net::Ipv4Addr;

use firecamp_core::contract::endpoint::LINK;
use firecamp_core::failure::HostFailure;

use crate::error::HostError;
use crate::kernel::{address, link, members_table, route};
use crate::linux::{LinuxHost, ROUTE};

impl LinuxHost {
    /// Ensures that the endpoint's link is up and has the address. Returns whether it changed
    /// anything. Fails if something else has the address or the link's name.
    pub async fn ensure_endpoint(&self, at: Ipv4Addr) -> Result<bool, HostFailure> {
        Ok(self.endpoint_link(at).await?)
    }

    async fn endpoint_link(&self, at: Ipv4Addr) -> Result<bool, HostError> {
        let mut netlink = self.netlink(ROUTE)?;
        let mut links = link::list(&mut netlink).await?;
        let assigned = address::list(&mut netlink).await?;
        let name = |index: u32| {
            let link = links.iter().find(|link| link.index == index);
            link.map_or_else(|| format!("link {index}"), |link| link.name.clone())
        };
        if let Some(other) = assigned.iter().find(|one| one.local == at && name(one.link) != LINK) {
            let why = format!("{} has the address", name(other.link));
            return Err(HostError::Endpoint { address: at, why });
        }
        let mut changed = false;
        if !links.iter().any(|link| link.name == LINK) {
            link::create_bridge(&mut netlink, LINK).await?;
            links = link::list(&mut netlink).await?;
            changed = true;
        }
        let own = links.iter().find(|link| link.name == LINK).filter(|l| l.is_empty_bridge(&links));
        let Some(own) = own else {
            let why = format!("the link {LINK} is not FireCamp's: it is no bridge without ports");
            return Err(HostError::Endpoint { address: at, why });
        };
        changed |= address::add_local(&mut netlink, own.index, at).await?;
        if !own.up {
            link::bring_up(&mut netlink, own, None).await?;
            changed = true;
        }
        Ok(changed)
    }

    /// Whether a client of the endpoint is on another machine. Linux answers for the endpoint's
    /// address on every link, so machines of the subnet reach it, by a route and by ARP.
    pub async fn is_elsewhere(&self, client: Ipv4Addr) -> Result<bool, HostFailure> {
        Ok(route::leaves_the_node(&mut self.netlink(ROUTE)?, client).await?)
    }

    /// Removes the endpoint's link and its address, if the link has no other address, and the table
    /// of nf_tables for the pods that it served, if it has no entries.
    pub(crate) async fn remove_endpoint(&self, at: Ipv4Addr) -> Result<(), HostError> {
        if let Some(mut filter) = self.filter()? {
            members_table::remove_table(&mut filter).await?;
        }
        let mut netlink = self.netlink(ROUTE)?;
        let links = link::list(&mut netlink).await?;
        let Some(own) = links.iter().find(|link| link.name == LINK) else { return Ok(()) };
        let assigned = address::list(&mut netlink).await?;
        let mut others = assigned.iter().filter(|one| one.link == own.index && one.local != at);
        if own.is_empty_bridge(&links) && others.next().is_none() {
            link::remove(&mut netlink, own).await?;
        }
        Ok(())
    }
}
