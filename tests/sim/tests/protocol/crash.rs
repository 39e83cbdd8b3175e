//! The process dies before or after every call of attach and release, and then: the same pod
//! again, a successor elsewhere, or nothing at all. Whatever came before, the member ends with
//! its one address, reachable, and nothing is left in flight for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::record::State;
use firecamp_sim_tests::{Cluster, FIRST, Pod, Release, attached, released};
use firecamp_testkit::sim::{Break, Op, Script};
use tokio::time::sleep;

/// What the member did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    FirstUse,
    SameNode,
    Move,
    Takeover,
}

/// What happens after the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Same,
    Elsewhere,
}

const CALLS: [(Op, u32); 24] = [
    (Op::Member, 1),
    (Op::Identity, 1),
    (Op::Allocated, 1),
    (Op::Owner, 1),
    (Op::Probe, 1),
    (Op::Observe, 1),
    (Op::Pod, 1),
    (Op::Write, 1),
    (Op::Write, 2),
    (Op::Write, 3),
    (Op::Write, 4),
    (Op::Assign, 1),
    (Op::Listed, 1),
    (Op::Listed, 2),
    (Op::AddAddress, 1),
    (Op::AddRouting, 1),
    (Op::Observe, 2),
    (Op::Stage, 1),
    (Op::Publish, 1),
    (Op::Sync, 1),
    (Op::Sockets, 1),
    (Op::StaticIp, 1),
    (Op::RemoveAddress, 1),
    (Op::RemoveRouting, 1),
];

async fn prepare(cluster: &Cluster, scene: Scene) {
    let first = Pod::new("uid-1", "node-a");
    if scene == Scene::FirstUse {
        return;
    }
    attached(first.init(cluster).await);
    if scene != Scene::Takeover {
        released(first.stop(cluster, Release::default()).await);
    }
    cluster.settle().await;
}

fn node_of(scene: Scene) -> &'static str {
    match scene {
        Scene::FirstUse | Scene::SameNode => "node-a",
        Scene::Move | Scene::Takeover => "node-b",
    }
}

/// Ends with the pod attached: reachable, in the kernel, in the file, recorded.
fn in_place(cluster: &Cluster, node: &str, case: &str) {
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni(node)), "{case}");
    assert!(cluster.node(node).host.addresses().contains_key(&FIRST), "{case}");
    assert_eq!(cluster.volume.disk().durable.as_deref(), Some("10.0.1.50"), "{case}");
    let record = cluster.record(FIRST);
    assert_eq!(record.attachment.as_ref().map(|a| a.state), Some(State::Attached), "{case}");
    assert_eq!(cluster.registry.snapshot().static_ips.len(), 1, "{case}: a second address");
    cluster.audit();
}

/// Runs one crash and its recovery; false if the call is never made in this scene.
async fn crash(scene: Scene, op: Op, nth: u32, how: Break, then: Then) -> bool {
    let case = format!("{scene:?}, {how:?} at {op:?} {nth}, then {then:?}");
    let cluster = Cluster::default();
    prepare(&cluster, scene).await;
    let node = node_of(scene);
    let script = Script::new().breaking(op, nth, how);
    let dying = Pod::new("uid-2", node).breaking(script.clone());
    let died = dying.dies_in_init(&cluster).await;
    if script.fired() == 0 {
        return false;
    }
    died.unwrap_or_else(|| panic!("{case}: it did not die"));
    let next = match then {
        Then::Same => Pod::new("uid-2", node),
        Then::Elsewhere => Pod::new("uid-3", if node == "node-a" { "node-b" } else { "node-a" }),
    };
    let home = if then == Then::Same || node == "node-b" { node } else { "node-b" };
    let home = if then == Then::Elsewhere && node == "node-b" { "node-a" } else { home };
    let mark = cluster.mark();
    let done = attached(next.init(&cluster).await);
    assert_eq!(done.address, FIRST, "{case}");
    assert!(cluster.costs(mark).mutating <= 1, "{case}: {:?}", cluster.costs(mark));
    in_place(&cluster, home, &case);
    // Nothing lands later.
    sleep(Duration::from_mins(1)).await;
    in_place(&cluster, home, &case);
    true
}

async fn every_crash(scene: Scene) -> BTreeSet<(Op, u32)> {
    let mut reached = BTreeSet::new();
    for (op, nth) in CALLS {
        for how in [Break::Never, Break::Vanish] {
            for then in [Then::Same, Then::Elsewhere] {
                if crash(scene, op, nth, how, then).await {
                    reached.insert((op, nth));
                }
            }
        }
    }
    reached
}

#[tokio::test(start_paused = true)]
async fn a_first_start_survives_a_crash_at_every_call() {
    let reached = every_crash(Scene::FirstUse).await;
    for op in [Op::Allocated, Op::Owner, Op::Assign, Op::Listed, Op::AddAddress, Op::Sync] {
        assert!(reached.iter().any(|(o, _)| *o == op), "{op:?} was never reached");
    }
    assert!(reached.contains(&(Op::Write, 4)), "claim, address, take and completion");
}

#[tokio::test(start_paused = true)]
async fn a_restart_on_the_same_node_survives_a_crash_at_every_call() {
    let reached = every_crash(Scene::SameNode).await;
    assert!(reached.contains(&(Op::Write, 2)));
    assert!(!reached.contains(&(Op::Assign, 1)), "a call on the same node");
}

