//! The init container is killed after each step: what follows, on the same node or another.

use std::collections::BTreeSet;
use std::sync::Mutex;

use firecamp_core::ids::PoolName;
use firecamp_core::ports::Registry;
use firecamp_core::record::StaticIp;

use crate::support::crowd;
use crate::support::member::{Cost, Member};
use crate::support::world::World;

/// The steps that a move of a bound member passes (3 and 4 create its records).
const MOVE: [u8; 16] = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
/// The steps of a first start up to the take, and the Assign.
const FIRST: [u8; 9] = [0, 1, 3, 4, 5, 6, 2, 7, 9];

fn name(step: u8) -> String {
    format!("attach.{step}")
}

/// A member of node-a moves to node-b, where its init container dies after the step. Then its
/// init container runs on `node`, as pod `uid`. A kernel address that the dead one has left on
/// node-b is the agent's to remove, so nothing is promised about it here.
fn crash_of_a_move(world: &World, step: u8, (uid, node): (&str, &str)) {
    let mut member = Member::new(world, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let up = member.comes_up(&first);
    drop(up.server);
    first.stop("release").end().succeeded();

    if step == 15 {
        // A file that says the right thing already is not renamed.
        first.loses_its_file();
    }
    let since = world.now();
    member.pod("pod-2", "node-b").init().crash_at(&name(step)).end().crashed();
    let last = member.pod(uid, node);
    let up = member.comes_up(&last);
    member.is_well(&last, &up.started);

    let calls = member.ec2(since);
    let (dead, all) = (Cost::of(&calls, "node-b"), Cost::of(&calls, ""));
    if node == "node-b" {
        // Found in IMDS from before, it costs one more look.
        assert!(all.mutating <= 2 && all.calls <= 5 && all.moves == 1, "{calls:#?}");
        return;
    }
    let last = Cost::of(&calls, node);
    assert!(dead.mutating <= 1 && dead.calls <= 2, "{calls:#?}");
    assert_eq!(last, Cost { calls: 2, mutating: 1, moves: 1 }, "{calls:#?}");
}

#[test]
fn after_a_crash_at_any_step_of_a_move_the_same_pod_attaches_on_the_same_node() {
    let world = World::start();
    crowd::each(
        &MOVE,
        |step| name(*step),
        |step| crash_of_a_move(&world, *step, ("pod-2", "node-b")),
    );
}

#[test]
fn after_a_crash_at_any_step_of_a_move_a_successor_attaches_on_another_node() {
    let world = World::start();
    crowd::each(
        &MOVE,
        |step| name(*step),
        |step| crash_of_a_move(&world, *step, ("pod-3", "node-c")),
    );
}

/// What is left of a member whose init container died: the record, and who has the address.
type Left = (StaticIp, Option<String>);

/// A member's pod serves on node-a though it was deleted by force; its successor's init container
/// dies on node-b after the step, and nothing else starts.
fn crash_that_nothing_follows(world: &World, step: u8) -> Left {
    let mut member = Member::new(world, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let _up = member.comes_up(&first);
    if step == 15 {
        first.loses_its_file();
    }
    member.pod("pod-2", "node-b").init().crash_at(&name(step)).end().crashed();

    let address = member.address();
    let moved = step >= 8;
    if !moved {
        member.client().is_answered_by("pod-1", world.clock().now_us());
    }
    let owner = world.ask().address(address).unwrap().unwrap().node;
    assert_eq!(owner.as_deref(), Some(if moved { "node-b" } else { "node-a" }), "after {step}");
    let text = format!("{address}/32");
    let has = |node: &str| world.kernel(node).iter().any(|line| line.starts_with(&text));
    assert!(has("node-a"), "the old node's agent withdraws, nobody else");
    assert_eq!(has("node-b"), step >= 11, "after {step}");
    let record = world.record(address);
    let pod = if [0, 1, 2, 5, 6].contains(&step) { "pod-1" } else { "pod-2" };
    assert_eq!(record.attachment.as_ref().unwrap().pod.as_str(), pod, "after {step}");
    world.was_never_lost(address);
    member.only_holders_answered();
    (record, owner)
}

#[test]
fn after_a_crash_at_any_step_of_a_move_that_nothing_follows_everything_stays_as_it_is() {
    let world = World::start();
    let left = Mutex::new(Vec::new());
    crowd::each(
        &MOVE,
        |step| name(*step),
        |step| left.lock().unwrap().push(crash_that_nothing_follows(&world, *step)),
    );
    let left = left.into_inner().unwrap();
    assert_eq!(left.len(), MOVE.len());
    for (record, owner) in left {
        assert_eq!(world.record(record.address), record);
        assert_eq!(world.ask().address(record.address).unwrap().unwrap().node, owner);
    }
}

/// The init container of a new member dies on node-a; then it runs on `node`.
fn crash_of_a_first_start(world: &World, step: u8, node: &str) {
    let mut member = Member::new(world, &format!("redis-{step}"));
    member.pod("pod-1", "node-a").init().crash_at(&name(step)).end().crashed();
    let uid = if node == "node-a" { "pod-1" } else { "pod-2" };
    let last = member.pod(uid, node);
    let up = member.comes_up(&last);
    member.is_well(&last, &up.started);

    // One address, and nobody else's: the record and the claim name each other.
    let registry = world.registry();
    let pool = PoolName::new("main").unwrap();
    let all = World::block_on(registry.allocated(&pool)).unwrap();
    let own: BTreeSet<_> =
        all.into_iter().filter(|ip| world.record(*ip).member.name() == last.member).collect();
    assert_eq!(own, BTreeSet::from([member.address()]));
}

#[test]
fn after_a_crash_at_any_step_of_a_first_start_the_member_gets_one_address() {
    for node in ["node-a", "node-b"] {
        let world = World::start();
        crowd::each(&FIRST, |step| name(*step), |step| crash_of_a_first_start(&world, *step, node));
    }
}

#[test]
fn a_crash_that_was_recovered_from_costs_later_restarts_on_the_node_nothing() {
    let world = World::start();
    crash_of_a_move(&world, 8, ("pod-2", "node-b"));
    let pod = Member::new(&world, "redis-8").pod("pod-3", "node-b");
    let since = world.now();
    let started = pod.starts();
    let calls = world.ec2(started.address, since);
    assert!(calls.len() <= 1 && !calls.iter().any(|call| call.mutating), "{calls:#?}");
    assert!(world.record(started.address).pending_mutations.is_empty());
}
