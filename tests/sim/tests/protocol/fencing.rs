//! Fencing: superseded pods, late calls, pending mutations, and the takeover barrier.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::ids::Epoch;
use firecamp_core::machine::Release as Done;
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::{Mutation, PendingMutation, Stored, Write};
use firecamp_sim_tests::{Cluster, FIRST, Pod, Release, attached, failed, released};
use firecamp_testkit::sim::{Break, Op, Script};
use firecamp_vpc::{Fault, Selector};
use tokio::time::{Instant, sleep, timeout};

async fn parked_on_a(cluster: &Cluster) {
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(cluster).await);
    released(pod.stop(cluster, Release::default()).await);
    cluster.settle().await;
}

fn calls_of(node: &str, op: &str, nth: Option<u64>) -> Selector {
    Selector { caller: Some(node.to_owned()), op: Some(op.to_owned()), nth, ..Selector::default() }
}

const ASSIGN: &str = "AssignPrivateIpAddresses";

#[tokio::test(start_paused = true)]
async fn f007_late_assign_of_a_superseded_pod_within_t_does_no_harm() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let late = Fault::LateLanding { after_ms: 4_500, silent: true };
    cluster.fault_when(late, calls_of("node-a", ASSIGN, None));
    // The pod on node-a acquires the address; its successor starts while its Assign is in flight.
    let second = Pod::new("uid-2", "node-b");
    attached(second.init(&cluster).await);
    released(second.stop(&cluster, Release::default()).await);
    let superseded = Pod::new("uid-3", "node-a");
    let successor = async {
        sleep(Duration::from_secs(1)).await;
        let done = attached(Pod::new("uid-4", "node-b").init(&cluster).await);
        assert_eq!(
            cluster.data_path(FIRST),
            Some(cluster.eni("node-b")),
            "init must not succeed before the data path has switched"
        );
        done
    };
    let (ended, done) = tokio::join!(superseded.init(&cluster), successor);
    assert_eq!(failed(ended).exit, Exit::Superseded);
    assert!(done.barrier);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-b")));
    assert!(cluster.node("node-a").host.addresses().is_empty());
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f006_two_concurrent_pods_end_with_one_holder_and_at_most_one_move_per_epoch() {
    for delay in [0, 5, 20, 100, 400] {
        let cluster = Cluster::default();
        parked_on_a(&cluster).await;
        let since = cluster.last_call();
        let late = async {
            sleep(Duration::from_millis(delay)).await;
            Pod::new("uid-3", "node-a").init(&cluster).await
        };
        let early = Pod::new("uid-2", "node-b");
        let (one, two) = tokio::join!(early.init(&cluster), late);
        let record = cluster.record(FIRST);
        let holder = record.attachment.clone().expect("a holder");
        assert_eq!(
            cluster.data_path(FIRST),
            holder.eni,
            "second pod after {delay} ms: {one:?} {two:?}"
        );
        let moves = cluster.costs(since).mutating as u64;
        assert!(moves <= record.epoch.0, "{moves} moves in {} epochs", record.epoch);
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f114_pod_superseded_after_its_pod_check_cannot_acquire() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let node = |name: &str| Some(name.parse().expect("a node name"));
    let (old, new) = (Pod::new("uid-2", "node-a"), Pod::new("uid-3", "node-b"));
    let view = |pod: &Pod, at| PodView::Present {
        pod: pod.uid().clone(),
        node: node(at),
        lifecycle: PodLifecycle::Running,
        controller: None,
    };
    cluster.registry.set_pod(old.member(), view(&old, "node-a"));
    // Between its pod check and its write, the pod is deleted by force and its successor acquires.
    let script = Script::new().breaking(Op::Write, 1, Break::Late(Duration::from_secs(3)));
    let late = old.clone().breaking(script.clone());
    let successor = async {
        sleep(Duration::from_secs(1)).await;
        cluster.registry.set_pod(new.member(), view(&new, "node-b"));
        attached(new.init(&cluster).await)
    };
    let (ended, done) = tokio::join!(late.init(&cluster), successor);
    let failure = failed(ended);
    assert_eq!(failure.exit, Exit::Superseded, "{}", failure.message);
    assert_eq!(script.fired(), 1);
    assert!(cluster.record(FIRST).held_by(new.uid(), done.epoch));
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f115_release_clears_only_its_own_pending_mutations_and_the_claimant_waits() {
    let cluster = Cluster::default();
    let holder = Pod::new("uid-1", "node-a");
    attached(holder.init(&cluster).await);
    // The agent of node-a records a pending re-assert and sends it.
    let stored = cluster.registry.snapshot().static_ips[&FIRST].clone();
    let mut object = stored.object.clone();
    object.pending_mutations.insert(PendingMutation {
        mutation: Mutation::Assign,
        eni: cluster.eni("node-a"),
        run: "agent-a".parse().expect("a run id"),
    });
    let write = Write::UpdateStaticIp(Stored { version: stored.version, object });
    firecamp_core::ports::Registry::write(&cluster.registry, &write).await.expect("a write");
    assert_eq!(released(holder.stop(&cluster, Release::default()).await), Done::Parked);
    assert_eq!(cluster.record(FIRST).pending_mutations.len(), 1);
    let begun = Instant::now();
    let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert!(done.barrier);
    assert!(begun.elapsed() >= timing::CALL_BOUND, "{:?}", begun.elapsed());
    assert!(cluster.record(FIRST).pending_mutations.is_empty());
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f116_pending_mutation_stays_until_every_call_of_its_process_has_ended() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // The first Assign hangs and init abandons it after T; EC2 answers the second one.
    let hang = Fault::Hang { after_commit: false };
    cluster.fault_when(hang, calls_of("node-b", ASSIGN, Some(1)));
    let begun = Instant::now();
    let pod = Pod::new("uid-2", "node-b");
    attached(pod.init(&cluster).await);
    assert!(begun.elapsed() >= timing::CALL_BOUND, "{:?}", begun.elapsed());
    assert!(cluster.record(FIRST).pending_mutations.is_empty());
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f116_completion_waits_for_a_call_that_may_still_take_effect() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // The first response is lost at once, so the retry completes long before T.
    let lost = Fault::LostResponse { after_commit: false };
    cluster.fault_when(lost, calls_of("node-b", ASSIGN, Some(1)));
    let begun = Instant::now();
    attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert!(begun.elapsed() >= timing::CALL_BOUND, "completed after {:?}", begun.elapsed());
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f117_a_late_unassign_does_not_take_the_address_from_the_successor() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    cluster.settle().await;
    let late = Fault::LateLanding { after_ms: 4_500, silent: true };
    cluster.fault_when(late, calls_of("node-a", "UnassignPrivateIpAddresses", Some(1)));
    // The stop container is killed while its Unassign is in flight.
    let stop = pod.stop(&cluster, Release { unassign: true });
    assert!(timeout(Duration::from_secs(1), stop).await.is_err(), "the stop container must hang");
    let done = attached(Pod::new("uid-2", "node-a").init(&cluster).await);
    assert!(done.barrier, "the record has a pending Unassign from this ENI");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn a_superseded_init_leaves_nothing_in_the_kernel() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // It freezes before its completion, its successor acquires, and then it continues.
    let script = Script::new().breaking(Op::Write, 2, Break::Late(Duration::from_secs(20)));
    let frozen = Pod::new("uid-2", "node-a").breaking(script.clone());
    let successor = async {
        sleep(Duration::from_secs(5)).await;
        attached(Pod::new("uid-3", "node-b").init(&cluster).await)
    };
    let (ended, done) = tokio::join!(frozen.init(&cluster), successor);
    assert_eq!(failed(ended).exit, Exit::Superseded);
    assert_eq!(script.fired(), 1);
    assert_eq!(done.epoch, Epoch(3));
    assert!(cluster.node("node-a").host.addresses().is_empty());
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f091_file_registry_lets_a_process_acquire_only_over_the_record_it_read() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // A file registry does not know which pod is current, so a second acquisition ends the first.
    let script = Script::new().breaking(Op::Write, 1, Break::Late(Duration::from_secs(3)));
    let late = Pod::new("uid-2", "node-a").breaking(script);
    let other = async {
        sleep(Duration::from_secs(1)).await;
        attached(Pod::new("uid-3", "node-b").init(&cluster).await)
    };
    let (ended, done) = tokio::join!(late.init(&cluster), other);
    assert_eq!(failed(ended).exit, Exit::Superseded);
    assert!(cluster.record(FIRST).held_by(&"uid-3".parse().expect("a UID"), done.epoch));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f007_init_superseded_while_it_waits_for_proof_fails_as_superseded() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // Its IMDS is frozen, so it waits for proof while its successor acquires.
    let when = Selector { caller: Some("node-b".to_owned()), ..Selector::default() };
    cluster.fault_when(Fault::ImdsFrozen {}, when);
    let begun = Instant::now();
    let waiting = Pod::new("uid-2", "node-b");
    let successor = async {
        sleep(Duration::from_secs(3)).await;
        attached(Pod::new("uid-3", "node-a").init(&cluster).await)
    };
    let (ended, _done) = tokio::join!(waiting.init(&cluster), successor);
    let failure = failed(ended);
    assert_eq!(failure.exit, Exit::Superseded, "{}", failure.message);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert!(cluster.node("node-b").host.addresses().is_empty());
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    cluster.audit();
}
