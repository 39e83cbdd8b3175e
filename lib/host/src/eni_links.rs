//! The links that may be ENIs, and setting up unconfigured ones.

use std::collections::BTreeSet;

use firecamp_core::ids::Mac;
use firecamp_node::kernel::ObservedLink;

use crate::error::HostError;
use crate::kernel::address::{self, Assigned};
use crate::kernel::link::{self, Link};
use crate::kernel::route;
use crate::netlink::Netlink;

/// The link of each MAC. Leaves out a MAC without a link or with several candidates.
pub(crate) async fn observed(netlink: &mut Netlink) -> Result<Vec<ObservedLink>, HostError> {
    let links = link::list(netlink).await?;
    let addresses = address::list(netlink).await?;
    let macs: BTreeSet<Mac> = links.iter().filter_map(|link| link.mac).collect();
    let observe = |mac| {
        let link = link::of_eni(&links, mac).ok().flatten()?;
        let bare = is_bare(&addresses, link);
        Some(ObservedLink { name: link.name.clone(), index: link.index, mac, up: link.up, bare })
    };
    Ok(macs.into_iter().filter_map(observe).collect())
}

/// Sets up the link with this MAC if it is down and has no address, which is how the operating
/// system leaves an unconfigured ENI. Returns whether it did.
pub(crate) async fn raise(netlink: &mut Netlink, mac: Mac) -> Result<bool, HostError> {
    let links = link::list(netlink).await?;
    let eni = link::of_eni(&links, mac)?.ok_or(HostError::NoLink(mac))?;
    if eni.up || !is_bare(&address::list(netlink).await?, eni) {
        return Ok(false);
    }
    let mtu = example_mtu(netlink, &links, eni).await?;
    link::bring_up(netlink, eni, mtu).await?;
    Ok(true)
}

fn is_bare(addresses: &[Assigned], link: &Link) -> bool {
    addresses.iter().all(|one| one.link != link.index)
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
