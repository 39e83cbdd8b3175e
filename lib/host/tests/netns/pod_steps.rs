//! The steps in which the network of a pod gets and loses an address: their order, and a process
//! that dies between them.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ports::HostNet as _;
use firecamp_testkit::netns::Net;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use tokio::task::coop::{has_budget_remaining, poll_proceed};

use crate::fixture::{ADDRESS, GATEWAY, fails, holder};
use crate::pod_fixture::{Cni, Fixture, OTHER_POD, POD, Pod, SERVICE, dials};

/// What the kernel reports about the address while `work` runs, on the node and in the pods to
/// which its veths lead, in the order of the changes.
fn changes(node: &Net, work: impl FnOnce()) -> Vec<&'static str> {
    let socket = node.run(|| {
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        socket.set_listen_all_namespaces(true).unwrap();
        // `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV4_ROUTE`.
        for group in [5, 7] {
            socket.add_membership(group).unwrap();
        }
        socket.set_non_blocking(true).unwrap();
        socket
    });
    work();
    let mut found = Vec::new();
    loop {
        // The kernel has queued a message by the time it acknowledges its change.
        match socket.recv_from_full() {
            Ok((message, _kernel)) => found.extend(change(&message)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                return found;
            }
        }
    }
}

/// None if the message is about something else, such as the local route of the address.
fn change(message: &[u8]) -> Option<&'static str> {
    const REPLACE: u16 = 0x100;
    let number = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
    let (kind, flags) = (number(4), number(6));
    if !message.windows(4).any(|bytes| bytes == ADDRESS.octets()) {
        return None;
    }
    // `rtm_dst_len` and `rtm_table`: a /32 in the main table leads to a pod.
    let to_pod = (message[17], message[20]) == (32, 254);
    match (kind, to_pod) {
        (20, _) => Some("address added"),
        (21, _) => Some("address removed"),
        (24, true) if flags & REPLACE != 0 => Some("route replaced"),
        (24, true) => Some("route added"),
        (25, true) => Some("route removed"),
        _ => None,
    }
}

fn taken_over(cni: Cni, steps: &[&str]) {
    let fixture = Fixture::new(cni);
    let (old, new) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    fixture.attach(&old, &holder("old", 1));
    let takes_over = || fixture.attach(&new, &holder("new", 2));
    assert_eq!(changes(&fixture.node.net, takes_over), steps);
    assert_eq!(dials(&fixture.node.router, &new.net, ADDRESS), GATEWAY);
    assert!(!old.net.run(|| TcpListener::bind((ADDRESS, 0)).is_ok()), "the old pod lost it");
    assert_eq!(dials(&old.net, &fixture.node.net, SERVICE), POD, "it has its own network yet");
    // The old pod's release comes late.
    let by = holder("old", 1);
    let late = fixture.node.net.block_on(|| fixture.host.remove_address(ADDRESS, &by));
    fails(late, HostKind::Superseded, &["old epoch"]);
    assert!(fixture.complete(&fixture.node.on_second()));
}

pub(crate) fn f113_successor_on_the_same_node_gets_the_address_in_one_step() {
    taken_over(Cni::Veth, &["address added", "route replaced", "address removed"]);
}

/// The route leads to the bridge; only the permanent neighbour behind it changes.
pub(crate) fn f113_route_to_a_bridge_stays_while_a_successor_takes_over() {
    taken_over(Cni::Bridge, &["address added", "address removed"]);
}

/// No packet reaches a pod that has the address no longer.
pub(crate) fn release_removes_the_route_to_the_pod_before_the_address_in_it() {
    let fixture = Fixture::new(Cni::Bridge);
    let (pod, by) = (fixture.pod("1", POD), holder("pod", 1));
    fixture.attach(&pod, &by);
    let seen = changes(&fixture.node.net, || fixture.detach(&by));
    assert_eq!(seen, ["route removed", "address removed"]);
}

/// Leaves one unit of the budget that tokio gives a future each time it polls it: enough to send a
/// request to the kernel, or to receive from it.
fn leave_one_unit() {
    let mut nobody = Context::from_waker(Waker::noop());
    let mut last = None;
    while let Poll::Ready(unit) = poll_proceed(&mut nobody) {
        if let Some(spent) = last.replace(unit) {
            spent.made_progress();
        }
    }
    // Returns the last unit when it is dropped.
}

/// Whether the work ends before it has sent and received `most` times. If not, drops it there: as
/// at the death of its process, its sockets are closed and its lock is free.
async fn ends_within(most: u64, work: impl Future<Output = Result<bool, HostFailure>>) -> bool {
    let mut work = pin!(work);
    let mut made = 0;
    poll_fn(|context| {
        leave_one_unit();
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            done.unwrap();
            return Poll::Ready(true);
        }
        made += u64::from(!has_budget_remaining());
        if made == most { Poll::Ready(false) } else { Poll::Pending }
    })
    .await
}

/// What the kernel has on the node, with FireCamp's neighbours, and in the pods.
fn state(fixture: &Fixture, pods: [&Pod; 2]) -> Vec<String> {
    let node = &fixture.node.net;
    let neighbours = node.run(|| std::fs::read_to_string("/proc/thread-self/net/arp").unwrap());
    let permanent = neighbours.lines().filter(|line| line.contains(" 0x6 ")).map(str::to_owned);
    let networks = [node, &pods[0].net, &pods[1].net];
    permanent.chain(networks.into_iter().flat_map(Net::everything)).collect()
}

/// Ends an attach after each message to or from the kernel, and attaches again. Before it the pod
/// `holder_before` has the address, or none has.
fn is_completed_after_each_crash(holder_before: Option<&str>) {
    let fixture = Fixture::new(Cni::Veth);
    let (old, new) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    fixture.connect(&old, "old").unwrap();
    fixture.connect(&new, "new").unwrap();
    let (target, node) = (fixture.node.on_second(), &fixture.node.net);
    let now = || state(&fixture, [&old, &new]);
    let prepare = |epoch: u64| match holder_before {
        Some(pod) => {
            fixture.add(&target, &holder(pod, epoch)).unwrap();
        }
        None => fixture.detach(&holder("new", epoch)),
    };
    prepare(1);
    fixture.add(&target, &holder("new", 2)).unwrap();
    let undisturbed = now();
    let (mut left, mut most, mut ended) = (BTreeSet::new(), 0, false);
    while !ended {
        most += 1;
        prepare(2 * most + 1);
        let by = holder("new", 2 * most + 2);
        ended = node.block_on(|| ends_within(most, fixture.host.add_address(&target, &by)));
        left.insert(now());
        fixture.add(&target, &by).unwrap();
        assert!(fixture.complete(&target), "after {most} messages");
        assert_eq!(now(), undisturbed, "after {most} messages");
    }
    assert!(left.len() > 10, "a crash left only {} different states", left.len());
}

pub(crate) fn f139_attach_that_ends_at_any_step_is_completed_by_the_next() {
    is_completed_after_each_crash(None);
}

pub(crate) fn f139_takeover_that_ends_at_any_step_is_completed_by_the_next() {
    is_completed_after_each_crash(Some("old"));
}

/// The pod before it has `hostNetwork`.
pub(crate) fn f152_move_to_a_pods_network_that_ends_at_any_step_is_completed_by_the_next() {
    is_completed_after_each_crash(Some("direct"));
}
