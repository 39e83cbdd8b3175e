//! The node-local lock around kernel writes.

use std::fs::{self, File};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use firecamp_core::contract::path::{LOCK_SUBDIR, ROUTING_LOCK};
use firecamp_core::failure::HostKind;
use firecamp_core::ids::Mac;
use firecamp_core::ports::{HostNet, KernelTarget};
use firecamp_host::{HostTimeouts, LinuxHost};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use crate::fixture::{ADDRESS, Node, RUN, fails, holder, with};

fn lock_file() -> PathBuf {
    PathBuf::from(RUN).join(LOCK_SUBDIR).join(ADDRESS.to_string())
}

fn record() -> String {
    fs::read_to_string(lock_file()).unwrap()
}

fn is_on_record(words: &str) {
    assert!(record().contains(words), "{words:?} is not on record: {}", record());
}

pub(crate) fn a_hanging_lock_holder_makes_others_time_out_and_is_named() {
    let node = Node::new();
    let target = node.on_second();
    node.attach(&target, &holder("pod", 1));
    let before = node.net.everything();
    let held = File::open(lock_file()).unwrap();
    held.lock().unwrap();
    let process = format!("process {} holds it", std::process::id());
    let words = ["failed to lock /run/firecamp/ip/10.0.1.10", &process, "held by pod pod"];
    let next = holder("pod", 2);
    fails(node.add(&target, &next), HostKind::Busy, &words);
    fails(node.route(&target, &next), HostKind::Busy, &words);
    fails(node.remove(ADDRESS, &next), HostKind::Busy, &words);
    fails(node.unroute(ADDRESS, &next), HostKind::Busy, &words);
    assert_eq!(node.net.everything(), before);
    assert!(node.view(&target).routing, "observing needs no lock");
    drop(held);
    assert_eq!(node.remove(ADDRESS, &next), Ok(true));
}

pub(crate) fn a_cancelled_operation_frees_the_lock() {
    let node = Node::new();
    let (target, pod) = (node.on_second(), holder("pod", 1));
    node.attach(&target, &pod);
    let tables = File::open(PathBuf::from(RUN).join(ROUTING_LOCK)).unwrap();
    tables.lock().unwrap();
    let cancelled = node.net.block_on(|| async {
        let blocked = node.host.add_routing(&target, &pod);
        tokio::time::timeout(Duration::from_millis(20), blocked).await.is_err()
    });
    assert!(cancelled, "the operation did not wait for the routing lock");
    File::open(lock_file()).unwrap().try_lock().expect("the address's lock was not released");
}

pub(crate) fn a_torn_record_blocks_removal_until_the_next_attach_replaces_it() {
    let node = Node::new();
    let target = node.on_primary();
    node.add(&target, &holder("pod", 1)).unwrap();
    let whole = record();
    fs::write(lock_file(), &whole[..whole.len() / 2]).unwrap();
    let before = node.net.everything();
    let words = ["is incomplete or damaged", "/run/firecamp/ip/10.0.1.10"];
    fails(node.remove(ADDRESS, &holder("pod", 9)), HostKind::Refused, &words);
    fails(node.unroute(ADDRESS, &holder("pod", 9)), HostKind::Refused, &words);
    assert_eq!(node.net.everything(), before);
    assert_eq!(node.add(&target, &holder("pod", 2)), Ok(false));
    is_on_record("pod=pod epoch=2 state=held");
    assert_eq!(node.remove(ADDRESS, &holder("pod", 2)), Ok(true));
    is_on_record("pod=pod epoch=2 state=released");
}

