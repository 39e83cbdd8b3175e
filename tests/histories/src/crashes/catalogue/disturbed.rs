//! The same scenarios with one disruption: an external reassignment, a power failure, an outage.

use crate::scenario::{
    At, Disruption, ExternalReassignment, Fault, Outage, Shape, Stripped, Swarm,
};

use super::{A, B, Entry, MEMBER, UP, entry, forced, moved, much_later, shape, start};

pub(super) fn entries() -> Vec<Entry> {
    let mut entries = nodes();
    entries.extend(agents());
    entries.extend(executions());
    entries.extend(watches());
    entries.extend(external_reassignments());
    entries.extend(outages());
    entries
}

fn then(disruption: Disruption, after: u32) -> At {
    At { ms: UP + after, disruption }
}

fn reassigned(reassignment: ExternalReassignment, after: u32) -> At {
    then(Disruption::ExternalReassignment { member: MEMBER, reassignment }, after)
}

fn nodes() -> Vec<Entry> {
    let (first, away) = (start(0, MEMBER, A), moved(UP, B));
    vec![
        entry(
            "reboot",
            "the node loses its power and boots; the same pod starts again",
            shape(),
            UP,
            vec![first.clone(), then(Disruption::Power { node: A, back_ms: Some(3_000) }, 0)],
        ),
        entry(
            "power-elsewhere",
            "the node loses its power; the successor starts elsewhere",
            shape(),
            UP,
            vec![
                first.clone(),
                then(Disruption::Power { node: A, back_ms: Some(20_000) }, 0),
                forced(UP + 500, B, 1_000, 2_000),
            ],
        ),
        entry(
            "power-in-move",
            "the new node loses its power in the middle of a move",
            shape(),
            UP,
            vec![
                first.clone(),
                away.clone(),
                then(Disruption::Power { node: B, back_ms: Some(4_000) }, 900),
            ],
        ),
        entry(
            "terminated",
            "the instance is terminated and its ENI deleted",
            shape(),
            UP,
            vec![first.clone(), then(Disruption::Terminate { node: A }, 0)],
        ),
        entry(
            "terminated-in-move",
            "the old node is terminated in the middle of a move",
            shape(),
            UP,
            vec![first.clone(), away.clone(), then(Disruption::Terminate { node: A }, 700)],
        ),
    ]
}

fn agents() -> Vec<Entry> {
    let first = start(0, MEMBER, A);
    vec![
        much_later(entry(
            "agent-dies",
            "the old node's agent is killed after a force delete",
            shape(),
            UP,
            vec![
                first.clone(),
                forced(UP, B, 9_000, 2_000),
                then(Disruption::KillAgent { node: A }, 1_500),
            ],
        )),
        much_later(entry(
            "agent-frozen",
            "the old node's agent is frozen during a force delete",
            shape(),
            UP,
            vec![
                first,
                then(Disruption::FreezeAgent { node: A, ms: 8_000 }, 0),
                forced(UP + 200, B, 9_000, 2_000),
            ],
        )),
    ]
}

/// Operations of agents, including two agents at once.
fn executions() -> Vec<Entry> {
    let first = start(0, MEMBER, A);
    let strip = |what| Disruption::Strip { member: MEMBER, zombie: false, what };
    let second = Shape { secondary: true, ..shape() };
    let twin = |node, ms| Disruption::Twin { node, ms };
    let gone = |after| then(Disruption::Stop { member: MEMBER, grace_s: 1 }, after);
    vec![
        entry(
            "stripped",
            "another program removes address and rules from the kernel; the agent restores them",
            shape(),
            UP,
            vec![first.clone(), then(strip(Stripped::Everything), 0)],
        ),
        entry(
            "stripped-routes",
            "the same, rules and routes only, on a secondary ENI",
            second,
            UP,
            vec![first.clone(), then(strip(Stripped::Routing), 0)],
        ),
        much_later(entry(
            "twins-withdraw",
            "two agents on the old node after a force delete",
            shape(),
            UP,
            vec![first.clone(), then(twin(A, 9_000), 0), forced(UP + 200, B, 400, 2_000)],
        )),
        much_later(entry(
            "twins-restore",
            "two agents on a node whose kernel loses the address",
            shape(),
            UP,
            vec![first.clone(), then(twin(A, 6_000), 0), then(strip(Stripped::Everything), 500)],
        )),
        much_later(entry(
            "lost-node-released",
            "the node is terminated and its member not wanted: the leader releases",
            shape(),
            UP,
            vec![first.clone(), then(Disruption::Terminate { node: A }, 0), gone(300)],
        )),
        much_later(entry(
            "two-holders-release",
            "the same, and all agents hold the Lease",
            shape(),
            UP,
            vec![
                first,
                // By the time of the termination all have become leaders.
                then(Disruption::Leases { ms: 40_000 }, 0),
                then(Disruption::Terminate { node: A }, 10_000),
                gone(10_300),
            ],
        )),
    ]
}

