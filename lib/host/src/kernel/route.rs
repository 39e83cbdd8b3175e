//! Routes of the tables that FireCamp's rules look up.

use std::fmt;
use std::net::Ipv4Addr;

use firecamp_core::contract::kernel::{MAIN_TABLE, PROTOCOL, TABLE_BASE, TABLE_MAX};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use nix::libc::{EEXIST, ESRCH};

use super::link;
use super::{Attributes, failed, fixed_part};
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
/// `struct rtmsg`.
const HEADER: usize = 12;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
/// `RTM_F_CLONED`: a cached answer, not a route.
const CLONED: u32 = 0x200;

/// The properties of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) table: u32,
    /// Destination and prefix length; `0.0.0.0/0` is the default route.
    pub(crate) to: (Ipv4Addr, u8),
    pub(crate) via: Option<Ipv4Addr>,
    /// None for a route with several next hops or without one.
    pub(crate) link: Option<u32>,
    /// The preferred source address.
    source: Option<Ipv4Addr>,
    metric: u32,
    unicast: bool,
}

/// A route in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    pub(crate) route: Route,
    pub(crate) ours: bool,
}

impl Route {
    /// `GATEWAY/32 dev LINK scope link`.
    pub(crate) fn to_gateway(table: u32, gateway: Ipv4Addr, link: u32) -> Self {
        let to = (gateway, 32);
        Self { table, to, via: None, link: Some(link), source: None, metric: 0, unicast: true }
    }

    /// `ADDRESS/32 dev LINK scope link` in the main table.
    pub(crate) fn delivery(address: Ipv4Addr, link: u32) -> Self {
        Self::to_gateway(MAIN_TABLE, address, link)
    }

    /// The same next hop for another destination, in the main table and with this source.
    pub(crate) fn towards(&self, to: (Ipv4Addr, u8), source: Ipv4Addr) -> Self {
        Self { table: MAIN_TABLE, to, source: Some(source), metric: 0, ..self.clone() }
    }

    /// `default via GATEWAY dev LINK`.
    pub(crate) fn default_via(table: u32, gateway: Ipv4Addr, link: u32) -> Self {
        let to = (Ipv4Addr::UNSPECIFIED, 0);
        let (via, link) = (Some(gateway), Some(link));
        Self { table, to, via, link, source: None, metric: 0, unicast: true }
    }

    /// Whether it leads the packets of this address to a pod.
    pub(crate) fn is_delivery(&self, address: Ipv4Addr) -> bool {
        self.table == MAIN_TABLE && self.to == (address, 32) && self.via.is_none()
    }

    /// Whether the kernel accepts only one of the two.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        (self.table, self.to, self.metric) == (other.table, other.to, other.metric)
    }

    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = AddressFamily::Inet;
        header.protocol = RouteProtocol::from(PROTOCOL);
        header.kind = RouteType::Unicast;
        header.scope = if self.via.is_some() { RouteScope::Universe } else { RouteScope::Link };
        header.destination_prefix_length = self.to.1;
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Table(self.table));
        if self.to.1 > 0 {
            attributes.push(RouteAttribute::Destination(RouteAddress::Inet(self.to.0)));
        }
        attributes.extend(self.via.map(|via| RouteAttribute::Gateway(RouteAddress::Inet(via))));
        attributes.extend(self.link.map(RouteAttribute::Oif));
        let source = self.source.map(RouteAddress::Inet);
        attributes.extend(source.map(RouteAttribute::PrefSource));
        if self.metric > 0 {
            attributes.push(RouteAttribute::Priority(self.metric));
        }
        message
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.to.0, self.to.1)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(link) = self.link {
            write!(f, " on link {link}")?;
        }
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        write!(f, " in table {}", self.table)
    }
}

/// All IPv4 routes of all tables in this network namespace.
pub(crate) async fn list(netlink: &mut Netlink) -> Result<Vec<Installed>, HostError> {
    list_as(netlink, decode).await
}

/// All IPv4 routes, parsed by `decode`.
pub(crate) async fn list_as<T>(
    netlink: &mut Netlink,
    decode: impl Fn(&[u8]) -> Result<Option<T>, NetlinkError>,
) -> Result<Vec<T>, HostError> {
    let mut wanted = RouteMessage::default();
    wanted.header.address_family = AddressFamily::Inet;
    super::list(netlink, (RTM_GETROUTE, &wanted), "the routes", decode).await
}

