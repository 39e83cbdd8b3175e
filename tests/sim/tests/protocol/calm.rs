//! Calm runs: what they do and what they cost.

use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Path, Release as Done};
use firecamp_core::record::State;
use firecamp_sim_tests::{Cluster, Costs, FIRST, Pod, Release, attached, failed, released};
use firecamp_vpc::{Fault, Selector, Service};

#[tokio::test(start_paused = true)]
async fn a_first_start_allocates_assigns_and_writes_the_file() {
    let cluster = Cluster::default();
    let done = attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    assert_eq!((done.address, done.epoch, done.path), (FIRST, Epoch(1), Path::Moved));
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    assert_eq!(cluster.volume.disk().durable.as_deref(), Some("10.0.1.50"));
    let record = cluster.record(FIRST);
    assert_eq!(record.attachment.expect("an attachment").state, State::Attached);
    assert!(record.pending_mutations.is_empty());
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f108_a_restart_on_the_same_node_makes_no_ec2_call() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    assert_eq!(released(first.stop(&cluster, Release::default()).await), Done::Parked);
    let mark = cluster.mark();
    let again = attached(Pod::new("uid-2", "node-a").init(&cluster).await);
    assert_eq!((again.address, again.path), (FIRST, Path::SameNode));
    assert_eq!(cluster.costs(mark), Costs { calls: 0, mutating: 0 });
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f001_a_move_is_one_assign_and_never_leaves_the_address_without_an_eni() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    let mark = cluster.mark();
    assert_eq!(released(first.stop(&cluster, Release::default()).await), Done::Parked);
    assert_eq!(cluster.costs(mark), Costs { calls: 0, mutating: 0 });
    assert!(cluster.node("node-a").host.addresses().is_empty());
    let moved = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!((moved.address, moved.path), (FIRST, Path::Moved));
    assert_eq!(cluster.costs(mark), Costs { calls: 2, mutating: 1 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

/// When a node's init container asks a metadata service that refuses everything at once, from its
/// begin to its end, in milliseconds.
async fn asks(node: &str) -> Vec<u64> {
    let cluster = Cluster::default();
    cluster.fault_when(Fault::ImdsError { status: 503 }, Selector::default());
    let ended = failed(Pod::new(&format!("uid-{node}"), node).init(&cluster).await);
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:?}");
    let calls = cluster.world().calls(0);
    let asked = calls.iter().filter(|call| call.service == Service::Imds);
    asked.map(|call| call.at_us / 1000).collect()
}

#[tokio::test(start_paused = true)]
async fn f049_init_asks_a_metadata_service_that_fails_at_once_seldom_and_at_times_of_its_own() {
    let all = [asks("node-a").await, asks("node-b").await, asks("node-c").await];
    for times in &all {
        assert!((10..60).contains(&times.len()), "{} in two minutes: {times:?}", times.len());
        let in_a_second = |from: u64| {
            let second = from..from + 1000;
            times.iter().filter(|at| second.contains(at)).count()
        };
        let most = times.iter().map(|from| in_a_second(*from)).max();
        assert!(most <= Some(10), "{most:?} in a second: {times:?}");
    }
    let mut together = all.concat();
    together.sort_unstable();
    let before = together.len();
    together.dedup();
    // All begin at once, and end at once.
    assert!(before - together.len() <= 6, "nodes ask at the same times: {all:?}");
}
