//! The contents of a namespace as lines in the style of `ip`, for comparisons.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::packet_route::rule::{RuleAttribute, RuleMessage};
use rtnetlink::{IpVersion, RouteMessageBuilder};

use crate::netns::Net;

fn name_of(link: &LinkMessage) -> Option<String> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _other => None,
    })
}

impl Net {
    /// The names of all links, sorted.
    pub fn links(&self) -> Vec<String> {
        let mut names: Vec<String> = self.link_messages().iter().filter_map(name_of).collect();
        names.sort();
        names
    }

    fn names(&self) -> BTreeMap<u32, String> {
        let named = |link: &LinkMessage| Some((link.header.index, name_of(link)?));
        self.link_messages().iter().filter_map(named).collect()
    }

    /// All addresses, as kernel messages.
    pub fn address_messages(&self) -> Vec<AddressMessage> {
        let all = self.netlink(|h| async move { h.address().get().execute().try_collect().await });
        all.expect("list addresses")
    }

    /// IPv4 addresses: `10.0.0.5/32 dev eni0 proto 201`.
    pub fn addresses(&self) -> Vec<String> {
        let names = self.names();
        let all = self.address_messages();
        let mut lines: Vec<String> =
            all.iter().filter_map(|message| address_line(message, &names)).collect();
        lines.sort();
        lines
    }

    /// IPv4 rules: `from 10.0.0.5/32 lookup 20001 priority 700 proto 201`.
    pub fn rules(&self) -> Vec<String> {
        let all: Vec<RuleMessage> = self
            .netlink(|h| async move { h.rule().get(IpVersion::V4).execute().try_collect().await })
            .expect("list rules");
        let mut lines: Vec<String> = all.iter().map(rule_line).collect();
        lines.sort();
        lines
    }

    /// IPv4 routes of all tables: `20001: default via 10.0.1.1 dev eni1 proto 201`.
    pub fn routes(&self) -> Vec<String> {
        let names = self.names();
        let wanted = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let all: Vec<RouteMessage> = self
            .netlink(|h| async move { h.route().get(wanted).execute().try_collect().await })
            .expect("list routes");
        let mut lines: Vec<String> =
            all.iter().map(|message| route_line(message, &names)).collect();
        lines.sort();
        lines
    }

    /// Addresses, rules and routes together.
    pub fn everything(&self) -> Vec<String> {
        [self.addresses(), self.rules(), self.routes()].concat()
    }
}

fn address_line(message: &AddressMessage, names: &BTreeMap<u32, String>) -> Option<String> {
    let mut local = None;
    let mut tag = String::new();
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) if address.is_ipv4() => local = Some(address),
            AddressAttribute::Protocol(protocol) => {
                tag = format!(" proto {}", u8::from(*protocol));
            }
            _other => {}
        }
    }
    let link = names.get(&message.header.index)?;
    Some(format!("{}/{} dev {link}{tag}", local?, message.header.prefix_len))
}

fn rule_line(message: &RuleMessage) -> String {
    let (mut from, mut table, mut priority, mut tag) =
        ("all".to_owned(), u32::from(message.header.table), 0, 0);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Source(source) => from = format!("{source}/{}", message.header.src_len),
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Priority(number) => priority = *number,
            RuleAttribute::Protocol(protocol) => tag = u8::from(*protocol),
            _other => {}
        }
    }
    format!("from {from} lookup {table} priority {priority} proto {tag}")
}

fn route_line(message: &RouteMessage, names: &BTreeMap<u32, String>) -> String {
    let header = &message.header;
    let (mut table, mut to, mut rest) =
        (u32::from(header.table), "default".to_owned(), String::new());
    let text = |address: &RouteAddress| match address {
        RouteAddress::Inet(address) => address.to_string(),
        other => format!("{other:?}"),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(address) => {
                to = format!("{}/{}", text(address), header.destination_prefix_length);
            }
            RouteAttribute::Gateway(address) => rest = format!(" via {}{rest}", text(address)),
            RouteAttribute::Oif(index) => {
                rest.push_str(" dev ");
                rest.push_str(names.get(index).map_or("?", String::as_str));
            }
            RouteAttribute::PrefSource(address) => {
                rest.push_str(" src ");
                rest.push_str(&text(address));
            }
            _other => {}
        }
    }
    format!("{table}: {to}{rest} proto {}", u8::from(header.protocol))
}
