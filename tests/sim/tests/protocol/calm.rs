//! Runs without faults: their effects and their EC2 calls.

use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Path, Release as Done};
use firecamp_core::record::State;
use firecamp_sim_tests::{Cluster, Costs, FIRST, Pod, Release, attached, failed, released};
use firecamp_vpc::{Fault, Selector, Service};

#[tokio::test(start_paused = true)]
async fn first_start_allocates_assigns_and_writes_the_file() {
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
async fn f108_restart_on_the_same_node_makes_no_ec2_call() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    assert_eq!(released(first.stop(&cluster, Release::default()).await), Done::Parked);
    let since = cluster.last_call();
    let again = attached(Pod::new("uid-2", "node-a").init(&cluster).await);
    assert_eq!((again.address, again.path), (FIRST, Path::SameNode));
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f001_a_move_is_one_assign_and_never_leaves_the_address_without_an_eni() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    let since = cluster.last_call();
    assert_eq!(released(first.stop(&cluster, Release::default()).await), Done::Parked);
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    assert!(cluster.node("node-a").host.addresses().is_empty());
    let moved = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!((moved.address, moved.path), (FIRST, Path::Moved));
    assert_eq!(cluster.costs(since), Costs { calls: 2, mutating: 1 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

/// The times, in milliseconds, at which a node's init container calls a metadata service that
/// answers every request with 503.
async fn metadata_calls(node: &str) -> Vec<u64> {
    let cluster = Cluster::default();
    cluster.fault_when(Fault::ImdsError { status: 503 }, Selector::default());
    let ended = failed(Pod::new(&format!("uid-{node}"), node).init(&cluster).await);
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:?}");
    let calls = cluster.world().calls(0);
    let metadata = calls.iter().filter(|call| call.service == Service::Imds);
    metadata.map(|call| call.at_us / 1000).collect()
}

#[tokio::test(start_paused = true)]
async fn f049_init_retries_a_failing_metadata_service_with_backoff_and_jitter() {
    let all = [
        metadata_calls("node-a").await,
        metadata_calls("node-b").await,
        metadata_calls("node-c").await,
    ];
    for times in &all {
        assert!((10..60).contains(&times.len()), "{} calls in two minutes: {times:?}", times.len());
        let in_a_second = |from: u64| {
            let second = from..from + 1000;
            times.iter().filter(|at| second.contains(at)).count()
        };
        let most = times.iter().map(|from| in_a_second(*from)).max();
        assert!(most <= Some(10), "{most:?} calls in one second: {times:?}");
    }
    let mut together = all.concat();
    together.sort_unstable();
    let before = together.len();
    together.dedup();
    // All nodes start at the same time, so a few calls coincide.
    assert!(before - together.len() <= 6, "the nodes call at the same times: {all:?}");
}
