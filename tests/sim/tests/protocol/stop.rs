//! Failure cases of the stop container.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Outcome, Release as Done};
use firecamp_core::ports::{PodLifecycle, PodView, SocketUse};
use firecamp_core::record::State;
use firecamp_engine::Ended;
use firecamp_sim_tests::{Cluster, Costs, FIRST, Pod, Release, attached, failed, released};
use firecamp_testkit::sim::{Break, Op, Script};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

fn running(pod: &Pod, node: &str) -> PodView {
    let node = Some(node.parse().expect("a node name"));
    PodView::Present {
        pod: pod.uid().clone(),
        node,
        lifecycle: PodLifecycle::Running,
        controller: None,
    }
}

fn terminating(pod: &Pod, node: &str, left: Option<Duration>) -> PodView {
    let node = Some(node.parse().expect("a node name"));
    PodView::Present {
        pod: pod.uid().clone(),
        node,
        lifecycle: PodLifecycle::Terminating(left),
        controller: None,
    }
}

#[tokio::test(start_paused = true)]
async fn f023_late_stop_of_a_superseded_pod_changes_nothing() {
    let cluster = Cluster::default();
    let superseded = Pod::new("uid-1", "node-a");
    attached(superseded.init(&cluster).await);
    attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    let (record, since) = (cluster.record(FIRST), cluster.last_call());
    for unassign in [false, true] {
        assert_eq!(
            released(superseded.stop(&cluster, Release { unassign }).await),
            Done::NotHolder
        );
    }
    assert_eq!(cluster.record(FIRST), record);
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f023_stop_of_the_old_pod_on_the_same_node_keeps_the_new_pods_address() {
    let cluster = Cluster::default();
    let old = Pod::new("uid-1", "node-a");
    attached(old.init(&cluster).await);
    // The old stop container has made its checks and is about to remove the address when the new
    // pod acquires it.
    let script = Script::new().breaking(Op::RemoveAddress, 1, Break::Late(Duration::from_secs(2)));
    let late = old.clone().breaking(script.clone());
    let successor = async {
        sleep(Duration::from_secs(1)).await;
        attached(Pod::new("uid-2", "node-a").init(&cluster).await)
    };
    let (ended, done) = tokio::join!(late.stop(&cluster, Release::default()), successor);
    assert_eq!(released(ended), Done::NotHolder);
    assert_eq!(script.fired(), 1);
    assert_eq!(done.epoch, Epoch(2));
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    assert!(cluster.record(FIRST).held_by(&"uid-2".parse().expect("a UID"), Epoch(2)));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f029_stop_without_a_registry_changes_nothing_and_fails() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let mut script = Script::new();
    for nth in 1..=200 {
        script = script.breaking(Op::StaticIp, nth, Break::Before);
    }
    let record = cluster.record(FIRST);
    let failure = failed(pod.clone().breaking(script).stop(&cluster, Release::default()).await);
    assert_eq!(failure.exit, Exit::RegistryUnavailable);
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    assert_eq!(cluster.record(FIRST), record);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f030_signal_to_a_pod_that_is_not_terminating_changes_nothing() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    cluster.registry.set_pod(pod.member(), running(&pod, "node-a"));
    attached(pod.init(&cluster).await);
    let record = cluster.record(FIRST);
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(released(pod.sidecar(&cluster, stop).await), Done::NotEnding);
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    assert_eq!(cluster.record(FIRST), record);
    cluster.registry.set_pod(pod.member(), terminating(&pod, "node-a", None));
    assert_eq!(released(pod.stop(&cluster, Release::default()).await), Done::Parked);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f031_release_keeps_the_address_on_the_eni_unless_unassign_is_requested() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let since = cluster.last_call();
    assert_eq!(released(pod.stop(&cluster, Release::default()).await), Done::Parked);
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    attached(pod.init(&cluster).await);
    let since = cluster.last_call();
    let gone = released(pod.stop(&cluster, Release { unassign: true }).await);
    assert_eq!(gone, Done::Unassigned);
    assert_eq!(cluster.costs(since), Costs { calls: 1, mutating: 1 });
    assert_eq!(cluster.owner(FIRST), None);
    let record = cluster.record(FIRST);
    assert_eq!(record.epoch, Epoch(3), "an unassigning release takes the next epoch");
    assert_eq!(record.attachment.expect("an attachment").state, State::Released);
    assert!(record.pending_mutations.is_empty());
    attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f025_the_address_stays_until_no_socket_uses_it() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let host = cluster.node("node-a").host.clone();
    host.use_sockets(FIRST, SocketUse { listeners: 0, connections: 1, datagrams: 0 });
    let closing = async {
        sleep(Duration::from_secs(2)).await;
        assert!(
            host.addresses().contains_key(&FIRST),
            "the address was removed while a socket used it"
        );
        host.use_sockets(FIRST, SocketUse::default());
        Instant::now()
    };
    let (ended, idle) = tokio::join!(pod.stop(&cluster, Release::default()), closing);
    assert_eq!(released(ended), Done::Parked);
    assert!(idle.elapsed() < Duration::from_millis(100), "{:?}", idle.elapsed());
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f112_drain_is_shortened_so_that_the_release_meets_its_deadline() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let host = cluster.node("node-a").host.clone();
    host.use_sockets(FIRST, SocketUse { listeners: 1, connections: 9, datagrams: 0 });
    let left = Some(Duration::from_secs(2));
    cluster.registry.set_pod(pod.member(), terminating(&pod, "node-a", left));
    let begun = Instant::now();
    let ended = pod.stop(&cluster, Release::default()).await;
    let Ended::Outcome(Outcome::Released { release, cut_short, .. }) = ended else {
        panic!("not released: {ended:?}")
    };
    assert_eq!((release, cut_short), (Done::Parked, true));
    assert!(begun.elapsed() < Duration::from_millis(1_200), "{:?}", begun.elapsed());
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f111_late_stop_of_an_earlier_incarnation_does_not_affect_the_next_one() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let stop = CancellationToken::new();
    // After a sandbox restart, the same pod's init runs again; then the earlier sidecar stops.
    let next_incarnation = async {
        sleep(Duration::from_secs(1)).await;
        let done = attached(pod.init(&cluster).await);
        stop.cancel();
        done
    };
    let (ended, done) = tokio::join!(pod.sidecar(&cluster, stop.clone()), next_incarnation);
    assert_eq!(released(ended), Done::NotHolder);
    assert_eq!(done.epoch, Epoch(2));
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    assert!(cluster.record(FIRST).held_by(pod.uid(), Epoch(2)));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn second_release_does_nothing() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    assert_eq!(released(pod.stop(&cluster, Release::default()).await), Done::Parked);
    let record = cluster.record(FIRST);
    assert_eq!(released(pod.stop(&cluster, Release::default()).await), Done::NotHolder);
    assert_eq!(cluster.record(FIRST), record);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn release_reads_back_after_a_lost_write_response() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let script = Script::new().breaking(Op::Write, 1, Break::After);
    let again = pod.clone().breaking(script.clone());
    assert_eq!(released(again.stop(&cluster, Release::default()).await), Done::Parked);
    assert_eq!(script.fired(), 1);
    let state = cluster.record(FIRST).attachment.expect("an attachment").state;
    assert_eq!(state, State::Parked);
}

#[tokio::test(start_paused = true)]
async fn f031_unassign_targets_the_eni_on_which_a_crash_left_the_address() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    released(first.stop(&cluster, Release::default()).await);
    cluster.settle().await;
    // Init of the next pod is killed on node-b before its Assign; the address is still on node-a.
    let script = Script::new().breaking(Op::Assign, 1, Break::Never);
    let pod = Pod::new("uid-2", "node-b");
    pod.clone()
        .breaking(script)
        .killed_in_init(&cluster)
        .await
        .expect("the script kills init before its Assign");
    let gone = released(pod.stop(&cluster, Release { unassign: true }).await);
    assert_eq!(gone, Done::Unassigned);
    assert_eq!(cluster.owner(FIRST), None, "the address was left on node-a");
    cluster.settle().await;
    attached(Pod::new("uid-3", "node-a").init(&cluster).await);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f023_sidecar_of_a_moved_member_does_not_change_the_new_holders_record() {
    let cluster = Cluster::default();
    let superseded = Pod::new("uid-1", "node-a");
    attached(superseded.init(&cluster).await);
    let stop = CancellationToken::new();
    // It read its epoch while it held the address. Its node is disconnected and returns late.
    let moved = async {
        sleep(Duration::from_secs(1)).await;
        attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        let record = cluster.record(FIRST);
        stop.cancel();
        record
    };
    let (ended, record) = tokio::join!(superseded.sidecar(&cluster, stop.clone()), moved);
    assert_eq!(released(ended), Done::NotHolder);
    assert_eq!(cluster.record(FIRST), record);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}
