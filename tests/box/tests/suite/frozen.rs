//! Containers that stand still at a step, as on a machine that is suspended, and go on after
//! somebody else took over.

use crate::support::crowd;
use crate::support::member::Member;
use crate::support::world::World;

/// The steps of a move up to the last one before completion (3 and 4 create a member's records).
const MOVE: [u8; 15] = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
/// The steps of a first start up to the take, in their order.
const FIRST: [u8; 7] = [0, 1, 3, 4, 5, 6, 2];
/// From the fixed epoch to the last step before the record.
const RELEASE: [u8; 5] = [0, 1, 2, 3, 4];
/// From the announced Unassign to the last step before the record.
const FREE: [u8; 3] = [2, 3, 4];

fn name(step: u8) -> String {
    format!("attach.{step}")
}

fn frozen_init(world: &World, step: u8) {
    let mut member = Member::new(world, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let up = member.comes_up(&first);
    drop(up.server);
    first.stop("release").end().succeeded();

    if step == 15 {
        // A file that says the right thing already is not renamed.
        first.loses_its_file();
    }
    let frozen = member.pod("pod-2", "node-b");
    let mut process = frozen.init().freeze_at(&name(step)).start();
    process.is_frozen();
    let last = member.pod("pod-3", "node-c");
    let up = member.comes_up(&last);
    let (since, before) = (world.now(), world.record(member.address()));

    process.resume();
    let report = process.end().failed(10, "Superseded", &["pod-3", "node-c"]);
    assert_eq!(report["podUID"], "pod-2");
    assert_eq!(world.record(member.address()), before);
    let calls = member.ec2(since);
    assert!(!calls.iter().any(|call| call.mutating), "{calls:#?}");
    let address = member.address().to_string();
    let kernel = world.kernel("node-b");
    assert!(!kernel.iter().any(|line| line.contains(&address)), "{kernel:#?}");
    member.client().is_answered_by("pod-3", world.clock().now_us());
    // Its file is on the volume that travelled: the same text, whoever wrote it.
    member.is_well(&last, &up.started);
}

#[test]
fn a_frozen_init_that_was_superseded_ends_so_and_leaves_no_address_behind() {
    let world = World::start();
    crowd::each(&MOVE, |step| name(*step), |step| frozen_init(&world, *step));
}

#[test]
fn an_init_that_stood_still_after_its_completion_ends_well_and_changes_nothing_more() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let frozen = member.pod("pod-1", "node-a");
    let mut process = frozen.init().freeze_at("attach.17").start();
    process.is_frozen();
    let last = member.pod("pod-2", "node-b");
    let up = member.comes_up(&last);
    let (since, before) = (world.now(), world.record(member.address()));
    process.resume();
    // It had succeeded; that the member has moved on since is its kubelet's to find.
    process.end().succeeded();
    assert_eq!(world.record(member.address()), before);
    assert_eq!(member.ec2(since), []);
    member.is_well(&last, &up.started);
}

fn frozen_first_start(world: &World, step: u8) {
    let mut member = Member::new(world, &format!("redis-{step}"));
    let mut process = member.pod("pod-1", "node-a").init().freeze_at(&name(step)).start();
    process.is_frozen();
    let last = member.pod("pod-2", "node-b");
    let up = member.comes_up(&last);
    let (since, before) = (world.now(), world.record(member.address()));
    process.resume();
    process.end().failed(10, "Superseded", &["pod-2", "node-b"]);
    assert_eq!(world.record(member.address()), before);
    assert!(!member.ec2(since).iter().any(|call| call.mutating));
    member.client().is_answered_by("pod-2", world.clock().now_us());
    member.is_well(&last, &up.started);
}

#[test]
fn a_frozen_first_start_takes_nothing_from_the_pod_that_was_started_since() {
    let world = World::start();
    crowd::each(&FIRST, |step| name(*step), |step| frozen_first_start(&world, *step));
}

/// The member leaves and comes back to the node while its first pod's stop stands still.
fn frozen_stop(world: &World, step: &str, unassign: bool) {
    let mut member = Member::new(world, &format!("redis-{}", step.rsplit_once('.').unwrap().1));
    let first = member.pod("pod-1", "node-a");
    let up = member.comes_up(&first);
    drop(up.server);
    let how = format!("--unassign={unassign}");
    let mut process = first.stop("release").arg(how).freeze_at(step).start();
    process.is_frozen();
    drop(member.comes_up(&member.pod("pod-2", "node-b")).server);
    let last = member.pod("pod-3", "node-a");
    let up = member.comes_up(&last);
    let (since, before) = (world.now(), world.record(member.address()));

    process.resume();
    let report = process.end().succeeded();
    assert_eq!(report["path"], "not-holder", "{report}");
    assert_eq!(world.record(member.address()), before);
    let calls = member.ec2(since);
    // An Unassign whose authority is too old is not sent; its owner may be looked up.
    assert!(!calls.iter().any(|call| call.mutating), "{calls:#?}");
    assert!(unassign || calls.is_empty(), "{calls:#?}");
    member.client().is_answered_by("pod-3", world.clock().now_us());
    world.is_settled(&last, &up.started);
    member.only_holders_answered();
    if !unassign {
        world.was_never_lost(member.address());
    }
}

#[test]
fn f023_a_frozen_stop_changes_nothing_of_the_pod_that_came_back_to_its_node() {
    let world = World::start();
    let steps = RELEASE.map(|step| format!("release.{step}"));
    crowd::each(&steps, String::clone, |step| frozen_stop(&world, step, false));
}

#[test]
fn f117_a_frozen_stop_that_unassigns_takes_nothing_from_the_pod_that_came_back() {
    let world = World::start();
    let steps = FREE.map(|step| format!("free.{step}"));
    crowd::each(&steps, String::clone, |step| frozen_stop(&world, step, true));
}

#[test]
fn a_stop_that_stood_still_after_its_record_ends_well_and_changes_nothing_more() {
    let world = World::start();
    let ends = [("release.5", "parked"), ("free.5", "unassigned")];
    crowd::each(
        &ends,
        |(step, _)| (*step).to_owned(),
        |(step, path)| {
            let member_name = format!("redis{}-5", step.replace(".5", ""));
            let mut member = Member::new(&world, &member_name);
            let first = member.pod("pod-1", "node-a");
            drop(member.comes_up(&first).server);
            let how = format!("--unassign={}", *path == "unassigned");
            let mut process = first.stop("release").arg(how).freeze_at(step).start();
            process.is_frozen();
            let last = member.pod("pod-2", "node-a");
            let up = member.comes_up(&last);
            let (since, before) = (world.now(), world.record(member.address()));
            process.resume();
            assert_eq!(process.end().succeeded()["path"], *path);
            assert_eq!(world.record(member.address()), before);
            assert_eq!(member.ec2(since), []);
            world.is_settled(&last, &up.started);
            member.only_holders_answered();
        },
    );
}
