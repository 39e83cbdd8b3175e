//! Budgets of EC2 calls, counted by the box.

use crate::support::member::{Cost, Member};
use crate::support::test_box::TestBox;

/// At most `calls` calls, of which exactly `mutating` change something.
struct Budget {
    what: &'static str,
    calls: usize,
    mutating: usize,
}

#[test]
fn f001_f108_every_lifecycle_step_stays_within_its_ec2_call_budget() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let mut costs = Vec::new();
    let mut since = test_box.last_call();
    let mut count = |member: &Member<'_>, what, calls, mutating| {
        let made = member.ec2_calls(since);
        since = test_box.last_call();
        costs.push((Budget { what, calls, mutating }, Cost::of(&made, ""), made));
    };

    let first = member.pod("pod-1", "node-a");
    let server = member.bring_up(&first).server;
    count(&member, "first start", 3, 1);
    drop(server);
    first.stop("release").end().succeeded();
    count(&member, "release", 0, 0);
    let second = member.pod("pod-2", "node-a");
    let server = member.bring_up(&second).server;
    count(&member, "restart on the same node", 1, 0);
    drop(server);
    let third = member.pod("pod-3", "node-a");
    let server = member.bring_up(&third).server;
    count(&member, "restart on the same node after a crash", 1, 0);
    drop(server);
    third.stop("release").end().succeeded();
    count(&member, "release", 0, 0);
    let fourth = member.pod("pod-4", "node-b");
    let server = member.bring_up(&fourth).server;
    count(&member, "move", 2, 1);
    drop(server);
    let fifth = member.pod("pod-5", "node-c");
    let up = member.bring_up(&fifth);
    count(&member, "move after a crash", 2, 1);
    member.assert_healthy(&fifth, &up.started);
    drop(up.server);
    fifth.stop("release").arg("--unassign").end().succeeded();
    count(&member, "release that unassigns", 1, 1);
    fifth.stop("release").arg("--unassign").end().succeeded();
    count(&member, "a second release that unassigns", 0, 0);

    for (budget, cost, calls) in costs {
        let Budget { what, calls: most, mutating } = budget;
        assert!(cost.calls <= most, "{what}: {cost:?}, {calls:#?}");
        assert_eq!((cost.mutating, cost.moves), (mutating, mutating), "{what}: {calls:#?}");
        for call in calls.iter().filter(|call| call.mutating) {
            assert!(call.committed, "{what}: a mutating call had no effect: {call:#?}");
        }
    }
}

#[test]
fn f046_success_is_reported_only_after_the_data_path_has_switched() {
    // With the latencies of EC2, the data path mostly switches a second or more after the response.
    let test_box = TestBox::realistic();
    let mut member = Member::new(&test_box, "redis-0");
    let mut answered_before = 0;
    for (uid, node) in [("pod-1", "node-a"), ("pod-2", "node-b"), ("pod-3", "node-c")] {
        let pod = member.pod(uid, node);
        let since = test_box.last_call();
        let up = member.bring_up(&pod);
        let calls = member.ec2_calls(since);
        let moves: Vec<_> = calls.iter().filter(|call| !call.effects.is_empty()).collect();
        let [call] = moves.as_slice() else { panic!("not one call moved the address: {calls:#?}") };
        let [effect] = call.effects.as_slice() else { panic!("not one address moved: {calls:#?}") };
        let routed_us = effect.routed_at_us.expect("the router delivers to the node");
        answered_before += u32::from(call.answered_at_us.is_some_and(|us| us < routed_us));
        assert!(
            routed_us <= up.started.at_us,
            "{effect:#?}, but init succeeded at {}",
            up.started.at_us
        );
        member.assert_healthy(&pod, &up.started);
        drop(up.server);
    }
    assert!(
        answered_before > 0,
        "no response came before the data path switched, so the test proves nothing"
    );
}
