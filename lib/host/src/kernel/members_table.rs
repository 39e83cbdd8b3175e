//! FireCamp's table of nf_tables. It keeps the source address of what members in networks of their
//! own send through the ENI, and of what clients send to them: the chain comes before those of
//! other programs, and the first chain that rewrites the source of a connection decides it. And it
//! drops the ICMP redirects that this node would send about members.
//!
//! Without it the VPC CNI rewrites what leaves the VPC to the node's address, which EC2 drops on an
//! ENI that does not have this address (its `AWS_VPC_K8S_CNI_EXTERNALSNAT`). And a plugin that
//! masquerades whatever does not go to the cluster's ranges, as kubenet does, hides the clients:
//! the static address is in none of these ranges.
//!
//! A node forwards what a pod sends to a member on the same bridge, and tells the pod to send there
//! directly from now on (RFC 1812, 5.2.7.2). The pod would do so for five minutes, also when the
//! member is long on another node.
//!
//! As `nft` shows it:
//!
//! ```text
//! table ip firecamp_members {
//!   set addresses { type ipv4_addr . iface_index; }
//!   chain postrouting {
//!     type nat hook postrouting priority srcnat - 1; policy accept;
//!     ip saddr . oif @addresses snat to ip saddr
//!     ip daddr . iif @addresses snat to ip saddr
//!   }
//!   set members { type ipv4_addr; }
//!   chain output {
//!     type filter hook output priority filter; policy accept;
//!     icmp type redirect icmp gateway @members drop
//!   }
//! }
//! ```

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use nix::libc::{EBUSY, ENOENT};

use super::{Attributes, Raw, cut, elements, failed, nat};
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

/// The table's name.
pub(crate) const TABLE: &str = "firecamp_members";
const ADDRESSES: Set = Set { name: "addresses", id: 1, key_type: 7 * 64 + 20, key_length: 8 };
const MEMBERS: Set = Set { name: "members", id: 2, key_type: 7, key_length: 4 };
/// Before `NF_IP_PRI_NAT_SRC` (100), where iptables and the chains of others are.
const POSTROUTING: Chain = Chain { name: "postrouting", kind: "nat", hook: 4, priority: 99 };
const OUTPUT: Chain = Chain { name: "output", kind: "filter", hook: 3, priority: 0 };
const RULES: usize = 3;