/// Agents that see the registry through watches.
fn watches() -> Vec<Entry> {
    let first = start(0, MEMBER, A);
    let of = |fault| Swarm::default().with(fault, 5_000);
    let watched = |mut entry: Entry, fault| {
        entry.scenario.shape.watches = true;
        entry.scenario.swarm = of(fault);
        much_later(entry)
    };
    let by_force = vec![first.clone(), forced(UP, B, 400, 2_000)];
    let away = vec![
        first.clone(),
        then(Disruption::Outage { system: Outage::Api, ms: 9_000 }, 0),
        then(Disruption::Strip { member: MEMBER, zombie: false, what: Stripped::Everything }, 500),
    ];
    vec![
        watched(
            entry(
                "stale-watch",
                "force delete; the agents' watches lag",
                shape(),
                UP,
                by_force.clone(),
            ),
            Fault::WatchStale,
        ),
        watched(
            entry(
                "watch-goes-back",
                "force delete; watches go back in time",
                shape(),
                UP,
                by_force.clone(),
            ),
            Fault::WatchBack,
        ),
        watched(
            entry("watch-gap", "force delete; one watch stalls", shape(), UP, by_force),
            Fault::WatchGap,
        ),
        watched(
            entry("empty-list", "a move; lists are empty", shape(), UP, vec![first, moved(UP, B)]),
            Fault::WatchEmpty,
        ),
        watched(
            entry(
                "stripped-while-away",
                "the kernel loses the address during a registry outage",
                shape(),
                UP,
                away,
            ),
            Fault::WatchStale,
        ),
    ]
}

fn external_reassignments() -> Vec<Entry> {
    let first = start(0, MEMBER, A);
    let unassign = Shape { unassign: true, ..shape() };
    vec![
        much_later(entry(
            "stolen",
            "a foreign actor moves the address to its own ENI",
            shape(),
            UP,
            vec![first.clone(), reassigned(ExternalReassignment::Steal, 0)],
        )),
        much_later(entry(
            "unassigned-by-hand",
            "a user unassigns the address; the agent re-asserts it",
            shape(),
            UP,
            vec![first.clone(), reassigned(ExternalReassignment::Unassign, 0)],
        )),
        much_later(entry(
            "unassigned-then-moved",
            "the same, and the member moves meanwhile",
            shape(),
            UP,
            vec![
                first.clone(),
                reassigned(ExternalReassignment::Unassign, 0),
                moved(UP + 5_000, B),
            ],
        )),
        much_later(entry(
            "settled-by-stranger",
            "after the release a foreign actor's new ENI gets the address",
            unassign,
            UP,
            vec![
                first,
                then(Disruption::Stop { member: MEMBER, grace_s: 30 }, 0),
                reassigned(ExternalReassignment::Settle, 3_000),
                start(UP + 4_000, MEMBER, B),
            ],
        )),
    ]
}

fn outages() -> Vec<Entry> {
    let (first, away) = (start(0, MEMBER, A), moved(UP, B));
    let out = |system, ms| Disruption::Outage { system, ms };
    let during = |disruption| vec![first.clone(), away.clone(), then(disruption, 600)];
    vec![
        entry(
            "api-out",
            "a move, the registry is unavailable for 6 s",
            shape(),
            UP,
            during(out(Outage::Api, 6_000)),
        ),
        entry(
            "ec2-out",
            "a move, EC2 is unavailable for 8 s",
            shape(),
            UP,
            during(out(Outage::Ec2, 8_000)),
        ),
        entry(
            "metadata-out",
            "a move, the new node's IMDS is unavailable for 8 s",
            shape(),
            UP,
            during(out(Outage::Metadata(B), 8_000)),
        ),
        entry(
            "full",
            "a move to a node whose ENI is full for 9 s",
            shape(),
            UP,
            vec![
                first.clone(),
                then(Disruption::Fill { node: B, ms: 9_000 }, 0),
                moved(UP + 100, B),
            ],
        ),
    ]
}
