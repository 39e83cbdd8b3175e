//! Kernel events, and snapshots of the kernel.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::KernelOwner;
use firecamp_core::lock_rule::Hold;
use firecamp_host::Monitor;
use firecamp_node::kernel::{Change, KernelSnapshot};
use firecamp_testkit::netns::Net;
use tokio::time::timeout;

use crate::fixture::{ADDRESS, GATEWAY, Node, PRIMARY, TABLE, holder};

/// FireCamp's protocol number.
const OURS: u8 = 201;
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 11);

/// All events caused by `change`, until none arrives for a moment.
fn reported(net: &Net, change: impl FnOnce() + Send) -> Vec<Change> {
    net.settle();
    net.block_on(|| async move {
        let mut monitor = Monitor::open().unwrap();
        change();
        let mut all = Vec::new();
        while let Ok(events) = timeout(Duration::from_millis(200), monitor.changed()).await {
            all.extend(events.unwrap());
        }
        all
    })
}

pub(crate) fn f063_removed_address_causes_an_event() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 1));
    let events = reported(&node.net, || node.net.delete_address("eth1", ADDRESS, 32));
    assert_eq!(events, [Change::Address(ADDRESS)]);
}

pub(crate) fn changes_of_rules_routes_and_links_cause_events() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 1));
    let rule = reported(&node.net, || node.net.delete_rule(ADDRESS, TABLE, 700, OURS));
    assert_eq!(rule, [Change::Routing]);
    let any = (Ipv4Addr::UNSPECIFIED, 0);
    let route = reported(&node.net, || node.net.delete_route(any, TABLE));
    assert_eq!(route, [Change::Routing]);
    let link = reported(&node.net, || node.net.down("eth1"));
    assert!(link.contains(&Change::Link), "{link:?}");
}

pub(crate) fn foreign_objects_and_wider_prefixes_cause_no_event() {
    let node = Node::new();
    let events = reported(&node.net, || {
        node.net.add_address("eth1", [10, 0, 1, 4].into(), 24, None);
        node.net.add_route((GATEWAY, 32), None, "eth1", 100);
        node.net.add_rule(NEIGHBOUR, 100, 500, 4);
    });
    assert_eq!(events, []);
}

pub(crate) fn f039_dropped_events_are_reported_as_an_overrun() {
    let node = Node::new();
    let flood = || {
        node.net.netlink(|handle| async move {
            for number in 0..2_000_u32 {
                let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 9, 0, 0)) + number);
                handle.address().add(1, address.into(), 32).execute().await.unwrap();
            }
        });
    };
    let events = reported(&node.net, flood);
    assert!(events.contains(&Change::Overrun), "no overrun in {} changes", events.len());
}

fn kernel_snapshot(node: &Node) -> KernelSnapshot {
    node.net.block_on(|| node.host.kernel_snapshot()).unwrap()
}

pub(crate) fn f034_snapshot_separates_own_from_foreign_addresses_and_has_the_lock_records() {
    let node = Node::configured();
    let pod = holder("pod", 3);
    node.attach(&node.on_second(), &pod);
    node.net.add_address("eth0", NEIGHBOUR, 32, None);
    let found = kernel_snapshot(&node);
    let expected = [(ADDRESS, KernelOwner::Ours), (NEIGHBOUR, KernelOwner::Foreign)];
    assert_eq!(found.kernel, expected.into());
    let lock = found.locks.get(&ADDRESS).unwrap();
    assert_eq!((&lock.holder, lock.hold), (&pod, Hold::Held));

    node.net.delete_address("eth1", ADDRESS, 32);
    let with_rule = kernel_snapshot(&node);
    assert_eq!(with_rule.kernel.get(&ADDRESS), Some(&KernelOwner::Ours), "its rule still exists");
    node.detach(ADDRESS, &pod);
    let released = kernel_snapshot(&node);
    assert_eq!(released.kernel, [(NEIGHBOUR, KernelOwner::Foreign)].into());
    assert_eq!(released.locks.get(&ADDRESS).unwrap().hold, Hold::Released);
}

pub(crate) fn snapshot_of_an_unused_node_is_empty() {
    let node = Node::new();
    let found = kernel_snapshot(&node);
    assert!(found.wider.contains(&PRIMARY), "{PRIMARY} has a wider prefix");
    assert_eq!(KernelSnapshot { wider: [].into(), ..found }, KernelSnapshot::default());
}

pub(crate) fn snapshot_marks_addresses_with_a_wider_prefix_as_foreign() {
    let node = Node::new();
    node.net.add_address("eth0", NEIGHBOUR, 24, None);
    let found = kernel_snapshot(&node);
    assert_eq!(found.kernel, [].into(), "it is not a /32");
    assert_eq!(found.mark(NEIGHBOUR), Some(KernelOwner::Foreign));
    assert_eq!(found.mark(ADDRESS), None);
    node.net.add_address("eth0", NEIGHBOUR, 32, None);
    assert_eq!(kernel_snapshot(&node).mark(NEIGHBOUR), Some(KernelOwner::Foreign));
}
