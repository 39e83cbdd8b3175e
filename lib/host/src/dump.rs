//! The kernel's lists as they come over netlink, read from bytes without a socket: a recorded
//! answer, or a hostile one. [`LinuxHost`](crate::LinuxHost) reads its own by the same functions.

use std::net::{IpAddr, Ipv4Addr};

use firecamp_core::failure::HostFailure;
use firecamp_core::ids::Mac;

use crate::error::NetlinkError;
use crate::kernel::{address, conf, failed, link, route, rule, socket};
use crate::netlink::digest;

/// What a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Network interfaces.
    Links,
    /// IPv4 addresses.
    Addresses,
    /// IPv4 routes of all tables.
    Routes,
    /// Policy routing rules with our protocol.
    Rules,
    /// Reverse-path filters.
    Filters,
    /// Sockets, by sock_diag.
    Sockets,
}

/// One entry of a list, as far as it is needed.
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
        /// It carries our tag.
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
        /// It carries our protocol.
        ours: bool,
    },
    /// A rule of ours.
    Rule {
        /// The one source that it is for.
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
        /// The address that it is bound to.
        local: IpAddr,
        /// Its state, as the kernel counts them.
        state: u8,
    },
}

/// What one datagram of a list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// The list ends here. Without an end it is not complete.
    pub done: bool,
    /// What is listed changed meanwhile, so that entries may be missing.
    pub interrupted: bool,
}

/// Reads one datagram that answers the request with this sequence number. An entry that cannot
/// be read fails the datagram: a list with a hole in it is no list.
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
        List::Filters => {
            conf::decode(message).map(|(link, value)| Some(Entry::Filter { link, value }))?
        }
        List::Sockets => socket::decode(message).map(|socket| {
            let local = socket.socket_id.source_address;
            Some(Entry::Socket { local, state: socket.state })
        })?,
    })
}
