//! Reverse-path filtering and ARP settings of links.

use std::collections::BTreeMap;

use super::{Attributes, Raw, failed};
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

const RTM_GETNETCONF: u16 = 82;
/// `struct netconfmsg`: one byte, aligned.
const HEADER: usize = 4;
const AF_INET: u8 = 2;
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_RP_FILTER: u16 = 3;
/// The index that stands for `all`.
const ALL: i32 = -1;

/// Number of `rp_filter` among a link's IPv4 settings.
pub(crate) const RP_FILTER: u16 = 8;
/// Number of `arp_announce`.
pub(crate) const ARP_ANNOUNCE: u16 = 18;
/// Number of `arp_ignore`.
pub(crate) const ARP_IGNORE: u16 = 19;

/// `rp_filter`: a packet passes if there is a route to its source over any link.
pub(crate) const LOOSE: u32 = 2;
/// `rp_filter`: a packet passes only if the route to its source uses the link that it came in on.
const STRICT: u32 = 1;

/// The `rp_filter` values of `all` and of each link.
pub(crate) struct Filters(BTreeMap<i32, u32>);

impl Filters {
    pub(crate) async fn read(netlink: &mut Netlink) -> Result<Self, HostError> {
        let messages = netlink.dump(RTM_GETNETCONF, &Raw(vec![AF_INET, 0, 0, 0])).await;
        let found = messages.and_then(|all| all.iter().map(|bytes| decode(bytes)).collect());
        found.map(Self).map_err(failed("list", "the reverse-path settings"))
    }

    /// Whether the effective value for the link, the higher of its own and that of `all`, is
    /// strict. A link that is not listed counts as strict, because its value is unknown.
    pub(crate) fn strict(&self, link: u32) -> bool {
        let index = i32::try_from(link).unwrap_or(i32::MAX);
        let (Some(all), Some(own)) = (self.0.get(&ALL), self.0.get(&index)) else { return true };
        (*all).max(*own) == STRICT
    }
}

pub(crate) fn decode(payload: &[u8]) -> Result<(i32, u32), NetlinkError> {
    let attributes = Attributes::after(payload, HEADER)?;
    let index = attributes.fixed(NETCONFA_IFINDEX)?.map(i32::from_ne_bytes);
    let filter = attributes.u32(NETCONFA_RP_FILTER)?;
    index.zip(filter).ok_or_else(super::cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(all: u32, own: u32) -> Filters {
        Filters([(ALL, all), (7, own)].into())
    }

    #[test]
    fn f066_the_effective_filter_is_the_higher_of_all_and_the_link() {
        assert!(filters(1, 0).strict(7));
        assert!(filters(0, 1).strict(7));
        assert!(!filters(1, 2).strict(7));
        assert!(!filters(2, 1).strict(7));
        assert!(!filters(0, 0).strict(7));
    }

    #[test]
    fn f066_a_link_that_is_not_listed_counts_as_strict() {
        assert!(filters(0, 0).strict(8));
    }
}
