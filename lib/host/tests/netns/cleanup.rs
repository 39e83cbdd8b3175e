//! `firecamp cleanup` on a node.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use firecamp_core::contract::path::{AGENT_LOCK, LOCK_SUBDIR};
use firecamp_core::contract::protocol::Protocol;
use firecamp_core::failure::HostKind;
use firecamp_core::ports::{KernelTarget, SocketUse};
use firecamp_host::{AgentLock, Cleared};
use firecamp_node::cleanup::{Kernel, Lock, Observation, Plan, Step, Subject, plan};

use crate::fixture::{ADDRESS, Node, RUN, TABLE, fails, holder};

const SECOND_MEMBER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 20);

/// Observes the node; no pod runs on it.
fn observed(node: &Node) -> Observation {
    node.net.block_on(|| async {
        let kernel = node.host.left().await.unwrap();
        let sockets = node.host.sockets_of(kernel.subjects()).await;
        let agent = AgentLock::is_taken(Path::new(RUN)).unwrap();
        Observation { agent, kernel, sockets, pods: Ok([].into()), records: Ok([].into()) }
    })
}

fn execute(node: &Node, plan: &Plan) -> Vec<Cleared> {
    let step = |Step { subject, .. }: &Step| {
        node.net.block_on(|| async {
            match subject {
                Subject::Address(address, lock) => node.host.clear(*address, lock.as_ref()).await,
                Subject::Table(table) => node.host.clear_table(*table).await,
                Subject::Interface(address) => node.host.clear_interface(*address).await,
            }
        })
    };
    plan.steps.iter().map(|one| step(one).unwrap()).collect()
}

/// Observes, plans and executes.
pub(crate) fn clean(node: &Node) -> Vec<Cleared> {
    execute(node, &plan(&observed(node), false))
}

/// Foreign objects: an address, a VIP, a CNI's rule and route, and a route in FireCamp's table.
fn foreign(node: &Node) {
    node.net.add_address("eth0", [10, 0, 1, 11].into(), 32, None);
    node.net.add_address("eth1", [10, 0, 1, 12].into(), 32, Some(18));
    node.net.add_rule(ADDRESS, 2, 1536, 4);
    node.net.add_route(([10, 50, 0, 0].into(), 16), None, "eth1", TABLE);
    node.net.add_route(([10, 51, 0, 0].into(), 16), None, "eth1", 10_001);
}

fn lock_file(address: Ipv4Addr) -> PathBuf {
    Path::new(RUN).join(LOCK_SUBDIR).join(address.to_string())
}

pub(crate) fn f099_cleanup_removes_own_objects_keeps_foreign_ones_and_is_idempotent() {
    let node = Node::configured();
    foreign(&node);
    let before = node.net.everything();
    assert_eq!(observed(&node).kernel.subjects(), [].into(), "all objects are foreign");
    assert_eq!(clean(&node), []);
    assert!(!Path::new(RUN).exists(), "observing creates nothing");

    let on_primary = KernelTarget { address: SECOND_MEMBER, ..node.on_primary() };
    node.attach(&node.on_second(), &holder("pod", 3));
    node.attach(&on_primary, &holder("other", 1));
    assert_eq!(clean(&node), [Cleared::Gone; 3], "two addresses and a table");
    assert_eq!(node.net.everything(), before);

    let lock = std::fs::read(lock_file(ADDRESS)).unwrap();
    assert_eq!(clean(&node), []);
    assert_eq!(node.net.everything(), before);
    assert_eq!(std::fs::read(lock_file(ADDRESS)).unwrap(), lock);
    let restored = node.add(&node.on_second(), &holder("pod", 3));
    fails(restored, HostKind::Superseded, &["released by pod pod"]);
    node.attach(&node.on_second(), &holder("pod", 4));
}

pub(crate) fn f099_own_address_of_an_interface_goes_last() {
    let node = Node::new();
    let before = node.net.everything();
    let target = node.on_second();
    assert_eq!(node.raise(target.mac), Ok(true));
    node.attach(&target, &holder("pod", 3));
    let all = plan(&observed(&node), false);
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    let in_use = node.net.everything();
    assert_eq!(plan(&observed(&node), true).steps, [], "a member may need it");
    assert_eq!(execute(&node, &all).last(), Some(&Cleared::Changed), "read again");
    assert_eq!(node.net.everything(), in_use);
    drop(listener);
    assert_eq!(clean(&node), [Cleared::Gone; 3], "an address, a table and the own address");
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn f099_address_stays_while_a_socket_uses_it() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 3));
    let old_plan = plan(&observed(&node), true);
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    let before = node.net.everything();
    let used = SocketUse { listeners: 1, ..SocketUse::default() };
    // The rules of the table are read again, like the sockets of the address.
    assert_eq!(execute(&node, &old_plan), [Cleared::Used(used), Cleared::Changed]);
    assert_eq!(plan(&observed(&node), true).steps, []);
    assert_eq!(clean(&node), []);
    assert_eq!(node.net.everything(), before);
    drop(listener);
    assert_eq!(clean(&node), [Cleared::Gone; 2]);
}

