//! The kernel's IPv4 configuration as text for people. No decision depends on it.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::net::Ipv4Addr;

use firecamp_core::failure::HostFailure;

use crate::error::{HostError, NetlinkError};
use crate::kernel::address::{self, Assigned};
use crate::kernel::link::{self, Link};
use crate::kernel::{Attributes, fixed_part, route, rule};
use crate::linux::{LinuxHost, ROUTE};
use crate::netlink::Netlink;

/// `struct fib_rule_hdr`, and `struct rtmsg`.
const HEADER: usize = 12;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PROTOCOL: u16 = 21;
/// `FIB_RULE_INVERT`.
const INVERT: u32 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
/// `RTM_F_CLONED`: a cached answer, not a route.
const CLONED: u32 = 0x200;

/// One line per object, in the format of `ip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Links with their MAC, state and MTU, each followed by its addresses.
    pub links: Vec<String>,
    /// The routing rules, in the order of evaluation.
    pub rules: Vec<String>,
    /// The routes of all tables.
    pub routes: Vec<String>,
}

impl LinuxHost {
    /// The complete routing configuration, or an error. Changes nothing.
    pub async fn listing(&self) -> Result<Listing, HostFailure> {
        let mut netlink = self.netlink(ROUTE)?;
        Ok(take(&mut netlink).await?)
    }
}

async fn take(netlink: &mut Netlink) -> Result<Listing, HostError> {
    let links = link::list(netlink).await?;
    let addresses = address::list(netlink).await?;
    let mut rules = rule::list(netlink, rule_line).await?;
    rules.sort_by_key(|(priority, _)| *priority);
    let names: BTreeMap<u32, &str> = links.iter().map(|l| (l.index, l.name.as_str())).collect();
    let routes = route::list_as(netlink, |payload| route_line(payload, &names)).await?;
    Ok(Listing {
        links: links.iter().flat_map(|link| link_lines(link, &addresses)).collect(),
        rules: rules.into_iter().map(|(_, line)| line).collect(),
        routes,
    })
}

fn link_lines(link: &Link, addresses: &[Assigned]) -> Vec<String> {
    let Link { index, name, mac, up, mtu, .. } = link;
    let state = if *up { "up" } else { "down" };
    let mac = mac.map(|mac| format!(" {mac}")).unwrap_or_default();
    let here = addresses.iter().filter(|one| one.link == *index);
    let address = |Assigned { local, prefix, protocol, .. }: &Assigned| {
        let protocol = protocol.map(|number| format!(" proto {number}")).unwrap_or_default();
        format!("    {local}/{prefix}{protocol}")
    };
    let head = format!("{index}: {name}{mac} mtu {mtu} {state}");
    std::iter::once(head).chain(here.map(address)).collect()
}

/// A rule's priority and its line.
fn rule_line(payload: &[u8]) -> Result<Option<(u32, String)>, NetlinkError> {
    let [_family, to_len, from_len, _tos, short_table, _r1, _r2, action, flags @ ..] =
        fixed_part::<HEADER>(payload)?;
    let attributes = Attributes::after(payload, HEADER)?;
    let priority = attributes.u32(FRA_PRIORITY)?.unwrap_or(0);
    let not = if u32::from_ne_bytes(flags) & INVERT == 0 { "" } else { "not " };
    let from = prefix(attributes.ipv4(FRA_SRC)?, from_len, "all");
    let mut line = format!("{priority}: {not}from {from}");
    if to_len > 0 {
        add(&mut line, "to", prefix(attributes.ipv4(FRA_DST)?, to_len, "all"));
    }
    if let Some(mark) = attributes.u32(FRA_FWMARK)?.filter(|mark| *mark > 0) {
        let mask = attributes.u32(FRA_FWMASK)?.unwrap_or(u32::MAX);
        add(&mut line, "fwmark", format!("{mark:#x}/{mask:#x}"));
    }
    for (word, kind) in [("iif", FRA_IIFNAME), ("oif", FRA_OIFNAME)] {
        if let Some(name) = attributes.text(kind) {
            add(&mut line, word, name);
        }
    }
    let table = attributes.u32(FRA_TABLE)?.unwrap_or(u32::from(short_table));
    match action {
        1 => add(&mut line, "lookup", table_name(table)),
        6 => line.push_str(" blackhole"),
        7 => line.push_str(" unreachable"),
        8 => line.push_str(" prohibit"),
        other => add(&mut line, "action", other),
    }
    if let Some(protocol) = attributes.u8(FRA_PROTOCOL)? {
        add(&mut line, "proto", protocol);
    }
    Ok(Some((priority, line)))
}

