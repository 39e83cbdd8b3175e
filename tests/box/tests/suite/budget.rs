//! What EC2 is asked, counted by EC2.

use crate::support::member::{Cost, Member};
use crate::support::world::World;

/// At most so many calls, and exactly so many that change something.
struct Budget {
    what: &'static str,
    calls: usize,
    mutating: usize,
}

#[test]
fn f001_f108_every_step_of_a_members_life_stays_within_its_budget_of_calls() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let mut costs = Vec::new();
    let mut since = world.now();
    let mut pay = |member: &Member<'_>, what, calls, mutating| {
        let made = member.ec2(since);
        since = world.now();
        costs.push((Budget { what, calls, mutating }, Cost::of(&made, ""), made));
    };

    let first = member.pod("pod-1", "node-a");
    let server = member.comes_up(&first).server;
    pay(&member, "first start", 3, 1);
    drop(server);
    first.stop("release").end().succeeded();
    pay(&member, "release", 0, 0);
    let second = member.pod("pod-2", "node-a");
    let server = member.comes_up(&second).server;
    pay(&member, "restart on the same node", 1, 0);
    drop(server);
    let third = member.pod("pod-3", "node-a");
    let server = member.comes_up(&third).server;
    pay(&member, "restart on the same node after a crash", 1, 0);
    drop(server);
    third.stop("release").end().succeeded();
    pay(&member, "release", 0, 0);
    let fourth = member.pod("pod-4", "node-b");
    let server = member.comes_up(&fourth).server;
    pay(&member, "move", 2, 1);
    drop(server);
    let fifth = member.pod("pod-5", "node-c");
    let up = member.comes_up(&fifth);
    pay(&member, "move after a crash", 2, 1);
    member.is_well(&fifth, &up.started);
    drop(up.server);
    fifth.stop("release").arg("--unassign").end().succeeded();
    pay(&member, "release that unassigns", 1, 1);
    fifth.stop("release").arg("--unassign").end().succeeded();
    pay(&member, "the same again", 0, 0);

    for (budget, cost, calls) in costs {
        let Budget { what, calls: most, mutating } = budget;
        assert!(cost.calls <= most, "{what}: {cost:?}, {calls:#?}");
        assert_eq!((cost.mutating, cost.moves), (mutating, mutating), "{what}: {calls:#?}");
        for call in calls.iter().filter(|call| call.mutating) {
            assert!(call.committed, "{what}: a call for nothing: {call:#?}");
        }
    }
}

#[test]
fn f046_success_is_reported_only_after_the_data_path_has_switched() {
    // Where EC2 takes as long as it does: a second or more between answer and packets, but for
    // the few answers that are slower than the data path.
    let world = World::realistic();
    let mut member = Member::new(&world, "redis-0");
    let mut answered_before = 0;
    for (uid, node) in [("pod-1", "node-a"), ("pod-2", "node-b"), ("pod-3", "node-c")] {
        let pod = member.pod(uid, node);
        let since = world.now();
        let up = member.comes_up(&pod);
        let calls = member.ec2(since);
        let moves: Vec<_> = calls.iter().filter(|call| !call.effects.is_empty()).collect();
        let [call] = moves.as_slice() else { panic!("one call moves it: {calls:#?}") };
        let [effect] = call.effects.as_slice() else { panic!("one address: {calls:#?}") };
        let routed_us = effect.routed_at_us.expect("the router delivers to the node");
        answered_before += u32::from(call.answered_at_us.is_some_and(|us| us < routed_us));
        assert!(routed_us <= up.started.at_us, "{effect:#?}, success at {}", up.started.at_us);
        member.is_well(&pod, &up.started);
        drop(up.server);
    }
    assert!(answered_before > 0, "every answer came after its packets, and proves nothing");
}