pub(crate) fn decode(payload: &[u8]) -> Result<Option<Installed>, NetlinkError> {
    let [_family, length, _src, _tos, short_table, protocol, _scope, kind, flags @ ..] =
        fixed_part::<HEADER>(payload)?;
    if u32::from_ne_bytes(flags) & CLONED != 0 {
        return Ok(None);
    }
    let attributes = Attributes::after(payload, HEADER)?;
    let route = Route {
        table: attributes.u32(RTA_TABLE)?.unwrap_or(u32::from(short_table)),
        to: (attributes.ipv4(RTA_DST)?.unwrap_or(Ipv4Addr::UNSPECIFIED), length),
        via: attributes.ipv4(RTA_GATEWAY)?,
        link: attributes.u32(RTA_OIF)?,
        source: attributes.ipv4(RTA_PREFSRC)?,
        metric: attributes.u32(RTA_PRIORITY)?.unwrap_or(0),
        unicast: kind == RTN_UNICAST,
    };
    Ok(Some(Installed { route, ours: protocol == PROTOCOL }))
}

/// Ensures that the route exists. An equal route counts, whoever created it; FireCamp's own route
/// with the same key is replaced in one step; a foreign one is an error. Returns false if it
/// existed.
pub(crate) async fn ensure(
    netlink: &mut Netlink,
    present: &[Installed],
    wanted: &Route,
) -> Result<bool, HostError> {
    if present.iter().any(|one| one.route == *wanted) {
        return Ok(false);
    }
    let flags = match present.iter().find(|one| one.route.same_place(wanted)) {
        None => NLM_F_CREATE | NLM_F_EXCL,
        Some(one) if one.ours => NLM_F_CREATE | NLM_F_REPLACE,
        Some(one) => {
            let route = one.route.to_string();
            return Err(HostError::ForeignRoute { table: wanted.table, route });
        }
    };
    match netlink.change(RTM_NEWROUTE, flags, &wanted.message()).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(EEXIST) => Ok(false),
        Err(source) => Err(failed("add route", wanted)(source)),
    }
}

/// Removes this route of FireCamp. Returns false if it does not exist.
pub(crate) async fn remove(netlink: &mut Netlink, route: &Route) -> Result<bool, HostError> {
    match netlink.change(RTM_DELROUTE, 0, &route.message()).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(ESRCH) => Ok(false),
        Err(source) => Err(failed("remove route", route)(source)),
    }
}

/// Whether the address is one of this network namespace, on any link.
pub(crate) async fn is_local(netlink: &mut Netlink, address: Ipv4Addr) -> Result<bool, HostError> {
    Ok(look_up(netlink, address).await?.is_some_and(|found| found.local))
}

/// Whether packets to the address leave the node: through hardware, a tunnel, or a link that has a
/// default route of the node or of an ENI. Also if there is no route to it.
pub(crate) async fn leaves_the_node(
    netlink: &mut Netlink,
    address: Ipv4Addr,
) -> Result<bool, HostError> {
    let Some(found) = look_up(netlink, address).await? else { return Ok(true) };
    if found.local {
        return Ok(false);
    }
    let links = link::list(netlink).await?;
    let over = links.iter().find(|link| Some(link.index) == found.link);
    if over.is_none_or(link::Link::leads_elsewhere) {
        return Ok(true);
    }
    let of_node = |table: u32| table == MAIN_TABLE || (TABLE_BASE..=TABLE_MAX).contains(&table);
    let uplink = |Route { table, to, link, .. }: &Route| {
        of_node(*table) && *to == (Ipv4Addr::UNSPECIFIED, 0) && *link == found.link
    };
    Ok(list(netlink).await?.iter().any(|one| uplink(&one.route)))
}

/// How the kernel reaches an address.
struct Lookup {
    local: bool,
    link: Option<u32>,
}

/// None if the kernel does not reach it: what a namespace answers then, such as a route that
/// prohibits, is its own matter.
async fn look_up(netlink: &mut Netlink, address: Ipv4Addr) -> Result<Option<Lookup>, HostError> {
    let mut wanted = RouteMessage::default();
    wanted.header.address_family = AddressFamily::Inet;
    wanted.header.destination_prefix_length = 32;
    wanted.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(address)));
    match netlink.ask(RTM_GETROUTE, 0, &wanted).await {
        Ok(answers) => {
            let found = answers.first().map(|found| lookup(found)).transpose();
            found.map_err(failed("look up the route to", &address))
        }
        Err(error) if error.errno().is_some() => Ok(None),
        Err(source) => Err(failed("look up the route to", &address)(source)),
    }
}

fn lookup(answer: &[u8]) -> Result<Lookup, NetlinkError> {
    let [_family, _length, _src, _tos, _table, _protocol, _scope, kind, ..] =
        fixed_part::<HEADER>(answer)?;
    let link = Attributes::after(answer, HEADER)?.u32(RTA_OIF)?;
    Ok(Lookup { local: kind == RTN_LOCAL, link })
}

/// The default route: the one in the main table with the lowest metric.
pub(crate) fn default(routes: &[Installed]) -> Option<&Route> {
    let default = |one: &&Installed| {
        one.route.table == MAIN_TABLE && one.route.to == (Ipv4Addr::UNSPECIFIED, 0)
    };
    Some(&routes.iter().filter(default).min_by_key(|one| one.route.metric)?.route)
}
