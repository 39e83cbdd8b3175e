//! The links that may be ENIs, and setting up unconfigured ones.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::ids::Mac;
use firecamp_node::kernel::ObservedLink;

use crate::address_tags::AddressTags;
use crate::error::HostError;
use crate::kernel::address::{self, Assigned};
use crate::kernel::link::{self, Link};
use crate::kernel::route;
use crate::netlink::Netlink;

/// The link of each MAC. Leaves out a MAC without a link or with several candidates.
pub(crate) async fn observed(
    netlink: &mut Netlink,
    tags: AddressTags,
) -> Result<Vec<ObservedLink>, HostError> {
    let links = link::list(netlink).await?;
    let addresses = address::list(netlink).await?;
    let macs: BTreeSet<Mac> = links.iter().filter_map(|link| link.mac).collect();
    let observe = |mac| {
        let link = link::of_eni(&links, mac).ok().flatten()?;
        // Where it could get no address of its own, a link that is up lacks nothing.
        let bare = is_bare(&addresses, link) && (!link.up || tags == AddressTags::Kept);
        Some(ObservedLink { name: link.name.clone(), index: link.index, mac, up: link.up, bare })
    };
    Ok(macs.into_iter().filter_map(observe).collect())
}

/// Sets up the link with this MAC if it has no address but members', which is how the operating
/// system leaves an unconfigured ENI: up, and with the ENI's `own` address, without which the node
/// cannot ask for the subnet's router for a pod that has its address in its own network. Returns
/// whether it changed anything.
///
/// Kernels that keep no tags get no address, because it could not be told from a member's.
pub(crate) async fn raise(
    netlink: &mut Netlink,
    (mac, own): (Mac, Ipv4Addr),
    tags: AddressTags,
) -> Result<bool, HostError> {
    let links = link::list(netlink).await?;
    let eni = link::of_eni(&links, mac)?.ok_or(HostError::NoLink(mac))?;
    if !is_bare(&address::list(netlink).await?, eni) {
        return Ok(false);
    }
    if !eni.up {
        let mtu = example_mtu(netlink, &links, eni).await?;
        link::bring_up(netlink, eni, mtu).await?;
    }
    let added = tags == AddressTags::Kept && address::add_local(netlink, eni.index, own).await?;
    Ok(added || !eni.up)
}

fn is_bare(addresses: &[Assigned], link: &Link) -> bool {
    let of_member = |one: &Assigned| one.tagged() && !one.is_own();
    addresses.iter().all(|one| one.link != link.index || of_member(one))
}

/// The MTU of the link with the node's default route, as DHCP would set it, if it is higher.
pub(crate) async fn example_mtu(
    netlink: &mut Netlink,
    links: &[Link],
    eni: &Link,
) -> Result<Option<u32>, HostError> {
    let routes = route::list(netlink).await?;
    let primary = route::default(&routes).and_then(|route| route.link);
    let example = links.iter().find(|one| Some(one.index) == primary);
    Ok(example.and_then(|example| link::better_mtu(eni, example)))
}
