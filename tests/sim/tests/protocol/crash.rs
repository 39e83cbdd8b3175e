//! The process is killed before or after every call of attach and release; then the same pod runs
//! again, or a successor on another node. In each case the member ends with its address, reachable,
//! and no late call changes that.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::record::State;
use firecamp_sim_tests::{Cluster, FIRST, Pod, Release, attached, released};
use firecamp_testkit::sim::{Break, Op, Script};
use tokio::time::sleep;

/// The member's history before the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    FirstUse,
    SameNode,
    Move,
    Takeover,
}

/// Which pod runs after the crash.
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

/// Asserts that the address is attached to the node in EC2, the kernel, the file and the record.
fn assert_attached(cluster: &Cluster, node: &str, case: &str) {
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni(node)), "{case}");
    assert!(cluster.node(node).host.addresses().contains_key(&FIRST), "{case}");
    assert_eq!(cluster.volume.disk().durable.as_deref(), Some("10.0.1.50"), "{case}");
    let record = cluster.record(FIRST);
    assert_eq!(record.attachment.as_ref().map(|a| a.state), Some(State::Attached), "{case}");
    assert_eq!(
        cluster.registry.snapshot().static_ips.len(),
        1,
        "{case}: the member has a second address"
    );
    cluster.audit();
}

/// Runs one crash and its recovery; false if the process does not make the call in this scene.
async fn crash(scene: Scene, op: Op, nth: u32, how: Break, then: Then) -> bool {
    let case = format!("{scene:?}, {how:?} at {op:?} {nth}, then {then:?}");
    let cluster = Cluster::default();
    prepare(&cluster, scene).await;
    let node = node_of(scene);
    let script = Script::new().breaking(op, nth, how);
    let killed = Pod::new("uid-2", node).breaking(script.clone());
    let death = killed.killed_in_init(&cluster).await;
    if script.fired() == 0 {
        return false;
    }
    death.unwrap_or_else(|| panic!("{case}: the process was not killed"));
    let next = match then {
        Then::Same => Pod::new("uid-2", node),
        Then::Elsewhere => Pod::new("uid-3", if node == "node-a" { "node-b" } else { "node-a" }),
    };
    let home = if then == Then::Same || node == "node-b" { node } else { "node-b" };
    let home = if then == Then::Elsewhere && node == "node-b" { "node-a" } else { home };
    let since = cluster.last_call();
    let done = attached(next.init(&cluster).await);
    assert_eq!(done.address, FIRST, "{case}");
    assert!(cluster.costs(since).mutating <= 1, "{case}: {:?}", cluster.costs(since));
    assert_attached(&cluster, home, &case);
    // No late call takes effect.
    sleep(Duration::from_mins(1)).await;
    assert_attached(&cluster, home, &case);
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
    assert!(
        reached.contains(&(Op::Write, 4)),
        "a first start writes the claim, the address, the acquisition and the completion"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_on_the_same_node_survives_a_crash_at_every_call() {
    let reached = every_crash(Scene::SameNode).await;
    assert!(reached.contains(&(Op::Write, 2)));
    assert!(!reached.contains(&(Op::Assign, 1)), "a restart on the same node must not assign");
}

#[tokio::test(start_paused = true)]
async fn a_move_survives_a_crash_at_every_call() {
    let reached = every_crash(Scene::Move).await;
    assert!(reached.contains(&(Op::Assign, 1)));
    assert!(!reached.contains(&(Op::Publish, 1)), "init must not rewrite a correct file");
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
                    let killed = Pod::new("uid-1", "node-a").breaking(script.clone());
                    let death = killed.killed_in_stop(&cluster, Release { unassign }).await;
                    if script.fired() == 0 {
                        continue;
                    }
                    death.unwrap_or_else(|| panic!("{case}: the process was not killed"));
                    reached.insert((op, nth));
                    let done = attached(Pod::new("uid-2", node).init(&cluster).await);
                    assert_eq!(done.address, FIRST, "{case}");
                    assert_attached(&cluster, node, &case);
                    sleep(Duration::from_mins(1)).await;
                    assert_attached(&cluster, node, &case);
                }
            }
        }
        for op in [Op::Pod, Op::StaticIp, Op::Sockets, Op::RemoveAddress, Op::RemoveRouting] {
            assert!(reached.iter().any(|(o, _)| *o == op), "{op:?} was never reached");
        }
        assert_eq!(reached.contains(&(Op::Unassign, 1)), unassign);
    }
}

/// The same stop container runs again, as when a kubelet repeats an interrupted hook.
#[tokio::test(start_paused = true)]
async fn second_stop_completes_a_killed_release() {
    for unassign in [false, true] {
        for (op, nth) in CALLS.into_iter().chain([(Op::StaticIp, 2)]) {
            for how in [Break::Never, Break::Vanish] {
                let case = format!("{how:?} at {op:?} {nth}, unassign {unassign}");
                let cluster = Cluster::default();
                attached(Pod::new("uid-1", "node-a").init(&cluster).await);
                cluster.settle().await;
                let script = Script::new().breaking(op, nth, how);
                let killed = Pod::new("uid-1", "node-a").breaking(script.clone());
                let death = killed.killed_in_stop(&cluster, Release { unassign }).await;
                if script.fired() == 0 {
                    continue;
                }
                death.unwrap_or_else(|| panic!("{case}: the process was not killed"));
                released(Pod::new("uid-1", "node-a").stop(&cluster, Release { unassign }).await);
                assert!(cluster.node("node-a").host.addresses().is_empty(), "{case}");
                let record = cluster.record(FIRST);
                let state = record.attachment.expect("an attachment").state;
                // Only an Unassign that was killed after its intent is left to the agent.
                let done = matches!(state, State::Parked | State::Released);
                assert!(done || (unassign && state == State::Releasing), "{case}: {state:?}");
                cluster.audit();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p7_ten_restarts_under_throttling_end_with_one_mutation() {
    let cluster = Cluster::default();
    prepare(&cluster, Scene::Move).await;
    let until = cluster.now() + Duration::from_secs(100);
    let when = firecamp_vpc::Selector {
        until_ms: Some(u64::try_from(until.as_millis()).expect("a short test")),
        ..firecamp_vpc::Selector::default()
    };
    let throttling = firecamp_vpc::Fault::ThrottleStorm {
        form: firecamp_vpc::ThrottleForm::New,
        retry_after_ms: None,
    };
    cluster.fault_when(throttling, when);
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
    assert!(restarts >= 5, "only {restarts} restarts: the throttling was too short");
    let moves: Vec<_> = cluster
        .world()
        .commits(0)
        .into_iter()
        .filter(|c| c.moves.iter().any(|m| m.address == FIRST))
        .collect();
    assert_eq!(
        moves.len(),
        2,
        "expected one change for the first start and one for the move: {moves:?}"
    );
    assert!(cluster.record(FIRST).pending_mutations.len() <= 1, "pending mutations accumulate");
    assert_attached(&cluster, "node-b", "P7");
}
