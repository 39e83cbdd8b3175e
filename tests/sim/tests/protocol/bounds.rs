//! Hanging calls, deadlines, and deleted records.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::ids::Epoch;
use firecamp_core::machine::Release as Done;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Mutation, PendingMutation, Stored, Write};
use firecamp_sim_tests::{Cluster, FIRST, Pod, Release, attached, failed, released};
use firecamp_testkit::sim::{Break, Op, Script};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

async fn parked_on_a(cluster: &Cluster) {
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(cluster).await);
    released(pod.stop(cluster, Release::default()).await);
    cluster.settle().await;
}

/// Adds a pending mutation: an Assign to node-a's ENI may be in flight.
async fn add_pending_assign_on_a(cluster: &Cluster) {
    let stored = cluster.registry.snapshot().static_ips.get(&FIRST).cloned().expect("a record");
    let mut object = stored.object.clone();
    object.pending_mutations.insert(PendingMutation {
        mutation: Mutation::Assign,
        eni: cluster.eni("node-a"),
        run: "agent-a".parse().expect("a run id"),
    });
    let write = Write::UpdateStaticIp(Stored { version: stored.version, object });
    cluster.registry.write(&write).await.expect("a write");
}

#[tokio::test(start_paused = true)]
async fn attach_abandons_a_hanging_call_and_continues() {
    for op in [Op::Member, Op::Identity, Op::Pod, Op::Write, Op::Owner, Op::Assign, Op::AddAddress]
    {
        let cluster = Cluster::default();
        parked_on_a(&cluster).await;
        let script = Script::new().breaking(op, 1, Break::Never);
        let begun = Instant::now();
        attached(Pod::new("uid-2", "node-b").breaking(script.clone()).init(&cluster).await);
        assert_eq!(script.fired(), 1, "{op:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{op:?}: {:?}", begun.elapsed());
        assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")), "{op:?}");
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_disk_fails_the_attach_before_any_change() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let script = Script::new().breaking(Op::Probe, 1, Break::Never);
    let since = cluster.last_call();
    let failure = failed(Pod::new("uid-2", "node-b").breaking(script).init(&cluster).await);
    assert_eq!(failure.exit, Exit::DiskRefused);
    assert_eq!(cluster.costs(since).mutating, 0);
    assert_eq!(cluster.record(FIRST).epoch, Epoch(1));
}

#[tokio::test(start_paused = true)]
async fn deadline_does_not_shorten_the_takeover_barrier() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    add_pending_assign_on_a(&cluster).await;
    let since = cluster.last_call();
    let impatient = Pod::new("uid-2", "node-b").within(Duration::from_secs(3));
    let failure = failed(impatient.init(&cluster).await);
    assert_eq!(failure.exit, Exit::TimedOut, "{}", failure.message);
    assert_eq!(
        cluster.costs(since).mutating,
        0,
        "init must not assign before the end of the barrier"
    );
    let pending = cluster.record(FIRST).pending_mutations;
    assert_eq!(pending.len(), 1, "only the agent's pending mutation must be left: {pending:?}");
    let begun = Instant::now();
    attached(Pod::new("uid-3", "node-b").init(&cluster).await);
    assert!(begun.elapsed() >= timing::CALL_BOUND);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn deleted_record_fails_the_attach_without_an_ec2_call() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    add_pending_assign_on_a(&cluster).await;
    let since = cluster.last_call();
    let pod = Pod::new("uid-2", "node-b");
    let deleted = async {
        sleep(Duration::from_secs(2)).await;
        let mut snapshot = cluster.registry.snapshot();
        snapshot.static_ips.clear();
        cluster.registry.restore(snapshot);
    };
    let (ended, ()) = tokio::join!(pod.init(&cluster), deleted);
    let failure = failed(ended);
    assert_eq!(failure.exit, Exit::RegistryInvalid, "{}", failure.message);
    assert_eq!(cluster.costs(since).mutating, 0);
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn stop_signal_before_the_epoch_is_known_changes_nothing() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let mut script = Script::new();
    for nth in 1..=100 {
        script = script.breaking(Op::Member, nth, Break::Before);
    }
    let (disconnected, stop) = (pod.clone().breaking(script), CancellationToken::new());
    let signal = async {
        sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(disconnected.sidecar(&cluster, stop.clone()), signal);
    assert_eq!(failed(ended).exit, Exit::RegistryUnavailable);
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    assert!(cluster.record(FIRST).held_by(pod.uid(), Epoch(1)));
    assert_eq!(released(pod.stop(&cluster, Release::default()).await), Done::Parked);
    cluster.audit();
}
