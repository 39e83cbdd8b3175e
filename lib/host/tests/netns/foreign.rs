//! Foreign objects stay, whatever FireCamp does; and a withheld address keeps its holder.

use std::net::Ipv4Addr;

use firecamp_core::failure::HostKind;
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::KernelTarget;

use crate::fixture::{ADDRESS, Node, TABLE, fails, holder, with};

const CYCLES: u64 = 1_000;
/// Addresses of members. Another program has added the last one.
const MEMBERS: [Ipv4Addr; 4] = [
    ADDRESS,
    Ipv4Addr::new(10, 0, 1, 100),
    Ipv4Addr::new(10, 0, 1, 13),
    Ipv4Addr::new(10, 0, 1, 14),
];

/// Addresses of a customer, a VIP and a CNI, and foreign rules and routes.
fn foreign(node: &Node) {
    node.net.add_address("eth0", [10, 0, 1, 11].into(), 32, None);
    node.net.add_address("eth1", [10, 0, 1, 12].into(), 32, Some(18));
    node.net.add_address("eth1", MEMBERS[3], 32, Some(17));
    node.net.add_rule(ADDRESS, TABLE, 1536, 4);
    node.net.add_rule([10, 0, 1, 12].into(), TABLE, 700, 17);
    node.net.add_route(([10, 50, 0, 0].into(), 16), None, "eth1", TABLE);
    node.net.add_route(([10, 51, 0, 0].into(), 16), None, "eth1", 10_001);
}

pub(crate) fn listing_shows_own_and_foreign_objects_and_changes_nothing() {
    let node = Node::configured();
    foreign(&node);
    node.attach(&node.on_second(), &holder("pod", 3));
    let before = node.net.everything();
    let listing = node.net.block_on(|| node.host.listing()).unwrap();
    for wanted in [
        "0: from all lookup local",
        &format!("700: from {ADDRESS} lookup {TABLE} proto 201"),
        &format!("700: from 10.0.1.12 lookup {TABLE} proto 17"),
        &format!("1536: from {ADDRESS} lookup {TABLE} proto 4"),
        "32766: from all lookup main",
    ] {
        assert_eq!(with(&listing.rules, wanted).len(), 1, "{wanted} in {:#?}", listing.rules);
    }
    for wanted in [
        &format!("table {TABLE}: default via 10.0.1.1 dev eth1 proto 201"),
        "table 10001: 10.51.0.0/16 dev eth1",
        "table local: local 10.0.1.12 dev eth1",
    ] {
        assert_eq!(with(&listing.routes, wanted).len(), 1, "{wanted} in {:#?}", listing.routes);
    }
    for wanted in [": eth1 ", &format!("    {ADDRESS}/32 proto 201"), "    10.0.1.12/32 proto 18"] {
        assert_eq!(with(&listing.links, wanted).len(), 1, "{wanted} in {:#?}", listing.links);
    }
    assert_eq!(node.net.everything(), before);
}

/// One random operation for one random member, or a removal for an unknown holder.
fn cycle(node: &Node, draw: u64, epoch: u64) {
    let address = MEMBERS[usize::try_from(draw % 4).unwrap()];
    let target = KernelTarget { address, ..node.on_second() };
    let pod = holder("pod", epoch);
    let done = match draw / 4 % 6 {
        0 => node.add(&target, &pod),
        1 => node.route(&target, &pod),
        2 => node.remove(address, &pod),
        3 => node.unroute(address, &pod),
        4 => node.withhold(address, &pod),
        _other => node.remove([10, 0, 1, 12].into(), &holder("nobody", epoch)),
    };
    done.unwrap();
}

pub(crate) fn f034_thousand_random_cycles_leave_foreign_objects_unchanged() {
    let node = Node::configured();
    foreign(&node);
    let before = node.net.everything();
    let mut draw: u64 = 20_261_120;
    for epoch in 1..=CYCLES {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        cycle(&node, draw >> 33, epoch);
        let now = node.net.everything();
        let gone: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
        assert!(gone.is_empty(), "{gone:?} is missing after cycle {epoch}: {now:#?}");
    }
    for address in MEMBERS {
        node.detach(address, &holder("pod", CYCLES + 1));
    }
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn f089_withheld_address_leaves_the_kernel_and_keeps_its_holder() {
    let node = Node::configured();
    let (target, pod) = (node.on_second(), holder("pod", 3));
    let before = node.net.everything();
    node.attach(&target, &pod);
    let whole = node.net.everything();
    fails(node.withhold(ADDRESS, &holder("pod", 2)), HostKind::Superseded, &[]);
    fails(node.withhold(ADDRESS, &holder("other", 3)), HostKind::Superseded, &[]);
    assert_eq!(node.net.everything(), whole);
    assert_eq!(node.withhold(ADDRESS, &pod), Ok(true));
    assert_eq!(node.net.everything(), before);
    assert_eq!(node.withhold(ADDRESS, &pod), Ok(false));
    let held = LockRecord { holder: pod.clone(), hold: Hold::Held };
    assert_eq!(node.view_with_assign_time(&target).recorded, Some(held));
    node.attach(&target, &pod);
    assert_eq!(node.net.everything(), whole, "its holder may add it again");

    // A released address cannot be withheld, and a foreign one is not removed.
    node.detach(ADDRESS, &pod);
    fails(node.withhold(ADDRESS, &pod), HostKind::Superseded, &[]);
    node.net.add_address("eth1", MEMBERS[2], 32, Some(17));
    assert_eq!(node.withhold(MEMBERS[2], &pod), Ok(false));
    assert_eq!(with(&node.net.addresses(), "10.0.1.13/32").len(), 1);
}
