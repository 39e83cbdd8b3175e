//! What the kernel tells of its own accord, and everything of ours in one look.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::KernelOwner;
use firecamp_core::lock::Hold;
use firecamp_host::Monitor;
use firecamp_node::kernel::{Change, KernelSnapshot};
use firecamp_testkit::netns::Net;
use tokio::time::timeout;

use crate::fixture::{ADDRESS, GATEWAY, Node, PRIMARY, TABLE, holder};

/// Our own mark on the kernel's objects.
const OURS: u8 = 201;
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 11);

/// All that is told of what `strip` does, until nothing more comes for a moment.
fn reported(net: &Net, strip: impl FnOnce() + Send) -> Vec<Change> {
    net.settle();
    net.block_on(|| async move {
        let mut monitor = Monitor::open().unwrap();
        strip();
        let mut all = Vec::new();
        while let Ok(news) = timeout(Duration::from_millis(200), monitor.changed()).await {
            all.extend(news.unwrap());
        }
        all
    })
}

pub(crate) fn f063_what_somebody_strips_is_told_at_once() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 1));
    let news = reported(&node.net, || node.net.delete_address("eth1", ADDRESS, 32));
    assert_eq!(news, [Change::Address(ADDRESS)]);
}

pub(crate) fn rules_routes_and_links_are_told_as_well() {
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

pub(crate) fn what_is_foreign_or_wider_is_not_told() {
    let node = Node::new();
    let news = reported(&node.net, || {
        node.net.add_address("eth1", [10, 0, 1, 4].into(), 24, None);
        node.net.add_route((GATEWAY, 32), None, "eth1", 100);
        node.net.add_rule(NEIGHBOUR, 100, 500, 4);
    });
    assert_eq!(news, []);
}

pub(crate) fn f039_news_that_were_dropped_are_told_as_an_overrun() {
    let node = Node::new();
    let flood = || {
        node.net.netlink(|handle| async move {
            for number in 0..2_000_u32 {
                let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 9, 0, 0)) + number);
                handle.address().add(1, address.into(), 32).execute().await.unwrap();
            }
        });
    };
    let news = reported(&node.net, flood);
    assert!(news.contains(&Change::Overrun), "{} news without an overrun", news.len());
}

fn kernel_snapshot(node: &Node) -> KernelSnapshot {
    node.net.block_on(|| node.host.kernel_snapshot()).unwrap()
}

pub(crate) fn f034_a_survey_tells_ours_from_foreign_and_what_is_on_record() {
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
    let ruled = kernel_snapshot(&node);
    assert_eq!(ruled.kernel.get(&ADDRESS), Some(&KernelOwner::Ours), "its rule is left");
    node.detach(ADDRESS, &pod);
    let left = kernel_snapshot(&node);
    assert_eq!(left.kernel, [(NEIGHBOUR, KernelOwner::Foreign)].into());
    assert_eq!(left.locks.get(&ADDRESS).unwrap().hold, Hold::Released);
}

pub(crate) fn a_survey_before_anything_was_done_is_empty() {
    let node = Node::new();
    let found = kernel_snapshot(&node);
    assert!(found.wider.contains(&PRIMARY), "{PRIMARY} is no /32");
    assert_eq!(KernelSnapshot { wider: [].into(), ..found }, KernelSnapshot::default());
}

pub(crate) fn a_survey_has_what_others_configure_with_a_wider_block_as_foreign() {
    let node = Node::new();
    node.net.add_address("eth0", NEIGHBOUR, 24, None);
    let found = kernel_snapshot(&node);
    assert_eq!(found.kernel, [].into(), "nothing of it is looked after");
    assert_eq!(found.mark(NEIGHBOUR), Some(KernelOwner::Foreign));
    assert_eq!(found.mark(ADDRESS), None);
    node.net.add_address("eth0", NEIGHBOUR, 32, None);
    assert_eq!(kernel_snapshot(&node).mark(NEIGHBOUR), Some(KernelOwner::Foreign));
}
