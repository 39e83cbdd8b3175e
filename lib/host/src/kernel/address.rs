//! IPv4 addresses of links.

use std::net::Ipv4Addr;

use firecamp_core::contract::kernel::PROTOCOL;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeader, AddressMessage, AddressProtocol, AddressScope,
};
use nix::libc::{EADDRNOTAVAIL, EEXIST};

use super::{Attributes, failed, fixed_part};
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
/// `struct ifaddrmsg`.
const HEADER: usize = 8;
const IFA_LOCAL: u16 = 2;
const IFA_PROTO: u16 = 11;
/// `RT_SCOPE_LINK`.
const SCOPE_LINK: u8 = 253;

/// One address on one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) link: u32,
    pub(crate) local: Ipv4Addr,
    pub(crate) prefix: u8,
    /// The program that added it (IFA_PROTO), if the kernel stores tags and the program set one.
    pub(crate) protocol: Option<u8>,
    /// It is never a source towards other hosts.
    pub(crate) link_scope: bool,
}

impl Assigned {
    /// Whether it is this address as a /32, the only prefix that FireCamp adds.
    pub(crate) fn is(&self, address: Ipv4Addr) -> bool {
        self.local == address && self.prefix == 32
    }

    pub(crate) fn tagged(&self) -> bool {
        self.protocol == Some(PROTOCOL)
    }

    /// Whether FireCamp added it for the endpoint or as an interface's own: no member has it.
    pub(crate) fn is_own(&self) -> bool {
        self.tagged() && self.link_scope
    }
}

/// All IPv4 addresses of this network namespace.
pub(crate) async fn list(netlink: &mut Netlink) -> Result<Vec<Assigned>, HostError> {
    let mut wanted = AddressMessage::default();
    wanted.header.family = AddressFamily::Inet;
    let messages = netlink.dump(RTM_GETADDR, &wanted).await;
    let found = messages.and_then(|all| all.iter().map(|bytes| decode(bytes)).collect());
    found.map_err(failed("list", "the addresses"))
}

pub(crate) fn decode(payload: &[u8]) -> Result<Assigned, NetlinkError> {
    let [_family, prefix, _flags, scope, index @ ..] = fixed_part::<HEADER>(payload)?;
    let attributes = Attributes::after(payload, HEADER)?;
    let local = attributes.ipv4(IFA_LOCAL)?.ok_or_else(super::cut)?;
    let protocol = attributes.u8(IFA_PROTO)?;
    let link_scope = scope == SCOPE_LINK;
    Ok(Assigned { link: u32::from_ne_bytes(index), local, prefix, protocol, link_scope })
}

/// Adds the /32 of the endpoint or an interface's own, with FireCamp's tag and the scope of the
/// link: it is never a source towards other hosts. Returns false if it exists.
pub(crate) async fn add_local(
    netlink: &mut Netlink,
    link: u32,
    address: Ipv4Addr,
) -> Result<bool, HostError> {
    let mut message = host_address(link, address);
    message.header.scope = AddressScope::Link;
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(PROTOCOL)));
    created(netlink, (link, address), &message).await
}

/// Adds the /32 without a lifetime, with global scope and no broadcast, and with FireCamp's tag if
/// the kernel stores tags. The kernel appends it to the link's addresses. Only a route without
/// gateway and source uses the first of them, so no source address changes. Returns false if it
/// exists.
pub(crate) async fn add(
    netlink: &mut Netlink,
    link: u32,
    address: Ipv4Addr,
    tag: bool,
) -> Result<bool, HostError> {
    let mut message = host_address(link, address);
    if tag {
        let protocol = AddressProtocol::from(PROTOCOL);
        message.attributes.push(AddressAttribute::Protocol(protocol));
    }
    created(netlink, (link, address), &message).await
}

async fn created(
    netlink: &mut Netlink,
    (link, address): (u32, Ipv4Addr),
    message: &AddressMessage,
) -> Result<bool, HostError> {
    match netlink.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, message).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(EEXIST) => Ok(false),
        Err(source) => Err(failed("add address", &format!("{address}/32 to link {link}"))(source)),
    }
}

/// Removes this /32 from this link. The kernel does not compare tags on deletion, so the caller has
/// checked them. Returns false if it does not exist.
pub(crate) async fn remove(
    netlink: &mut Netlink,
    link: u32,
    address: Ipv4Addr,
) -> Result<bool, HostError> {
    match netlink.change(RTM_DELADDR, 0, &host_address(link, address)).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(EADDRNOTAVAIL) => Ok(false),
        Err(source) => {
            Err(failed("remove address", &format!("{address}/32 from link {link}"))(source))
        }
    }
}

fn host_address(link: u32, address: Ipv4Addr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header = AddressHeader {
        family: AddressFamily::Inet,
        prefix_len: 32,
        scope: AddressScope::Universe,
        index: link,
        ..AddressHeader::default()
    };
    message.attributes =
        vec![AddressAttribute::Local(address.into()), AddressAttribute::Address(address.into())];
    message
}
