//! Containers that stand still at a step, as on a machine that is suspended, and go on after
//! somebody else took over.

use crate::support::crowd;
use crate::support::member::Member;
use crate::support::world::World;

/// From the take to the last step before completion.
const ATTACH: [u8; 10] = [7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
/// From the check of the epoch to the last step before the record.
const RELEASE: [u8; 4] = [1, 2, 3, 4];

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
    let mut process = frozen.init().freeze_at(&format!("attach.{step}")).start();
    process.is_frozen();
    let last = member.pod("pod-3", "node-c");
    let up = member.comes_up(&last);
    let (since, before) = (world.now(), world.record(member.address()));

    process.resume();
    let report = process.end().failed(10, "Superseded", &["pod-3", "node-c"]);
    assert_eq!(report["podUid"], "pod-2");
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
    crowd::each(&ATTACH, |step| format!("attach.{step}"), |step| frozen_init(&world, *step));
}

/// The member leaves and comes back to the node while its first pod's stop stands still.
fn frozen_stop(world: &World, step: u8) {
    let mut member = Member::new(world, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let up = member.comes_up(&first);
    drop(up.server);
    let mut process = first.stop("release").freeze_at(&format!("release.{step}")).start();
    process.is_frozen();
    drop(member.comes_up(&member.pod("pod-2", "node-b")).server);
    let last = member.pod("pod-3", "node-a");
    let up = member.comes_up(&last);
    let (since, before) = (world.now(), world.record(member.address()));

    process.resume();
    let report = process.end().succeeded();
    assert_eq!(report["path"], "not-holder", "{report}");
    assert_eq!(world.record(member.address()), before);
    assert_eq!(member.ec2(since), []);
    member.client().is_answered_by("pod-3", world.clock().now_us());
    member.is_well(&last, &up.started);
}

#[test]
fn f023_a_frozen_stop_changes_nothing_of_the_pod_that_came_back_to_its_node() {
    let world = World::start();
    crowd::each(&RELEASE, |step| format!("release.{step}"), |step| frozen_stop(&world, *step));
}