/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`.
const BATCH: [u16; 2] = [16, 17];
/// Subsystem `NFNL_SUBSYS_NFTABLES`, and its messages (linux/netfilter/nf_tables.h).
const SUBSYSTEM: u8 = 10;
const NEW_TABLE: u16 = message(0);
const DELETE_TABLE: u16 = message(2);
const NEW_CHAIN: u16 = message(3);
const NEW_RULE: u16 = message(6);
const GET_RULES: u16 = message(7);
const DELETE_RULES: u16 = message(8);
const NEW_SET: u16 = message(9);
const NEW_ELEMENTS: u16 = message(12);
const GET_ELEMENTS: u16 = message(13);
const DELETE_ELEMENTS: u16 = message(14);

const fn message(kind: u8) -> u16 {
    u16::from_be_bytes([SUBSYSTEM, kind])
}

/// `struct nfgenmsg`: family `NFPROTO_IPV4`, version 0.
const IPV4: [u8; 4] = [2, 0, 0, 0];
const HEADER: usize = IPV4.len();
const ELEMENTS: u16 = 3;

/// A set of keys.
struct Set {
    name: &'static str,
    /// By which the rules of its transaction name it.
    id: u32,
    /// By which `nft` shows its keys: `ipv4_addr . iface_index`, or `ipv4_addr`.
    key_type: u32,
    key_length: u32,
}

/// A chain of a hook of the kernel (`NF_INET_…`).
struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: u32,
    priority: u32,
}

/// Packets with this source that leave through this link keep it, and so do packets to this address
/// that arrive there. No pod learns a shorter way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kept {
    pub(crate) address: Ipv4Addr,
    /// The index of the ENI's link.
    pub(crate) link: u32,
}

impl Kept {
    fn key(self) -> Vec<u8> {
        [self.address.octets(), self.link.to_ne_bytes()].concat()
    }

    fn of_key(key: &[u8]) -> Option<Self> {
        let (address, link) = key.split_first_chunk::<4>()?;
        let link = u32::from_ne_bytes(link.try_into().ok()?);
        Some(Self { address: (*address).into(), link })
    }
}

/// What the table keeps; none if the kernel has no nf_tables, where nothing can be kept.
pub(crate) async fn list(netlink: &mut Netlink) -> Result<Option<BTreeSet<Kept>>, HostError> {
    let Some(mut present) = entries(netlink).await? else { return Ok(None) };
    let members = keys(netlink, &MEMBERS).await?.unwrap_or_default();
    present.retain(|one| members.contains(one.address.octets().as_slice()));
    let rules = netlink.dump(GET_RULES, &of_table()).await;
    let rules = rules.map_err(failed("list", "the rules of FireCamp's table"))?;
    // An agent of an earlier version made fewer.
    Ok(Some(if rules.len() < RULES { BTreeSet::new() } else { present }))
}

/// The pairs of an address and a link, whether the rules are there or not.
async fn entries(netlink: &mut Netlink) -> Result<Option<BTreeSet<Kept>>, HostError> {
    let found = keys(netlink, &ADDRESSES).await?;
    Ok(found.map(|keys| keys.iter().filter_map(|key| Kept::of_key(key)).collect()))
}

/// The keys of a set; none if the kernel has no nf_tables.
async fn keys(netlink: &mut Netlink, set: &Set) -> Result<Option<BTreeSet<Vec<u8>>>, HostError> {
    let found = match netlink.dump(GET_ELEMENTS, &of_table().text(2, set.name)).await {
        Err(why) if why.errno().is_some_and(nat::is_absent) => return Ok(None),
        Err(why) if why.errno() == Some(ENOENT) => return Ok(Some(BTreeSet::new())),
        found => found,
    };
    let found: Result<Vec<Vec<Vec<u8>>>, NetlinkError> =
        found.and_then(|all| all.iter().map(|bytes| decode(bytes)).collect());
    let found = found.map_err(failed("list", "the addresses of FireCamp's table"))?;
    Ok(Some(found.into_iter().flatten().collect()))
}

/// Whether the kernel refused because it has no chains or expressions of NAT.
pub(crate) fn is_without_nat(why: &HostError) -> bool {
    let HostError::Kernel { source, .. } = why else { return false };
    source.errno().is_some_and(|errno| errno == ENOENT || nat::is_absent(errno))
}

fn decode(payload: &[u8]) -> Result<Vec<Vec<u8>>, NetlinkError> {
    let list = Attributes::after(payload, HEADER)?;
    let all = elements(list.bytes(ELEMENTS).unwrap_or_default())?;
    let key = |element: &Attributes<'_>| {
        let key = Attributes::of(element.bytes(1).ok_or_else(cut)?)?;
        Ok(key.bytes(1).ok_or_else(cut)?.to_vec())
    };
    all.iter().map(key).collect()
}

/// Adds the entry, and removes others of the address. Creates the table if it does not exist, and
/// its rules anew. Does nothing if the kernel has no nf_tables. Returns whether it changed
/// anything.
pub(crate) async fn keep(netlink: &mut Netlink, wanted: Kept) -> Result<bool, HostError> {
    let Some(working) = list(netlink).await? else { return Ok(false) };
    let stale = |one: &Kept| one.address == wanted.address && *one != wanted;
    let present = entries(netlink).await?.unwrap_or_default();
    let stale: Vec<Kept> = present.into_iter().filter(stale).collect();
    if working.contains(&wanted) && stale.is_empty() {
        return Ok(false);
    }
    if !working.contains(&wanted) {
        let [outgoing, incoming, redirect] = rules();
        let changes = [
            (NEW_TABLE, NLM_F_CREATE, of_table().number(2, 0)),
            (NEW_CHAIN, NLM_F_CREATE, POSTROUTING.made()),
            (NEW_CHAIN, NLM_F_CREATE, OUTPUT.made()),
            (NEW_SET, NLM_F_CREATE, ADDRESSES.made()),
            (NEW_SET, NLM_F_CREATE, MEMBERS.made()),
            (DELETE_RULES, 0, of_table()),
            (NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, outgoing),
            (NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, incoming),
            (NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, redirect),
            (NEW_ELEMENTS, NLM_F_CREATE, ADDRESSES.with(&wanted.key())),
            (NEW_ELEMENTS, NLM_F_CREATE, MEMBERS.with(&wanted.address.octets())),
        ];
        transact(netlink, &changes, "keep the source address").await?;
    }
    for one in stale {
        remove(netlink, ADDRESSES.with(&one.key())).await?;
    }
    Ok(true)
}

/// Removes the entries of the address. Returns whether it changed anything.
pub(crate) async fn forget(netlink: &mut Netlink, address: Ipv4Addr) -> Result<bool, HostError> {
    let mut present = entries(netlink).await?.unwrap_or_default();
    present.retain(|one| one.address == address);
    for one in &present {
        remove(netlink, ADDRESSES.with(&one.key())).await?;
    }
    let members = keys(netlink, &MEMBERS).await?.unwrap_or_default();
    let is_member = members.contains(address.octets().as_slice());
    if is_member {
        remove(netlink, MEMBERS.with(&address.octets())).await?;
    }
    Ok(is_member || !present.is_empty())
}

async fn remove(netlink: &mut Netlink, element: Raw) -> Result<(), HostError> {
    match netlink.transact(enclosing(), &[(DELETE_ELEMENTS, 0, element)]).await {
        Err(why) if why.errno() == Some(ENOENT) => Ok(()),
        removed => removed.map_err(failed("forget", "an address of FireCamp's table")),
    }
}

/// Removes the table if it has no entries.
pub(crate) async fn remove_table(netlink: &mut Netlink) -> Result<(), HostError> {
    if entries(netlink).await?.is_none_or(|present| !present.is_empty()) {
        return Ok(());
    }
    let removed = netlink.transact(enclosing(), &[(DELETE_TABLE, 0, of_table())]).await;
    match removed {
        Err(why) if why.errno().is_some_and(|errno| [ENOENT, EBUSY].contains(&errno)) => Ok(()),
        removed => removed.map_err(failed("remove", "FireCamp's table of nf_tables")),
    }
}

async fn transact(
    netlink: &mut Netlink,
    changes: &[(u16, u16, Raw)],
    what: &'static str,
) -> Result<(), HostError> {
    let done = netlink.transact(enclosing(), changes).await;
    done.map_err(failed(what, "in FireCamp's table of nf_tables"))
}

fn enclosing() -> [(u16, Raw); 2] {
    BATCH.map(|kind| (kind, Raw(vec![0, 0, 0, SUBSYSTEM])))
}

fn of_table() -> Raw {
    Raw(IPV4.to_vec()).text(1, TABLE)
}

impl Chain {
    fn made(&self) -> Raw {
        const ACCEPT: u32 = 1;
        let hook = Raw(Vec::new()).number(1, self.hook).number(2, self.priority);
        of_table().text(3, self.name).text(7, self.kind).number(5, ACCEPT).nested(4, &hook)
    }

    fn rule(&self, expressions: &[(&str, Raw)]) -> Raw {
        let list = expressions.iter().fold(none(), |list, (name, data)| {
            list.nested(1, &none().text(1, name).nested(2, data))
        });
        of_table().text(2, self.name).nested(4, &list)
    }
}

impl Set {
    fn made(&self) -> Raw {
        let named = of_table().text(2, self.name).number(3, 0);
        named.number(4, self.key_type).number(5, self.key_length).number(10, self.id)
    }

    /// The set with this key, to add or remove.
    fn with(&self, key: &[u8]) -> Raw {
        let element = none().nested(1, &none().attribute(1, key));
        let list = none().nested(1, &element);
        of_table().text(2, self.name).number(4, self.id).nested(ELEMENTS, &list)
    }

    /// The rule applies to packets whose key, from register 1 on, is in the set.
    fn lookup(&self) -> (&'static str, Raw) {
        ("lookup", none().number(2, 1).text(1, self.name).number(4, self.id))
    }
}

/// The rules of the table. A forwarded packet still has its incoming link in this hook since Linux
/// 5.7 (its change "netfilter: Support iif matches in POSTROUTING").
fn rules() -> [Raw; RULES] {
    const META_IIF: u32 = 4;
    const META_OIF: u32 = 5;
    [keep_source(SOURCE, META_OIF), keep_source(DESTINATION, META_IIF), drop_redirect()]
}

fn none() -> Raw {
    Raw(Vec::new())
}

/// Loads bytes of a packet (`NFT_PAYLOAD_NETWORK_HEADER`, `NFT_PAYLOAD_TRANSPORT_HEADER`) to
/// register 1.
fn load(header: u32, at: u32, length: u32) -> (&'static str, Raw) {
    ("payload", none().number(1, 1).number(2, header).number(3, at).number(4, length))
}

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

/// The offsets of the addresses in an IPv4 header.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;

/// `ip saddr . oif @addresses snat to ip saddr`, or the same of another address and link, in the
/// expressions of nf_tables. The first register is of 16 bytes; the second word of the key is in
/// register 9.
fn keep_source(address: u32, link: u32) -> Raw {
    const IPV4_FAMILY: u32 = 2;
    POSTROUTING.rule(&[
        load(NETWORK_HEADER, address, 4),
        ("meta", none().number(2, link).number(1, 9)),
        ADDRESSES.lookup(),
        load(NETWORK_HEADER, SOURCE, 4),
        ("nat", none().number(1, 0).number(2, IPV4_FAMILY).number(3, 1)),
    ])
}

/// `icmp type redirect icmp gateway @members drop`. The gateway is the destination itself where
/// both are on one link (RFC 792).
fn drop_redirect() -> Raw {
    const META_PROTOCOL: u32 = 16;
    const ICMP: u8 = 1;
    const REDIRECT: u8 = 5;
    const VERDICT: u32 = 0;
    const DROP: u32 = 0;
    let equals = |value: u8| {
        let value = none().attribute(1, &[value]);
        ("cmp", none().number(1, 1).number(2, 0).nested(3, &value))
    };
    let verdict = none().nested(2, &none().number(1, DROP));
    OUTPUT.rule(&[
        ("meta", none().number(2, META_PROTOCOL).number(1, 1)),
        equals(ICMP),
        load(TRANSPORT_HEADER, 0, 1),
        equals(REDIRECT),
        load(TRANSPORT_HEADER, 4, 4),
        MEMBERS.lookup(),
        ("immediate", none().number(1, VERDICT).nested(2, &verdict)),
    ])
}
