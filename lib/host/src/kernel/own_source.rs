//! FireCamp's table of nf_tables. It keeps the source address of what members in networks of their
//! own send through the ENI, and of what clients send to them: the chain comes before those of
//! other programs, and the first chain that rewrites the source of a connection decides it.
//!
//! Without it the VPC CNI rewrites what leaves the VPC to the node's address, which EC2 drops on an
//! ENI that does not have this address (its `AWS_VPC_K8S_CNI_EXTERNALSNAT`). And a plugin that
//! masquerades whatever does not go to the cluster's ranges, as kubenet does, hides the clients:
//! the static address is in none of these ranges.
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
const SET: &str = "addresses";
const CHAIN: &str = "postrouting";
const RULES: usize = 2;
/// Before `NF_IP_PRI_NAT_SRC` (100), where iptables and the chains of others are.
const PRIORITY: u32 = 99;

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
/// The type by which `nft` shows the set's keys: `ipv4_addr . iface_index`.
const KEY_TYPE: u32 = 7 * 64 + 20;
const KEY_LENGTH: u32 = 8;
const ELEMENTS: u16 = 3;

/// Packets with this source that leave through this link keep it, and so do packets to this address
/// that arrive there.
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
    let present = entries(netlink).await?;
    match netlink.dump(GET_RULES, &of_table().text(2, CHAIN)).await {
        Err(why) if why.errno() == Some(ENOENT) => Ok(present.map(|_| BTreeSet::new())),
        // An agent of an earlier version made one rule.
        Ok(found) if found.len() < RULES => Ok(present.map(|_| BTreeSet::new())),
        Ok(_rules) => Ok(present),
        Err(_unsupported) if present.is_none() => Ok(None),
        Err(why) => Err(failed("list", "the rules of FireCamp's table")(why)),
    }
}

/// The entries of the set, whether the rule is there or not.
async fn entries(netlink: &mut Netlink) -> Result<Option<BTreeSet<Kept>>, HostError> {
    let found = match netlink.dump(GET_ELEMENTS, &of_table().text(2, SET)).await {
        Err(why) if why.errno().is_some_and(nat::is_absent) => return Ok(None),
        Err(why) if why.errno() == Some(ENOENT) => return Ok(Some(BTreeSet::new())),
        found => found,
    };
    let found: Result<Vec<Vec<Kept>>, NetlinkError> =
        found.and_then(|all| all.iter().map(|bytes| decode(bytes)).collect());
    let found = found.map_err(failed("list", "the addresses of FireCamp's table"))?;
    Ok(Some(found.into_iter().flatten().collect()))
}

/// Whether the kernel refused because it has no chains or expressions of NAT.
pub(crate) fn is_without_nat(why: &HostError) -> bool {
    let HostError::Kernel { source, .. } = why else { return false };
    source.errno().is_some_and(|errno| errno == ENOENT || nat::is_absent(errno))
}

fn decode(payload: &[u8]) -> Result<Vec<Kept>, NetlinkError> {
    let list = Attributes::after(payload, HEADER)?;
    let all = elements(list.bytes(ELEMENTS).unwrap_or_default())?;
    let key = |element: &Attributes<'_>| {
        let key = Attributes::of(element.bytes(1).ok_or_else(cut)?)?;
        key.bytes(1).and_then(Kept::of_key).ok_or_else(cut)
    };
    all.iter().map(key).collect()
}

