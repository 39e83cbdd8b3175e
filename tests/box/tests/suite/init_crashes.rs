//! The init container is killed after each step; then init runs on the same node or another.

use std::collections::BTreeSet;
use std::sync::Mutex;

use firecamp_core::ids::PoolName;
use firecamp_core::ports::Registry;
use firecamp_core::record::StaticIp;

use crate::support::member::{Cost, Member};
use crate::support::parallel;
use crate::support::test_box::TestBox;

/// The steps that a move of a bound member passes (3 and 4 create its records).
const MOVE: [u8; 16] = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
/// The steps of a first start up to the acquisition, and those of the Assign.
const FIRST: [u8; 9] = [0, 1, 3, 4, 5, 6, 2, 7, 9];

fn name(step: u8) -> String {
    format!("attach.{step}")
}

/// A member of node-a moves to node-b, where its init container is killed after the step. Then
/// init runs on `node`, as pod `uid`. The killed container may leave the address in the kernel of
/// node-b. Without an agent nothing removes it, so the test does not check it.
fn crash_of_a_move(test_box: &TestBox, step: u8, (uid, node): (&str, &str)) {
    let mut member = Member::new(test_box, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let up = member.bring_up(&first);
    drop(up.server);
    first.stop("release").end().succeeded();

    if step == 15 {
        // Init does not rewrite a file that is correct.
        first.delete_static_ip_file();
    }
    let since = test_box.last_call();
    member.pod("pod-2", "node-b").init().crash_at(&name(step)).end().crashed();
    let last = member.pod(uid, node);
    let up = member.bring_up(&last);
    member.assert_healthy(&last, &up.started);

    let calls = member.ec2_calls(since);
    let (killed, all) = (Cost::of(&calls, "node-b"), Cost::of(&calls, ""));
    if node == "node-b" {
        // IMDS already lists the address, so init needs one Describe more.
        assert!(all.mutating <= 2 && all.calls <= 5 && all.moves == 1, "{calls:#?}");
        return;
    }
    let last = Cost::of(&calls, node);
    assert!(killed.mutating <= 1 && killed.calls <= 2, "{calls:#?}");
    assert_eq!(last, Cost { calls: 2, mutating: 1, moves: 1 }, "{calls:#?}");
}

#[test]
fn same_pod_attaches_again_after_a_crash_at_any_step_of_a_move() {
    let test_box = TestBox::start();
    parallel::each(
        &MOVE,
        |step| name(*step),
        |step| crash_of_a_move(&test_box, *step, ("pod-2", "node-b")),
    );
}

#[test]
fn successor_attaches_on_another_node_after_a_crash_at_any_step_of_a_move() {
    let test_box = TestBox::start();
    parallel::each(
        &MOVE,
        |step| name(*step),
        |step| crash_of_a_move(&test_box, *step, ("pod-3", "node-c")),
    );
}

/// The record after a crash, and the node whose ENI has the address.
type State = (StaticIp, Option<String>);

/// A member's pod is deleted by force and still serves on node-a. The successor's init container
/// is killed on node-b after the step, and nothing else starts.
fn crash_without_recovery(test_box: &TestBox, step: u8) -> State {
    let mut member = Member::new(test_box, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let _up = member.bring_up(&first);
    if step == 15 {
        first.delete_static_ip_file();
    }
    member.pod("pod-2", "node-b").init().crash_at(&name(step)).end().crashed();

    let address = member.address();
    let moved = step >= 8;
    if !moved {
        member.client().wait_for_answer_of("pod-1", test_box.clock().now_us());
    }
    let owner = test_box.control().address(address).unwrap().unwrap().node;
    assert_eq!(owner.as_deref(), Some(if moved { "node-b" } else { "node-a" }), "after {step}");
    let text = format!("{address}/32");
    let has = |node: &str| test_box.kernel(node).iter().any(|line| line.starts_with(&text));
    assert!(has("node-a"), "only the agent may remove the address from the old node");
    assert_eq!(has("node-b"), step >= 11, "after {step}");
    let record = test_box.record(address);
    let pod = if [0, 1, 2, 5, 6].contains(&step) { "pod-1" } else { "pod-2" };
    assert_eq!(record.attachment.as_ref().unwrap().pod.as_str(), pod, "after {step}");
    test_box.assert_always_on_an_eni(address);
    member.assert_only_holders_answered();
    (record, owner)
}

#[test]
fn nothing_changes_after_a_crash_of_a_move_until_something_acts() {
    let test_box = TestBox::start();
    let states = Mutex::new(Vec::new());
    parallel::each(
        &MOVE,
        |step| name(*step),
        |step| states.lock().unwrap().push(crash_without_recovery(&test_box, *step)),
    );
    let states = states.into_inner().unwrap();
    assert_eq!(states.len(), MOVE.len());
    for (record, owner) in states {
        assert_eq!(test_box.record(record.address), record);
        assert_eq!(test_box.control().address(record.address).unwrap().unwrap().node, owner);
    }
}

/// The init container of a new member is killed on node-a; then init runs on `node`.
fn crash_of_a_first_start(test_box: &TestBox, step: u8, node: &str) {
    let mut member = Member::new(test_box, &format!("redis-{step}"));
    member.pod("pod-1", "node-a").init().crash_at(&name(step)).end().crashed();
    let uid = if node == "node-a" { "pod-1" } else { "pod-2" };
    let last = member.pod(uid, node);
    let up = member.bring_up(&last);
    member.assert_healthy(&last, &up.started);

    // The member has exactly one address.
    let registry = test_box.registry();
    let pool = PoolName::new("main").unwrap();
    let all = TestBox::block_on(registry.allocated(&pool)).unwrap();
    let own: BTreeSet<_> =
        all.into_iter().filter(|ip| test_box.record(*ip).member.name() == last.member).collect();
    assert_eq!(own, BTreeSet::from([member.address()]));
}

#[test]
fn member_gets_one_address_after_a_crash_at_any_step_of_its_first_start() {
    for node in ["node-a", "node-b"] {
        let test_box = TestBox::start();
        parallel::each(
            &FIRST,
            |step| name(*step),
            |step| crash_of_a_first_start(&test_box, *step, node),
        );
    }
}

#[test]
fn restart_after_a_recovered_crash_makes_no_extra_ec2_call() {
    let test_box = TestBox::start();
    crash_of_a_move(&test_box, 8, ("pod-2", "node-b"));
    let pod = Member::new(&test_box, "redis-8").pod("pod-3", "node-b");
    let since = test_box.last_call();
    let started = pod.run_init();
    let calls = test_box.ec2_calls(started.address, since);
    assert!(calls.len() <= 1 && !calls.iter().any(|call| call.mutating), "{calls:#?}");
    assert!(test_box.record(started.address).pending_mutations.is_empty());
}