fn route_line(payload: &[u8], names: &BTreeMap<u32, &str>) -> Result<Option<String>, NetlinkError> {
    let [_family, length, _src, _tos, short_table, protocol, scope, kind, flags @ ..] =
        fixed_part::<HEADER>(payload)?;
    if u32::from_ne_bytes(flags) & CLONED != 0 {
        return Ok(None);
    }
    let attributes = Attributes::after(payload, HEADER)?;
    let table = attributes.u32(RTA_TABLE)?.unwrap_or(u32::from(short_table));
    let kind = match kind {
        1 => "",
        2 => "local ",
        3 => "broadcast ",
        5 => "multicast ",
        6 => "blackhole ",
        7 => "unreachable ",
        8 => "prohibit ",
        9 => "throw ",
        _other => "other ",
    };
    let to = prefix(attributes.ipv4(RTA_DST)?, length, "default");
    let mut line = format!("table {}: {kind}{to}", table_name(table));
    if let Some(gateway) = attributes.ipv4(RTA_GATEWAY)? {
        add(&mut line, "via", gateway);
    }
    if let Some(link) = attributes.u32(RTA_OIF)? {
        let name = names.get(&link).map_or_else(|| link.to_string(), |name| (*name).to_owned());
        add(&mut line, "dev", name);
    }
    if attributes.bytes(RTA_MULTIPATH).is_some() {
        line.push_str(" with several next hops");
    }
    add(&mut line, "proto", protocol);
    add(&mut line, "scope", scope);
    if let Some(source) = attributes.ipv4(RTA_PREFSRC)? {
        add(&mut line, "src", source);
    }
    if let Some(metric) = attributes.u32(RTA_PRIORITY)? {
        add(&mut line, "metric", metric);
    }
    Ok(Some(line))
}

fn add(line: &mut String, word: &str, value: impl Display) {
    // Writing to a string cannot fail.
    write!(line, " {word} {value}").ok();
}

fn prefix(address: Option<Ipv4Addr>, length: u8, all: &str) -> String {
    match address {
        Some(address) if length == 32 => address.to_string(),
        Some(address) => format!("{address}/{length}"),
        None => all.to_owned(),
    }
}

fn table_name(table: u32) -> String {
    match table {
        253 => "default".to_owned(),
        254 => "main".to_owned(),
        255 => "local".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Raw;

    fn rule(header: [u8; HEADER], attributes: &[(u16, &[u8])]) -> String {
        let raw = attributes
            .iter()
            .fold(Raw(header.to_vec()), |raw, (kind, value)| raw.attribute(*kind, value));
        rule_line(&raw.0).unwrap().unwrap().1
    }

    #[test]
    fn rule_line_shows_all_selectors() {
        let not = [2, 16, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0];
        let line = rule(
            not,
            &[
                (FRA_PRIORITY, &1024_u32.to_ne_bytes()),
                (FRA_DST, &[10, 1, 0, 0]),
                (FRA_FWMARK, &0x80_u32.to_ne_bytes()),
                (FRA_FWMASK, &0x80_u32.to_ne_bytes()),
                (FRA_IIFNAME, b"eth0\0"),
                (FRA_TABLE, &254_u32.to_ne_bytes()),
                (FRA_PROTOCOL, &[4]),
            ],
        );
        let wanted = "1024: not from all to 10.1.0.0/16 fwmark 0x80/0x80 iif eth0 lookup main \
                      proto 4";
        assert_eq!(line, wanted);
        assert_eq!(rule([2, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0], &[]), "0: from all unreachable");
        assert!(rule_line(&[2, 0, 0]).is_err(), "a truncated rule is an error");
    }
}