#[tokio::test(start_paused = true)]
async fn a_move_survives_a_crash_at_every_call() {
    let reached = every_crash(Scene::Move).await;
    assert!(reached.contains(&(Op::Assign, 1)));
    assert!(!reached.contains(&(Op::Publish, 1)), "the file was right already");
}

#[tokio::test(start_paused = true)]
async fn a_takeover_survives_a_crash_at_every_call() {
    let reached = every_crash(Scene::Takeover).await;
    assert!(reached.contains(&(Op::Assign, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_release_survives_a_crash_at_every_call() {
    for unassign in [false, true] {
        let mut reached = BTreeSet::new();
        for (op, nth) in CALLS.into_iter().chain([(Op::Unassign, 1), (Op::StaticIp, 2)]) {
            for how in [Break::Never, Break::Vanish] {
                for node in ["node-a", "node-b"] {
                    let case = format!("{how:?} at {op:?} {nth}, unassign {unassign}, {node}");
                    let cluster = Cluster::default();
                    attached(Pod::new("uid-1", "node-a").init(&cluster).await);
                    cluster.settle().await;
                    let script = Script::new().breaking(op, nth, how);
                    let dying = Pod::new("uid-1", "node-a").breaking(script.clone());
                    let died = dying.dies_in_stop(&cluster, Release { unassign }).await;
                    if script.fired() == 0 {
                        continue;
                    }
                    died.unwrap_or_else(|| panic!("{case}: it did not die"));
                    reached.insert((op, nth));
                    let done = attached(Pod::new("uid-2", node).init(&cluster).await);
                    assert_eq!(done.address, FIRST, "{case}");
                    in_place(&cluster, node, &case);
                    sleep(Duration::from_mins(1)).await;
                    in_place(&cluster, node, &case);
                }
            }
        }
        for op in [Op::Pod, Op::StaticIp, Op::Sockets, Op::RemoveAddress, Op::RemoveRouting] {
            assert!(reached.iter().any(|(o, _)| *o == op), "{op:?} was never reached");
        }
        assert_eq!(reached.contains(&(Op::Unassign, 1)), unassign);
    }
}

/// The same stop container is run again, as a kubelet does with a hook that was cut.
#[tokio::test(start_paused = true)]
async fn a_release_that_died_is_finished_by_running_it_again() {
    for unassign in [false, true] {
        for (op, nth) in CALLS.into_iter().chain([(Op::StaticIp, 2)]) {
            for how in [Break::Never, Break::Vanish] {
                let case = format!("{how:?} at {op:?} {nth}, unassign {unassign}");
                let cluster = Cluster::default();
                attached(Pod::new("uid-1", "node-a").init(&cluster).await);
                cluster.settle().await;
                let script = Script::new().breaking(op, nth, how);
                let dying = Pod::new("uid-1", "node-a").breaking(script.clone());
                let died = dying.dies_in_stop(&cluster, Release { unassign }).await;
                if script.fired() == 0 {
                    continue;
                }
                died.unwrap_or_else(|| panic!("{case}: it did not die"));
                released(Pod::new("uid-1", "node-a").stop(&cluster, Release { unassign }).await);
                assert!(cluster.node("node-a").host.addresses().is_empty(), "{case}");
                let record = cluster.record(FIRST);
                let state = record.attachment.expect("the last life").state;
                // Only an unassignment that died after its intent is left to the agent.
                let done = matches!(state, State::Parked | State::Released);
                assert!(done || (unassign && state == State::Releasing), "{case}: {state:?}");
                cluster.audit();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p7_ten_restarts_under_a_throttle_end_with_one_mutation() {
    let cluster = Cluster::default();
    prepare(&cluster, Scene::Move).await;
    let until = cluster.now() + Duration::from_secs(100);
    let when = firecamp_vpc::Selector {
        until_ms: Some(u64::try_from(until.as_millis()).expect("a short test")),
        ..firecamp_vpc::Selector::default()
    };
    let storm = firecamp_vpc::Fault::ThrottleStorm {
        form: firecamp_vpc::ThrottleForm::New,
        retry_after_ms: None,
    };
    cluster.fault_when(storm, when);
    let mut restarts = 0;
    loop {
        let pod = Pod::new("uid-2", "node-b").within(Duration::from_secs(10));
        let ended = pod.init(&cluster).await;
        if matches!(&ended, firecamp_engine::Ended::Outcome(o)
            if matches!(o, firecamp_core::machine::Outcome::Attached(_)))
        {
            break;
        }
        restarts += 1;
        assert!(restarts < 30, "{ended:?}");
        sleep(Duration::from_secs(1)).await;
    }
    assert!(restarts >= 5, "only {restarts} restarts: the storm was too short");
    let moves: Vec<_> = cluster
        .world()
        .commits(0)
        .into_iter()
        .filter(|c| c.moves.iter().any(|m| m.address == FIRST))
        .collect();
    assert_eq!(moves.len(), 2, "one for the first start, one for the move: {moves:?}");
    assert!(cluster.record(FIRST).pending_mutations.len() <= 1, "marks pile up");
    in_place(&cluster, "node-b", "P7");
}
