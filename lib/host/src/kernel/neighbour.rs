//! Neighbours: the MAC of a pod that has an address.

use std::net::Ipv4Addr;

use firecamp_core::contract::kernel::PROTOCOL;
use firecamp_core::ids::Mac;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use nix::libc::ENOENT;

use super::{Attributes, Raw, failed, fixed_part};
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
/// `struct ndmsg`.
const HEADER: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_PROTOCOL: u16 = 12;
const AF_INET: u8 = 2;
const NUD_PERMANENT: u16 = 0x80;

/// The MAC of an address on a link. The kernel resolves it by ARP unless the entry is permanent,
/// and any pod of a bridge can answer ARP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) link: u32,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: Mac,
}

/// FireCamp's permanent entries in this network namespace.
pub(crate) async fn ours(netlink: &mut Netlink) -> Result<Vec<Neighbour>, HostError> {
    let mut header = vec![0; HEADER];
    header.splice(..1, [AF_INET]);
    super::list(netlink, (RTM_GETNEIGH, &Raw(header)), "the neighbours", decode).await
}

fn decode(payload: &[u8]) -> Result<Option<Neighbour>, NetlinkError> {
    let [family, _pad, _p0, _p1, i0, i1, i2, i3, s0, s1, ..] = fixed_part::<HEADER>(payload)?;
    let attributes = Attributes::after(payload, HEADER)?;
    let permanent = u16::from_ne_bytes([s0, s1]) & NUD_PERMANENT != 0;
    if family != AF_INET || !permanent || attributes.u8(NDA_PROTOCOL)? != Some(PROTOCOL) {
        return Ok(None);
    }
    let address = attributes.ipv4(NDA_DST)?.ok_or_else(super::cut)?;
    let mac = attributes.fixed(NDA_LLADDR)?.map(Mac::from_bytes).ok_or_else(super::cut)?;
    Ok(Some(Neighbour { link: u32::from_ne_bytes([i0, i1, i2, i3]), address, mac }))
}

/// Sets the entry, in place of what was there.
pub(crate) async fn set(netlink: &mut Netlink, wanted: Neighbour) -> Result<(), HostError> {
    let body = message(wanted, NUD_PERMANENT).attribute(NDA_LLADDR, &wanted.mac.bytes());
    let body = body.attribute(NDA_PROTOCOL, &[PROTOCOL]);
    let set = netlink.change(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body).await;
    set.map_err(failed("set the neighbour", &wanted.address))
}

/// Removes the entry. Returns false if it does not exist.
pub(crate) async fn remove(netlink: &mut Netlink, one: Neighbour) -> Result<bool, HostError> {
    match netlink.change(RTM_DELNEIGH, 0, &message(one, 0)).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(ENOENT) => Ok(false),
        Err(source) => Err(failed("remove the neighbour", &one.address)(source)),
    }
}

fn message(Neighbour { link, address, .. }: Neighbour, state: u16) -> Raw {
    let mut header = vec![0; HEADER];
    header.splice(..1, [AF_INET]);
    header.splice(4..8, link.to_ne_bytes());
    header.splice(8..10, state.to_ne_bytes());
    Raw(header).attribute(NDA_DST, &address.octets())
}
