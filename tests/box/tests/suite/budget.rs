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
    // Where EC2 takes as long as it does: a second or more between answer and packets.
    let world = World::realistic();
    let mut member = Member::new(&world, "redis-0");
    for (uid, node) in [("pod-1", "node-a"), ("pod-2", "node-b"), ("pod-3", "node-c")] {
        let pod = member.pod(uid, node);
        let since = world.now();
        let up = member.comes_up(&pod);
        let calls = member.ec2(since);
        let effects: Vec<_> = calls.iter().flat_map(|call| &call.effects).collect();
        assert_eq!(effects.len(), 1, "{calls:#?}");
        let (answered, routed) = (calls.last().unwrap().answered_at_us, effects[0].routed_at_us);
        let routed_us = routed.expect("the router delivers to the node");
        assert!(answered.is_some_and(|us| us < routed_us), "the answer proves nothing yet");
        assert!(routed_us <= up.started.at_us, "{effects:#?}, success at {}", up.started.at_us);
        member.is_well(&pod, &up.started);
        drop(up.server);
    }
}