/// Retries: a joined thread may still belong to the process for a moment, and a process with
/// several threads may not enter a user namespace (unshare(2)).
fn enter_user_namespace() {
    for _attempt in 0..2_000 {
        let entered = unshare(CloneFlags::CLONE_NEWUSER);
        if entered != Err(Errno::EINVAL) {
            return entered.unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("the process still has several threads");
}

/// Drops the privileges over the network namespace for good: a new user namespace does not own it.
fn drop_privileges() {
    enter_user_namespace();
    fs::write("/proc/self/setgroups", "deny").unwrap();
    fs::write("/proc/self/uid_map", "0 0 1").unwrap();
}

fn here<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn missing_privileges_are_reported_with_the_errno() {
    let node = Node::new();
    node.net.set_sysctl("net/ipv4/conf/eth1/rp_filter", "2");
    let (target, pod) = (node.on_second(), holder("pod", 1));
    drop_privileges();
    let words = ["add address 10.0.1.10/32", "Operation not permitted"];
    fails(here(node.host.add_address(&target, &pod)), HostKind::Refused, &words);
    let words = ["10.0.1.1/32", "Operation not permitted"];
    fails(here(node.host.add_routing(&target, &pod)), HostKind::Refused, &words);
    assert!(!here(node.host.observe(&target)).unwrap().address, "observing needs no privileges");
}

pub(crate) fn f066_a_strict_filter_that_cannot_be_made_loose_is_an_error() {
    let node = Node::new();
    node.net.set_sysctl("net/ipv4/conf/eth1/rp_filter", "1");
    node.net.set_sysctl("net/ipv4/conf/all/rp_filter", "0");
    let target = node.on_second();
    drop_privileges();
    let words = ["reverse-path filtering of eth1 from strict to loose", "Operation not permitted"];
    let added = here(node.host.add_routing(&target, &holder("pod", 1)));
    fails(added, HostKind::Refused, &words);
}

pub(crate) fn the_record_is_written_before_the_kernel_is_changed() {
    let node = Node::new();
    let target = node.on_primary();
    node.add(&target, &holder("pod", 1)).unwrap();
    drop_privileges();
    // The kernel refuses all changes from here on.
    let removed = here(node.host.remove_address(ADDRESS, &holder("pod", 1)));
    fails(removed, HostKind::Refused, &["remove address 10.0.1.10/32", "not permitted"]);
    is_on_record("epoch=1 state=released");
    // A missing link changes nothing, not even the record.
    let absent = Mac::from_bytes([2, 9, 9, 9, 9, 9]);
    let target = KernelTarget { mac: absent, ..target };
    let added = here(node.host.add_address(&target, &holder("pod", 2)));
    fails(added, HostKind::NoLink, &[]);
    is_on_record("epoch=1 state=released");
}

pub(crate) fn addresses_of_one_eni_attach_and_detach_concurrently() {
    let mut node = Node::configured();
    node.host = LinuxHost::new(RUN.as_ref(), HostTimeouts::default());
    node.net.block_on(|| async {
        let mut tasks = Vec::new();
        for last in 10..26_u8 {
            let (host, mut target) = (node.host.clone(), node.on_second());
            target.address = [10, 0, 1, last].into();
            tasks.push(async move {
                for epoch in 1..=10_u64 {
                    let pod = holder("pod", epoch);
                    host.add_address(&target, &pod).await.unwrap();
                    host.add_routing(&target, &pod).await.unwrap();
                    let view = host.observe(&target).await.unwrap();
                    assert!(view.tagged && view.routing, "{view:?}");
                    host.remove_address(target.address, &pod).await.unwrap();
                    host.remove_routing(target.address, &pod).await.unwrap();
                }
            });
        }
        futures(tasks).await;
    });
    assert_eq!(with(&node.net.everything(), "proto 201"), Vec::<String>::new());
}

/// Runs all tasks concurrently on one thread.
async fn futures(tasks: Vec<impl Future<Output = ()> + 'static>) {
    let local = tokio::task::LocalSet::new();
    let handles: Vec<_> = tasks.into_iter().map(|task| local.spawn_local(task)).collect();
    local.await;
    for handle in handles {
        handle.await.unwrap();
    }
}
