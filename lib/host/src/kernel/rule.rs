//! Policy routing rules `from ADDRESS lookup TABLE`, and for pods with a network of their own
//! `to ADDRESS lookup main` and `from ADDRESS to RANGE lookup main`.

use std::net::Ipv4Addr;

use firecamp_core::contract::kernel::{
    CLUSTER_PRIORITY, DELIVERY_PRIORITY, MAIN_TABLE, PROTOCOL, RULE_PRIORITY,
};
use firecamp_node::cleanup::Rule;
use firecamp_node::preflight::facts::ForeignRule;
use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use nix::libc::{EEXIST, ENOENT};

use super::{Attributes, failed, fixed_part};
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
/// `struct fib_rule_hdr`.
const HEADER: usize = 12;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_TABLE: u16 = 15;
const FRA_PROTOCOL: u16 = 21;
const TO_TABLE: u8 = 1;

/// A rule with FireCamp's protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OurRule {
    /// The source address that it matches. None for a prefix, which FireCamp never creates.
    pub(crate) source: Option<Ipv4Addr>,
    /// The destination that it matches: an address, or a range of the cluster.
    pub(crate) to: Option<Ipv4Net>,
    pub(crate) table: u32,
    priority: u32,
}

impl OurRule {
    /// The rule for an address whose ENI has this table.
    pub(crate) fn wanted(address: Ipv4Addr, table: u32) -> Self {
        Self { source: Some(address), to: None, table, priority: RULE_PRIORITY }
    }

    /// Packets to the address go where the main table says: to its pod.
    pub(crate) fn delivery(address: Ipv4Addr) -> Self {
        let to = Some(Ipv4Net::from(address));
        Self { source: None, to, table: MAIN_TABLE, priority: DELIVERY_PRIORITY }
    }

    /// Packets from the address to a range of the cluster do not leave through the ENI.
    pub(crate) fn inside(address: Ipv4Addr, range: Ipv4Net) -> Self {
        let (source, to) = (Some(address), Some(range));
        Self { source, to, table: MAIN_TABLE, priority: CLUSTER_PRIORITY }
    }

    /// Whether it is one of those for this address in a pod's own network.
    pub(crate) fn is_for_pod(self, address: Ipv4Addr) -> bool {
        self.to.is_some() && self.subject() == Some(address)
    }

    /// The address that the rule is for.
    pub(crate) fn subject(self) -> Option<Ipv4Addr> {
        let whole = self.to.filter(|to| to.prefix_len() == 32).map(|to| to.addr());
        self.source.or(whole)
    }

    /// The rule as `firecamp cleanup` shows it.
    pub(crate) fn shown(self) -> Rule {
        let Self { source, to, table, priority } = self;
        Rule { source, to, table, priority }
    }
}

/// All IPv4 rules with FireCamp's protocol number.
pub(crate) async fn ours(netlink: &mut Netlink) -> Result<Vec<OurRule>, HostError> {
    list(netlink, decode).await
}

/// All IPv4 rules without FireCamp's protocol number. Read-only.
pub(crate) async fn foreign(netlink: &mut Netlink) -> Result<Vec<ForeignRule>, HostError> {
    list(netlink, decode_foreign).await
}

/// All IPv4 rules, parsed by `decode`.
pub(crate) async fn list<T>(
    netlink: &mut Netlink,
    decode: impl Fn(&[u8]) -> Result<Option<T>, NetlinkError>,
) -> Result<Vec<T>, HostError> {
    let mut wanted = RuleMessage::default();
    wanted.header.family = AddressFamily::Inet;
    super::list(netlink, (RTM_GETRULE, &wanted), "the routing rules", decode).await
}

fn decode_foreign(payload: &[u8]) -> Result<Option<ForeignRule>, NetlinkError> {
    let [_family, to_len, from_len, _tos, short_table, _r1, _r2, action, ..] =
        fixed_part::<HEADER>(payload)?;
    let attributes = Attributes::after(payload, HEADER)?;
    if attributes.u8(FRA_PROTOCOL)? == Some(PROTOCOL) {
        return Ok(None);
    }
    let table = attributes.u32(FRA_TABLE)?.unwrap_or(u32::from(short_table));
    Ok(Some(ForeignRule {
        priority: attributes.u32(FRA_PRIORITY)?.unwrap_or(0),
        from: attributes.ipv4(FRA_SRC)?.map(|source| (source, from_len)),
        to: attributes.ipv4(FRA_DST)?.map(|destination| (destination, to_len)),
        table: (action == TO_TABLE).then_some(table),
    }))
}

pub(crate) fn decode(payload: &[u8]) -> Result<Option<OurRule>, NetlinkError> {
    let [_family, dst_len, src_len, _tos, short_table, _r1, _r2, action, ..] =
        fixed_part::<HEADER>(payload)?;
    let attributes = Attributes::after(payload, HEADER)?;
    if attributes.u8(FRA_PROTOCOL)? != Some(PROTOCOL) || action != TO_TABLE {
        return Ok(None);
    }
    let source = attributes.ipv4(FRA_SRC)?.filter(|_source| src_len == 32);
    let to = attributes.ipv4(FRA_DST)?.and_then(|to| Ipv4Net::new(to, dst_len).ok());
    let table = attributes.u32(FRA_TABLE)?.unwrap_or(u32::from(short_table));
    let priority = attributes.u32(FRA_PRIORITY)?.unwrap_or(0);
    Ok(Some(OurRule { source, to, table, priority }))
}

/// Adds the rule. Returns false if it exists.
pub(crate) async fn add(netlink: &mut Netlink, rule: OurRule) -> Result<bool, HostError> {
    match netlink.change(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &message(rule)).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(EEXIST) => Ok(false),
        Err(source) => Err(failed("add rule", &text(rule))(source)),
    }
}

/// Removes this rule. The request contains the protocol number, so an equal foreign rule stays.
/// Returns false if it does not exist.
pub(crate) async fn remove(netlink: &mut Netlink, rule: OurRule) -> Result<bool, HostError> {
    match netlink.change(RTM_DELRULE, 0, &message(rule)).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(ENOENT) => Ok(false),
        Err(source) => Err(failed("remove rule", &text(rule))(source)),
    }
}

fn message(rule: OurRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Table(rule.table),
        RuleAttribute::Priority(rule.priority),
        RuleAttribute::Protocol(RouteProtocol::from(PROTOCOL)),
    ];
    if let Some(source) = rule.source {
        message.header.src_len = 32;
        message.attributes.push(RuleAttribute::Source(source.into()));
    }
    if let Some(to) = rule.to {
        message.header.dst_len = to.prefix_len();
        message.attributes.push(RuleAttribute::Destination(to.addr().into()));
    }
    message
}

fn text(rule: OurRule) -> String {
    let from = rule.source.map_or_else(|| "all".to_owned(), |source| source.to_string());
    let to = rule.to.map_or_else(String::new, |to| format!(" to {to}"));
    format!("from {from}{to} lookup {} priority {}", rule.table, rule.priority)
}