pub(crate) fn f099_table_stays_while_a_rule_of_another_member_looks_it_up() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 3));
    let alone = node.net.everything();
    let other = KernelTarget { address: SECOND_MEMBER, ..node.on_second() };
    node.attach(&other, &holder("other", 1));
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    assert_eq!(clean(&node), [Cleared::Gone]);
    assert_eq!(node.net.everything(), alone);
    drop(listener);
}

pub(crate) fn f099_address_that_is_attached_after_the_plan_stays() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 3));
    let old_plan = plan(&observed(&node), false);
    node.attach(&node.on_second(), &holder("next", 4));
    let before = node.net.everything();
    assert_eq!(execute(&node, &old_plan), [Cleared::Changed; 2]);
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn f099_objects_of_a_later_version_are_reported_and_stay() {
    let node = Node::configured();
    node.net.add_address("eth1", SECOND_MEMBER, 24, Some(201));
    node.net.add_address("eth1", [10, 0, 1, 30].into(), 32, Some(202));
    node.net.add_rule([10, 0, 1, 31].into(), TABLE, 800, 201);
    node.attach(&node.on_second(), &holder("pod", 3));
    std::fs::write(lock_file(ADDRESS), "firecamp-holder v2 pod=pod epoch=3\n").unwrap();
    let before = node.net.everything();
    let Kernel { addresses, rules, locks, .. } = observed(&node).kernel;
    assert_eq!((addresses.len(), rules.len()), (2, 2), "untagged objects are not listed");
    assert!(matches!(locks[&ADDRESS], Lock::Apart(_)));
    let plan = plan(&observed(&node), true);
    assert_eq!(plan.steps, []);
    let reasons: Vec<&str> = plan.kept.iter().map(|one| one.why.reason()).collect();
    let other = ["OtherVersion", "OtherVersion", "OtherShape", "OtherShape"];
    assert_eq!(reasons, [&other[..], &["TableInUse"; 2]].concat());
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn f099_running_agent_is_detected_and_no_second_one_starts() {
    let node = Node::new();
    assert!(!observed(&node).agent);
    let ours = AgentLock::take(Path::new(RUN)).unwrap();
    assert!(ours.is_some() && observed(&node).agent);
    assert!(AgentLock::take(Path::new(RUN)).unwrap().is_none());
    drop(ours);
    assert!(!observed(&node).agent);
    std::fs::create_dir(Path::new(RUN).join("x")).unwrap();
    std::fs::remove_file(Path::new(RUN).join(AGENT_LOCK)).unwrap();
    assert!(!observed(&node).agent);
}

/// Rewrites the lock record as one of a program two versions ahead. Returns its protocol number.
fn make_record_of_a_later_version(address: Ipv4Addr) -> u32 {
    let text = std::fs::read_to_string(lock_file(address)).unwrap();
    let Protocol { current, oldest } = Protocol::OURS;
    let ours = format!("protocol={current} oldest={oldest}");
    assert!(text.contains(&ours), "{text}");
    let two_ahead = format!("protocol={} oldest={}", current + 2, current + 1);
    std::fs::write(lock_file(address), text.replace(&ours, &two_ahead)).unwrap();
    current + 2
}

pub(crate) fn f097_address_of_an_incompatible_version_stays_until_the_next_incarnation() {
    let node = Node::configured();
    let (target, pod) = (node.on_second(), holder("pod", 3));
    node.attach(&target, &pod);
    let later = make_record_of_a_later_version(ADDRESS);
    let before = node.net.everything();
    let words = ["incompatible version", &format!("protocol {later}")];
    fails(node.remove(ADDRESS, &pod), HostKind::Refused, &words);
    fails(node.unroute(ADDRESS, &pod), HostKind::Refused, &words);
    fails(node.withhold(ADDRESS, &pod), HostKind::Refused, &words);
    fails(node.add(&target, &pod), HostKind::Refused, &words);
    assert_eq!(plan(&observed(&node), true).steps, []);
    assert_eq!(node.net.everything(), before);

    node.attach(&target, &holder("next", 4));
    node.detach(ADDRESS, &holder("next", 4));
    assert_eq!(observed(&node).kernel.subjects(), [].into());
}

pub(crate) fn f097_withdrawing_agent_removes_the_address_of_an_incompatible_version() {
    let mut node = Node::configured();
    let (alone, target, pod) = (node.net.everything(), node.on_second(), holder("pod", 3));
    node.attach(&target, &pod);
    make_record_of_a_later_version(ADDRESS);
    let before = node.net.everything();
    node.host = node.host.clone().withdrawing();
    fails(node.withhold(ADDRESS, &pod), HostKind::Refused, &["incompatible version"]);
    fails(node.add(&target, &pod), HostKind::Refused, &["incompatible version"]);
    fails(node.remove(ADDRESS, &holder("pod", 2)), HostKind::Superseded, &["an old epoch"]);
    assert_eq!(node.net.everything(), before);
    node.detach(ADDRESS, &pod);
    assert_eq!(node.net.everything(), alone);
    fails(node.add(&target, &pod), HostKind::Superseded, &["an old epoch"]);
}
