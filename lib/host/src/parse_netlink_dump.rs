//! Parses netlink dumps from bytes without a socket, for recorded or hostile answers.
//! [`LinuxHost`](crate::LinuxHost) uses the same functions.

use std::net::{IpAddr, Ipv4Addr};

use firecamp_core::failure::HostFailure;
use firecamp_core::ids::Mac;

use crate::error::NetlinkError;
use crate::kernel::{address, failed, link, route, rp_filter_and_arp, rule, socket};
use crate::netlink::digest;

/// The kind of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Network interfaces.
    Links,
    /// IPv4 addresses.
    Addresses,
    /// IPv4 routes of all tables.
    Routes,
    /// Policy routing rules with FireCamp's protocol number.
    Rules,
    /// Reverse-path filters.
    Filters,
    /// Sockets, by sock_diag.
    Sockets,
}

/// One entry of a dump, with the fields that are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A network interface.
    Link {
        /// Its index.
        index: u32,
        /// Its name.
        name: String,
        /// Its MAC, if it has one.
        mac: Option<Mac>,
    },
    /// An address of a link.
    Address {
        /// The link's index.
        link: u32,
        /// The address.
        address: Ipv4Addr,
        /// Its prefix length.
        prefix: u8,
        /// It carries FireCamp's tag.
        ours: bool,
    },
    /// A route.
    Route {
        /// Its table.
        table: u32,
        /// Destination and prefix length.
        to: (Ipv4Addr, u8),
        /// Its gateway.
        via: Option<Ipv4Addr>,
        /// It carries FireCamp's protocol number.
        ours: bool,
    },
    /// A rule of FireCamp.
    Rule {
        /// Its source address.
        source: Option<Ipv4Addr>,
        /// The table that it looks up.
        table: u32,
    },
    /// The reverse-path filter of a link.
    Filter {
        /// The link's index; -1 stands for all.
        link: i32,
        /// Its value.
        value: u32,
    },
    /// A socket.
    Socket {
        /// Its local address.
        local: IpAddr,
        /// Its state as a kernel constant.
        state: u8,
    },
}

/// One datagram of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// The dump ends here. Without an end it is incomplete.
    pub done: bool,
    /// The kernel's state changed during the dump, so entries may be missing.
    pub interrupted: bool,
}

/// Parses one datagram of the answer to this sequence number. An entry that cannot be parsed fails
/// the datagram, because a dump must be complete.
pub fn read(list: List, sequence: u32, bytes: &[u8]) -> Result<Datagram, HostFailure> {
    let read = entries(list, sequence, bytes);
    Ok(read.map_err(failed("read", "a datagram of a list"))?)
}

fn entries(list: List, sequence: u32, bytes: &[u8]) -> Result<Datagram, NetlinkError> {
    let mut messages = Vec::new();
    let progress = digest(bytes, sequence, &mut messages)?;
    let mut entries = Vec::new();
    for message in &messages {
        entries.extend(entry(list, message)?);
    }
    Ok(Datagram { entries, done: progress.done, interrupted: progress.interrupted })
}

fn entry(list: List, message: &[u8]) -> Result<Option<Entry>, NetlinkError> {
    Ok(match list {
        List::Links => link::decode(message)
            .map(|link| Some(Entry::Link { index: link.index, name: link.name, mac: link.mac }))?,
        List::Addresses => address::decode(message).map(|one| {
            let ours = one.tagged();
            Some(Entry::Address { link: one.link, address: one.local, prefix: one.prefix, ours })
        })?,
        List::Routes => route::decode(message)?.map(|route::Installed { route, ours }| {
            Entry::Route { table: route.table, to: route.to, via: route.via, ours }
        }),
        List::Rules => rule::decode(message)?
            .map(|rule| Entry::Rule { source: rule.source, table: rule.table }),
        List::Filters => rp_filter_and_arp::decode(message)
            .map(|(link, value)| Some(Entry::Filter { link, value }))?,
        List::Sockets => socket::decode(message).map(|socket| {
            let local = socket.socket_id.source_address;
            Some(Entry::Socket { local, state: socket.state })
        })?,
    })
}