/// Adds the entry, and removes others of the address. Creates the table if it does not exist, and
/// its rule anew. Does nothing if the kernel has no nf_tables. Returns whether it changed anything.
pub(crate) async fn keep(netlink: &mut Netlink, wanted: Kept) -> Result<bool, HostError> {
    let Some(working) = list(netlink).await? else { return Ok(false) };
    let stale = |one: &Kept| one.address == wanted.address && *one != wanted;
    let present = entries(netlink).await?.unwrap_or_default();
    let stale: Vec<Kept> = present.into_iter().filter(stale).collect();
    if working.contains(&wanted) && stale.is_empty() {
        return Ok(false);
    }
    if !working.contains(&wanted) {
        let [outgoing, incoming] = rules();
        let changes = [
            (NEW_TABLE, NLM_F_CREATE, of_table().number(2, 0)),
            (NEW_CHAIN, NLM_F_CREATE, chain()),
            (NEW_SET, NLM_F_CREATE, set()),
            (DELETE_RULES, 0, of_table().text(2, CHAIN)),
            (NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, outgoing),
            (NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, incoming),
            (NEW_ELEMENTS, NLM_F_CREATE, of_set(&[wanted])),
        ];
        transact(netlink, &changes, "keep the source address").await?;
    }
    remove(netlink, &stale).await?;
    Ok(true)
}

/// Removes the entries of the address. Returns whether it changed anything.
pub(crate) async fn forget(netlink: &mut Netlink, address: Ipv4Addr) -> Result<bool, HostError> {
    let present = entries(netlink).await?.unwrap_or_default();
    let stale: Vec<Kept> = present.into_iter().filter(|one| one.address == address).collect();
    remove(netlink, &stale).await?;
    Ok(!stale.is_empty())
}

async fn remove(netlink: &mut Netlink, stale: &[Kept]) -> Result<(), HostError> {
    for one in stale {
        let changes = [(DELETE_ELEMENTS, 0, of_set(&[*one]))];
        match netlink.transact(enclosing(), &changes).await {
            Err(why) if why.errno() == Some(ENOENT) => {}
            removed => removed.map_err(failed("forget", "a source address of FireCamp's table"))?,
        }
    }
    Ok(())
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

fn chain() -> Raw {
    const POSTROUTING: u32 = 4;
    const ACCEPT: u32 = 1;
    let hook = Raw(Vec::new()).number(1, POSTROUTING).number(2, PRIORITY);
    of_table().text(3, CHAIN).text(7, "nat").number(5, ACCEPT).nested(4, &hook)
}

fn set() -> Raw {
    of_table().text(2, SET).number(3, 0).number(4, KEY_TYPE).number(5, KEY_LENGTH).number(10, 1)
}

fn of_set(entries: &[Kept]) -> Raw {
    let list = entries.iter().fold(Raw(Vec::new()), |list, entry| {
        let key = Raw(Vec::new()).attribute(1, &entry.key());
        list.nested(1, &Raw(Vec::new()).nested(1, &key))
    });
    of_table().text(2, SET).number(4, 1).nested(ELEMENTS, &list)
}

/// The rules of the table. A forwarded packet still has its incoming link in this hook since Linux
/// 5.7 (its change "netfilter: Support iif matches in POSTROUTING").
fn rules() -> [Raw; RULES] {
    const META_IIF: u32 = 4;
    const META_OIF: u32 = 5;
    [rule(SOURCE, META_OIF), rule(DESTINATION, META_IIF)]
}

/// The offsets of the addresses in an IPv4 header.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;

/// `ip saddr . oif @addresses snat to ip saddr`, or the same of another address and link, in the
/// expressions of nf_tables. The first register is of 16 bytes; the second word of the key is in
/// register 9.
fn rule(address: u32, link: u32) -> Raw {
    const NETWORK_HEADER: u32 = 1;
    const IPV4_FAMILY: u32 = 2;
    let none = || Raw(Vec::new());
    let load = |at| none().number(1, 1).number(2, NETWORK_HEADER).number(3, at).number(4, 4);
    let expressions = [
        ("payload", load(address)),
        ("meta", none().number(2, link).number(1, 9)),
        ("lookup", none().number(2, 1).text(1, SET).number(4, 1)),
        ("payload", load(SOURCE)),
        ("nat", none().number(1, 0).number(2, IPV4_FAMILY).number(3, 1)),
    ];
    let list = expressions
        .iter()
        .fold(none(), |list, (name, data)| list.nested(1, &none().text(1, name).nested(2, data)));
    of_table().text(2, CHAIN).nested(4, &list)
}
