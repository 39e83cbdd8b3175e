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

fn present(pod: &Pod, node: &str) -> PodView {
    let node = Some(node.parse().expect("a node name"));
    PodView::Present {
        pod: pod.uid().clone(),
        node,
        lifecycle: PodLifecycle::Running,
        controller: None,
    }
}

fn ending(pod: &Pod, node: &str, left: Option<Duration>) -> PodView {
    let node = Some(node.parse().expect("a node name"));
    PodView::Present {
        pod: pod.uid().clone(),
        node,
        lifecycle: PodLifecycle::Terminating(left),
        controller: None,
    }
}

#[tokio::test(start_paused = true)]
async fn f023_a_zombies_late_stop_changes_nothing() {
    let cluster = Cluster::default();
    let zombie = Pod::new("uid-1", "node-a");
    attached(zombie.init(&cluster).await);
    attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    let (record, mark) = (cluster.record(FIRST), cluster.mark());
    for unassign in [false, true] {
        assert_eq!(released(zombie.stop(&cluster, Release { unassign }).await), Done::NotHolder);
    }
    assert_eq!(cluster.record(FIRST), record);
    assert_eq!(cluster.costs(mark), Costs { calls: 0, mutating: 0 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f023_the_old_stop_on_the_same_node_leaves_the_new_pods_address() {
    let cluster = Cluster::default();
    let old = Pod::new("uid-1", "node-a");
    attached(old.init(&cluster).await);
    // The old stop has made its checks and is about to remove the address when the new pod takes.
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
async fn f029_a_stop_that_cannot_ask_changes_nothing_and_says_so() {
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
async fn f030_a_signal_to_a_pod_that_is_not_ending_changes_nothing() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    cluster.registry.set_pod(pod.member(), present(&pod, "node-a"));
    attached(pod.init(&cluster).await);
    let record = cluster.record(FIRST);
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(released(pod.sidecar(&cluster, stop).await), Done::NotEnding);
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    assert_eq!(cluster.record(FIRST), record);
    cluster.registry.set_pod(pod.member(), ending(&pod, "node-a", None));
    assert_eq!(released(pod.stop(&cluster, Release::default()).await), Done::Parked);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f031_a_release_keeps_the_address_on_the_eni_unless_it_is_told_to_unassign() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let mark = cluster.mark();
    assert_eq!(released(pod.stop(&cluster, Release::default()).await), Done::Parked);
    assert_eq!(cluster.costs(mark), Costs { calls: 0, mutating: 0 });
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    attached(pod.init(&cluster).await);
    let mark = cluster.mark();
    let gone = released(pod.stop(&cluster, Release { unassign: true }).await);
    assert_eq!(gone, Done::Unassigned);
    assert_eq!(cluster.costs(mark), Costs { calls: 1, mutating: 1 });
    assert_eq!(cluster.owner(FIRST), None);
    let record = cluster.record(FIRST);
    assert_eq!(record.epoch, Epoch(3), "the unassigning release has an epoch of its own");
    assert_eq!(record.attachment.expect("the last life").state, State::Released);
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
        assert!(host.addresses().contains_key(&FIRST), "removed while it was in use");
        host.use_sockets(FIRST, SocketUse::default());
        Instant::now()
    };
    let (ended, idle) = tokio::join!(pod.stop(&cluster, Release::default()), closing);
    assert_eq!(released(ended), Done::Parked);
    assert!(idle.elapsed() < Duration::from_millis(100), "{:?}", idle.elapsed());
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f112_draining_is_cut_so_that_the_release_keeps_its_time() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let host = cluster.node("node-a").host.clone();
    host.use_sockets(FIRST, SocketUse { listeners: 1, connections: 9, datagrams: 0 });
    let left = Some(Duration::from_secs(2));
    cluster.registry.set_pod(pod.member(), ending(&pod, "node-a", left));
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
async fn f111_a_late_stop_of_the_same_pods_first_life_does_not_hit_the_second() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let stop = CancellationToken::new();
    // The sandbox dies: the same pod's init runs again, and then the first life's sidecar stops.
    let second_life = async {
        sleep(Duration::from_secs(1)).await;
        let done = attached(pod.init(&cluster).await);
        stop.cancel();
        done
    };
    let (ended, done) = tokio::join!(pod.sidecar(&cluster, stop.clone()), second_life);
    assert_eq!(released(ended), Done::NotHolder);
    assert_eq!(done.epoch, Epoch(2));
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    assert!(cluster.record(FIRST).held_by(pod.uid(), Epoch(2)));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn a_release_run_twice_does_nothing_the_second_time() {
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
async fn a_lost_answer_to_the_releasing_write_is_read_back() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let script = Script::new().breaking(Op::Write, 1, Break::After);
    let again = pod.clone().breaking(script.clone());
    assert_eq!(released(again.stop(&cluster, Release::default()).await), Done::Parked);
    assert_eq!(script.fired(), 1);
    let state = cluster.record(FIRST).attachment.expect("the last life").state;
    assert_eq!(state, State::Parked);
}

#[tokio::test(start_paused = true)]
async fn f031_an_unassign_follows_the_address_to_where_a_crash_left_it() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    released(first.stop(&cluster, Release::default()).await);
    cluster.settle().await;
    // The next pod dies on node-b before its Assign: EC2 still has the address on node-a.
    let script = Script::new().breaking(Op::Assign, 1, Break::Never);
    let pod = Pod::new("uid-2", "node-b");
    pod.clone().breaking(script).dies_in_init(&cluster).await.expect("a death before its Assign");
    let gone = released(pod.stop(&cluster, Release { unassign: true }).await);
    assert_eq!(gone, Done::Unassigned);
    assert_eq!(cluster.owner(FIRST), None, "it was left on node-a");
    cluster.settle().await;
    attached(Pod::new("uid-3", "node-a").init(&cluster).await);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f023_a_sidecar_whose_member_has_moved_leaves_the_new_holders_record() {
    let cluster = Cluster::default();
    let zombie = Pod::new("uid-1", "node-a");
    attached(zombie.init(&cluster).await);
    let stop = CancellationToken::new();
    // It fixed its epoch while it held the address; its node is cut off, and comes back late.
    let moved = async {
        sleep(Duration::from_secs(1)).await;
        attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        let record = cluster.record(FIRST);
        stop.cancel();
        record
    };
    let (ended, record) = tokio::join!(zombie.sidecar(&cluster, stop.clone()), moved);
    assert_eq!(released(ended), Done::NotHolder);
    assert_eq!(cluster.record(FIRST), record);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}
