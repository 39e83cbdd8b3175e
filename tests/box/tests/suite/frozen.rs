//! Containers that freeze at a step, as on a suspended machine, and continue after another pod took
//! over.

use crate::support::member::Member;
use crate::support::parallel;
use crate::support::test_box::TestBox;

/// The steps of a move up to the last one before completion (3 and 4 create a member's records).
const MOVE: [u8; 15] = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
/// The steps of a first start up to the acquisition, in their order.
const FIRST: [u8; 7] = [0, 1, 3, 4, 5, 6, 2];
/// From reading the epoch to the last step before the record's update.
const RELEASE: [u8; 5] = [0, 1, 2, 3, 4];
/// From the pending Unassign to the last step before the record's update.
const FREE: [u8; 3] = [2, 3, 4];

fn name(step: u8) -> String {
    format!("attach.{step}")
}

fn frozen_init(test_box: &TestBox, step: u8) {
    let mut member = Member::new(test_box, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let up = member.bring_up(&first);
    drop(up.server);
    first.stop("release").end().succeeded();

    if step == 15 {
        // Init does not rewrite a file that is correct.
        first.delete_static_ip_file();
    }
    let frozen = member.pod("pod-2", "node-b");
    let mut process = frozen.init().freeze_at(&name(step)).start();
    process.wait_until_frozen();
    let last = member.pod("pod-3", "node-c");
    let up = member.bring_up(&last);
    let (since, before) = (test_box.last_call(), test_box.record(member.address()));

    process.resume();
    let report = process.end().failed(10, "Superseded", &["pod-3", "node-c"]);
    assert_eq!(report["podUID"], "pod-2");
    assert_eq!(test_box.record(member.address()), before);
    let calls = member.ec2_calls(since);
    assert!(!calls.iter().any(|call| call.mutating), "{calls:#?}");
    let address = member.address().to_string();
    let kernel = test_box.kernel("node-b");
    assert!(!kernel.iter().any(|line| line.contains(&address)), "{kernel:#?}");
    member.client().wait_for_answer_of("pod-3", test_box.clock().now_us());
    // Both pods write the same text to the file on the member's volume.
    member.assert_healthy(&last, &up.started);
}

#[test]
fn frozen_superseded_init_fails_as_superseded_and_leaves_no_address() {
    let test_box = TestBox::start();
    parallel::each(&MOVE, |step| name(*step), |step| frozen_init(&test_box, *step));
}

#[test]
fn init_frozen_after_completion_succeeds_and_changes_nothing() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let frozen = member.pod("pod-1", "node-a");
    let mut process = frozen.init().freeze_at("attach.17").start();
    process.wait_until_frozen();
    let last = member.pod("pod-2", "node-b");
    let up = member.bring_up(&last);
    let (since, before) = (test_box.last_call(), test_box.record(member.address()));
    process.resume();
    // It has succeeded; the kubelet deletes the superseded pod.
    process.end().succeeded();
    assert_eq!(test_box.record(member.address()), before);
    assert_eq!(member.ec2_calls(since), []);
    member.assert_healthy(&last, &up.started);
}

fn frozen_first_start(test_box: &TestBox, step: u8) {
    let mut member = Member::new(test_box, &format!("redis-{step}"));
    let mut process = member.pod("pod-1", "node-a").init().freeze_at(&name(step)).start();
    process.wait_until_frozen();
    let last = member.pod("pod-2", "node-b");
    let up = member.bring_up(&last);
    let (since, before) = (test_box.last_call(), test_box.record(member.address()));
    process.resume();
    process.end().failed(10, "Superseded", &["pod-2", "node-b"]);
    assert_eq!(test_box.record(member.address()), before);
    assert!(!member.ec2_calls(since).iter().any(|call| call.mutating));
    member.client().wait_for_answer_of("pod-2", test_box.clock().now_us());
    member.assert_healthy(&last, &up.started);
}

#[test]
fn frozen_first_start_takes_nothing_from_a_newer_pod() {
    let test_box = TestBox::start();
    parallel::each(&FIRST, |step| name(*step), |step| frozen_first_start(&test_box, *step));
}

/// The member leaves the node and returns while its first pod's stop container is frozen.
fn frozen_stop(test_box: &TestBox, step: &str, unassign: bool) {
    let mut member = Member::new(test_box, &format!("redis-{}", step.rsplit_once('.').unwrap().1));
    let first = member.pod("pod-1", "node-a");
    let up = member.bring_up(&first);
    drop(up.server);
    let how = format!("--unassign={unassign}");
    let mut process = first.stop("release").arg(how).freeze_at(step).start();
    process.wait_until_frozen();
    drop(member.bring_up(&member.pod("pod-2", "node-b")).server);
    let last = member.pod("pod-3", "node-a");
    let up = member.bring_up(&last);
    let (since, before) = (test_box.last_call(), test_box.record(member.address()));

    process.resume();
    let report = process.end().succeeded();
    assert_eq!(report["path"], "not-holder", "{report}");
    assert_eq!(test_box.record(member.address()), before);
    let calls = member.ec2_calls(since);
    // Stop sends no Unassign after its authorisation has expired, but may look up the owner.
    assert!(!calls.iter().any(|call| call.mutating), "{calls:#?}");
    assert!(unassign || calls.is_empty(), "{calls:#?}");
    member.client().wait_for_answer_of("pod-3", test_box.clock().now_us());
    test_box.assert_settled(&last, &up.started);
    member.assert_only_holders_answered();
    if !unassign {
        test_box.assert_always_on_an_eni(member.address());
    }
}

#[test]
fn f023_frozen_stop_does_not_affect_a_newer_pod_on_its_node() {
    let test_box = TestBox::start();
    let steps = RELEASE.map(|step| format!("release.{step}"));
    parallel::each(&steps, String::clone, |step| frozen_stop(&test_box, step, false));
}

#[test]
fn f117_frozen_unassigning_stop_takes_nothing_from_a_newer_pod() {
    let test_box = TestBox::start();
    let steps = FREE.map(|step| format!("free.{step}"));
    parallel::each(&steps, String::clone, |step| frozen_stop(&test_box, step, true));
}

#[test]
fn stop_frozen_after_its_record_succeeds_and_changes_nothing() {
    let test_box = TestBox::start();
    let ends = [("release.5", "parked"), ("free.5", "unassigned")];
    parallel::each(
        &ends,
        |(step, _)| (*step).to_owned(),
        |(step, path)| {
            let member_name = format!("redis{}-5", step.replace(".5", ""));
            let mut member = Member::new(&test_box, &member_name);
            let first = member.pod("pod-1", "node-a");
            drop(member.bring_up(&first).server);
            let how = format!("--unassign={}", *path == "unassigned");
            let mut process = first.stop("release").arg(how).freeze_at(step).start();
            process.wait_until_frozen();
            let last = member.pod("pod-2", "node-a");
            let up = member.bring_up(&last);
            let (since, before) = (test_box.last_call(), test_box.record(member.address()));
            process.resume();
            assert_eq!(process.end().succeeded()["path"], *path);
            assert_eq!(test_box.record(member.address()), before);
            assert_eq!(member.ec2_calls(since), []);
            test_box.assert_settled(&last, &up.started);
            member.assert_only_holders_answered();
        },
    );
}
