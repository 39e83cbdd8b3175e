//! What is left behind, and what takes it away.

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

/// Everything there is to know of the node, where no pod lives any more.
fn look(node: &Node) -> Observation {
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
            }
        })
    };
    plan.steps.iter().map(|one| step(one).unwrap()).collect()
}

/// Looks, plans and executes.
fn clean(node: &Node) -> Vec<Cleared> {
    execute(node, &plan(&look(node), false))
}

/// Things of others beside ours: an address, a VIP, a CNI's rule and route, and one in our table.
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

pub(crate) fn f099_what_is_left_goes_and_what_is_foreign_stays_and_a_second_time_nothing_changes() {
    let node = Node::configured();
    foreign(&node);
    let before = node.net.everything();
    assert_eq!(look(&node).kernel.subjects(), [].into(), "nothing of it is ours");
    assert_eq!(clean(&node), []);
    assert!(!Path::new(RUN).exists(), "to look makes nothing");

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

pub(crate) fn f099_what_a_socket_uses_stays_until_it_is_closed() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 3));
    let early = plan(&look(&node), true);
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    let before = node.net.everything();
    let used = SocketUse { listeners: 1, ..SocketUse::default() };
    // The table is asked for its rules afresh, as the address is for its sockets.
    assert_eq!(execute(&node, &early), [Cleared::Used(used), Cleared::Changed]);
    assert_eq!(plan(&look(&node), true).steps, []);
    assert_eq!(clean(&node), []);
    assert_eq!(node.net.everything(), before);
    drop(listener);
    assert_eq!(clean(&node), [Cleared::Gone; 2]);
}

pub(crate) fn f099_a_table_stays_for_the_member_that_still_has_a_rule() {
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

pub(crate) fn f099_who_acts_after_the_look_keeps_the_address() {
    let node = Node::configured();
    node.attach(&node.on_second(), &holder("pod", 3));
    let early = plan(&look(&node), false);
    node.attach(&node.on_second(), &holder("next", 4));
    let before = node.net.everything();
    assert_eq!(execute(&node, &early), [Cleared::Changed; 2]);
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn f099_what_a_later_version_made_is_seen_and_stays() {
    let node = Node::configured();
    node.net.add_address("eth1", SECOND_MEMBER, 24, Some(201));
    node.net.add_address("eth1", [10, 0, 1, 30].into(), 32, Some(202));
    node.net.add_rule([10, 0, 1, 31].into(), TABLE, 800, 201);
    node.attach(&node.on_second(), &holder("pod", 3));
    std::fs::write(lock_file(ADDRESS), "firecamp-holder v2 pod=pod epoch=3\n").unwrap();
    let before = node.net.everything();
    let Kernel { addresses, rules, locks, .. } = look(&node).kernel;
    assert_eq!((addresses.len(), rules.len()), (2, 2), "what is not tagged as ours is not seen");
    assert!(matches!(locks[&ADDRESS], Lock::Apart(_)));
    let plan = plan(&look(&node), true);
    assert_eq!(plan.steps, []);
    let reasons: Vec<&str> = plan.kept.iter().map(|one| one.why.reason()).collect();
    let other = ["OtherVersion", "OtherVersion", "OtherShape", "OtherShape"];
    assert_eq!(reasons, [&other[..], &["TableInUse"; 2]].concat());
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn f099_an_agent_is_seen_and_kept_from_beginning() {
    let node = Node::new();
    assert!(!look(&node).agent);
    let ours = AgentLock::take(Path::new(RUN)).unwrap();
    assert!(ours.is_some() && look(&node).agent);
    assert!(AgentLock::take(Path::new(RUN)).unwrap().is_none());
    drop(ours);
    assert!(!look(&node).agent);
    std::fs::create_dir(Path::new(RUN).join("x")).unwrap();
    std::fs::remove_file(Path::new(RUN).join(AGENT_LOCK)).unwrap();
    assert!(!look(&node).agent);
}

/// A program two versions ahead has recorded who has the address; what that speaks.
fn is_of_a_later_version(address: Ipv4Addr) -> u32 {
    let text = std::fs::read_to_string(lock_file(address)).unwrap();
    let Protocol { current, oldest } = Protocol::OURS;
    let ours = format!("protocol={current} oldest={oldest}");
    assert!(text.contains(&ours), "{text}");
    let two_ahead = format!("protocol={} oldest={}", current + 2, current + 1);
    std::fs::write(lock_file(address), text.replace(&ours, &two_ahead)).unwrap();
    current + 2
}

pub(crate) fn f097_what_a_version_that_is_not_understood_holds_is_left_alone_until_its_next_life() {
    let node = Node::configured();
    let (target, pod) = (node.on_second(), holder("pod", 3));
    node.attach(&target, &pod);
    let later = is_of_a_later_version(ADDRESS);
    let before = node.net.everything();
    let words = ["incompatible version", &format!("protocol {later}")];
    fails(node.remove(ADDRESS, &pod), HostKind::Refused, &words);
    fails(node.unroute(ADDRESS, &pod), HostKind::Refused, &words);
    fails(node.withhold(ADDRESS, &pod), HostKind::Refused, &words);
    fails(node.add(&target, &pod), HostKind::Refused, &words);
    assert_eq!(plan(&look(&node), true).steps, []);
    assert_eq!(node.net.everything(), before);

    node.attach(&target, &holder("next", 4));
    node.detach(ADDRESS, &holder("next", 4));
    assert_eq!(look(&node).kernel.subjects(), [].into());
}

pub(crate) fn f097_who_gives_way_takes_out_what_such_a_version_left() {
    let mut node = Node::configured();
    let (alone, target, pod) = (node.net.everything(), node.on_second(), holder("pod", 3));
    node.attach(&target, &pod);
    is_of_a_later_version(ADDRESS);
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
