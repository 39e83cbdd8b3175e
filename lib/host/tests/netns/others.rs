//! The preflight lists foreign rules and chains.

use firecamp_node::preflight::KernelChecks as _;
use firecamp_node::preflight::facts::{Chain, ForeignRule};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::fixture::{ADDRESS, Node, holder};

pub(crate) fn f067_foreign_rules_are_listed_and_stay() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 1));
    node.net.add_rule(ADDRESS, 2, 1536, 4);
    let before = node.net.everything();
    let seen = node.net.block_on(|| async { node.host.foreign_rules().await.unwrap() });
    let caught: Vec<&ForeignRule> = seen.iter().filter(|rule| rule.from.is_some()).collect();
    let leaked =
        ForeignRule { priority: 1536, from: Some((ADDRESS, 32)), to: None, table: Some(2) };
    assert_eq!(caught, [&leaked], "FireCamp's own rule is not listed");
    let usual: Vec<Option<u32>> = seen.iter().map(|rule| rule.table).collect();
    assert_eq!(usual, [Some(255), Some(2), Some(254), Some(253)]);
    assert_eq!(node.net.everything(), before);
}

/// A netlink attribute.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

/// An attribute that contains others.
fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | 0x8000, &parts.concat())
}

/// A message of nf_tables about IPv4, or the start or end of a batch.
fn message(kind: u16, flags: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    let is_batch = kind < 0x20;
    let (family, resource) = if is_batch { (0, 10_u16) } else { (2, 0) };
    let [high, low] = resource.to_be_bytes();
    let body = [vec![family, 0, high, low], parts.concat()].concat();
    let length = u32::try_from(body.len() + 16).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((1 | flags).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[text(1, name), nested(2, data)])
}

/// Creates a table `nat` with three chains: one masquerades, one rewrites the source to an address,
/// and one rewrites the destination.
fn create_chains() {
    let (create, table) = (0x400, 10 << 8);
    let chain = |name: &str, hook: u32| {
        let place = [attribute(1, &hook.to_be_bytes()), attribute(2, &100_i32.to_be_bytes())];
        let parts = [text(1, "nat"), text(3, name), nested(4, &place), text(7, "nat")];
        message(table | 3, create, &parts)
    };
    let rule = |chain: &str, expressions: &[Vec<u8>]| {
        message(table | 6, create, &[text(1, "nat"), text(2, chain), nested(4, expressions)])
    };
    let (register, address) = (attribute(1, &8_u32.to_be_bytes()), [10, 0, 0, 9]);
    let load = expression("immediate", &[register, nested(2, &[attribute(1, &address)])]);
    let nat = |kind: u32| {
        let numbers = [(1, kind), (2, 2), (3, 8)];
        let data: Vec<Vec<u8>> =
            numbers.iter().map(|(at, number)| attribute(*at, &number.to_be_bytes())).collect();
        expression("nat", &data)
    };
    let batch = [
        message(0x10, 0, &[]),
        message(table, create, &[text(1, "nat")]),
        chain("plain", 4),
        chain("fixed", 4),
        chain("incoming", 0),
        rule("plain", &[expression("masq", &[])]),
        rule("fixed", &[load.clone(), nat(0)]),
        rule("incoming", &[load, nat(1)]),
        message(0x11, 0, &[]),
    ];
    send(&batch);
}

fn send(batch: &[Vec<u8>]) {
    let socket = Socket::new(NETLINK_NETFILTER).unwrap();
    socket.send(&batch.concat(), 0).unwrap();
}

/// Rewrites the source of everything that leaves this network namespace through a link.
pub(crate) fn masquerade(link: u32) {
    let (create, table) = (0x400, 10 << 8);
    let place = [attribute(1, &4_u32.to_be_bytes()), attribute(2, &100_i32.to_be_bytes())];
    let chain = [text(1, "nat"), text(3, "snat"), nested(4, &place), text(7, "nat")];
    let register = || attribute(1, &8_u32.to_be_bytes());
    // `oif` is the fifth key of meta; the comparison is for equality.
    let load = expression("meta", &[attribute(2, &5_u32.to_be_bytes()), register()]);
    let value = nested(3, &[attribute(1, &link.to_ne_bytes())]);
    let compare = expression("cmp", &[register(), attribute(2, &0_u32.to_be_bytes()), value]);
    let expressions = nested(4, &[load, compare, expression("masq", &[])]);
    send(&[
        message(0x10, 0, &[]),
        message(table, create, &[text(1, "nat")]),
        message(table | 3, create, &chain),
        message(table | 6, create, &[text(1, "nat"), text(2, "snat"), expressions]),
        message(0x11, 0, &[]),
    ]);
}

/// What nf_tables answers to a request about FireCamp's table; empty if there is none.
fn answer(kind: u16, flags: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    let socket = Socket::new(NETLINK_NETFILTER).unwrap();
    let table = [vec![text(1, "firecamp_members")], parts.to_vec()].concat();
    socket.send(&message((10 << 8) | kind, flags, &table), 0).unwrap();
    let mut all = Vec::new();
    loop {
        let (bytes, _from) = socket.recv_from_full().unwrap();
        let mut rest = &bytes[..];
        while let Some([l0, l1, l2, l3, k0, k1, ..]) = rest.first_chunk::<16>() {
            // An error or acknowledgement, or the end of a dump.
            if [2, 3].contains(&u16::from_ne_bytes([*k0, *k1])) {
                return all;
            }
            let length = u32::from_ne_bytes([*l0, *l1, *l2, *l3]);
            let (message, later) = rest.split_at(usize::try_from(length).unwrap());
            all.extend(message);
            rest = later;
        }
    }
}

/// Whether FireCamp's table exists.
pub(crate) fn has_table() -> bool {
    !answer(1, 4, &[]).is_empty()
}

/// Whether FireCamp's table keeps the source address.
pub(crate) fn keeps(address: std::net::Ipv4Addr) -> bool {
    let elements = answer(13, 0x300, &[text(2, "addresses")]);
    elements.windows(4).any(|bytes| bytes == address.octets())
}

/// Deletes this table of nf_tables, as `nft delete table` does.
pub(crate) fn delete_table(name: &str) {
    let delete = message((10 << 8) | 2, 0, &[text(1, name)]);
    send(&[message(0x10, 0, &[]), delete, message(0x11, 0, &[])]);
}

/// Takes from FireCamp's table what agents of earlier versions did not make: a chain with its rule,
/// and the set of the rule.
pub(crate) fn make_older() {
    let delete = |kind: u16, parts: [Vec<u8>; 2]| message((10 << 8) | kind, 0, &parts);
    let table = || text(1, "firecamp_members");
    let chain = delete(5, [table(), text(3, "output")]);
    let set = delete(11, [table(), text(2, "members")]);
    send(&[message(0x10, 0, &[]), chain, set, message(0x11, 0, &[])]);
}

pub(crate) fn f067_snat_chains_are_listed_and_stay() {
    let node = Node::new();
    let chains = || node.net.block_on(|| async { node.host.source_nat().await.unwrap() });
    assert_eq!(chains(), []);
    node.net.run(create_chains);
    let chain = |name: &str| Chain { table: "nat".to_owned(), name: name.to_owned() };
    let both = [chain("fixed"), chain("plain")];
    assert_eq!(chains(), both, "the chain that rewrites destinations is not listed");
    assert_eq!(chains(), both, "listing removes nothing");
}
