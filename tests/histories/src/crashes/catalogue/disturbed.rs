//! The same, disturbed once: by a thief, a power failure, an outage.

use crate::scenario::{At, Deed, Fault, Outage, Shape, Stripped, Swarm, Theft};

use super::{A, B, Entry, MEMBER, UP, entry, forced, moved, much_later, shape, start};

pub(super) fn entries() -> Vec<Entry> {
    let mut entries = nodes();
    entries.extend(agents());
    entries.extend(errands());
    entries.extend(watches());
    entries.extend(thieves());
    entries.extend(outages());
    entries
}

fn then(deed: Deed, after: u32) -> At {
    At { ms: UP + after, deed }
}

fn nodes() -> Vec<Entry> {
    let (first, away) = (start(0, MEMBER, A), moved(UP, B));
    vec![
        entry(
            "reboot",
            "the node loses its power and boots; the same pod starts again",
            shape(),
            UP,
            vec![first.clone(), then(Deed::Power { node: A, back_ms: Some(3_000) }, 0)],
        ),
        entry(
            "power-elsewhere",
            "the node loses its power; the successor starts elsewhere",
            shape(),
            UP,
            vec![
                first.clone(),
                then(Deed::Power { node: A, back_ms: Some(20_000) }, 0),
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
                then(Deed::Power { node: B, back_ms: Some(4_000) }, 900),
            ],
        ),
        entry(
            "terminated",
            "the instance and its ENI are gone for good",
            shape(),
            UP,
            vec![first.clone(), then(Deed::Terminate { node: A }, 0)],
        ),
        entry(
            "terminated-in-move",
            "the old node is terminated in the middle of a move",
            shape(),
            UP,
            vec![first.clone(), away.clone(), then(Deed::Terminate { node: A }, 700)],
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
                then(Deed::KillAgent { node: A }, 1_500),
            ],
        )),
        much_later(entry(
            "agent-frozen",
            "the old node's agent stands still during a force delete",
            shape(),
            UP,
            vec![
                first,
                then(Deed::FreezeAgent { node: A, ms: 8_000 }, 0),
                forced(UP + 200, B, 9_000, 2_000),
            ],
        )),
    ]
}

/// What agents do, and two of them at once.
fn errands() -> Vec<Entry> {
    let first = start(0, MEMBER, A);
    let strip = |what| Deed::Strip { member: MEMBER, zombie: false, what };
    let second = Shape { secondary: true, ..shape() };
    let twin = |node, ms| Deed::Twin { node, ms };
    let gone = || At { ms: UP + 300, deed: Deed::Stop { member: MEMBER, grace_s: 1 } };
    vec![
        entry(
            "stripped",
            "something else takes address and rules from the kernel; the agent restores them",
            shape(),
            UP,
            vec![first.clone(), then(strip(Stripped::Everything), 0)],
        ),
        entry(
            "stripped-routes",
            "the same of rules and routes alone, on a second ENI",
            second,
            UP,
            vec![first.clone(), then(strip(Stripped::Routing), 0)],
        ),
        much_later(entry(
            "twins-give-way",
            "two agents on the old node after a force delete",
            shape(),
            UP,
            vec![first.clone(), then(twin(A, 9_000), 0), forced(UP + 200, B, 9_000, 2_000)],
        )),
        much_later(entry(
            "twins-restore",
            "two agents on a node whose kernel is stripped",
            shape(),
            UP,
            vec![first.clone(), then(twin(A, 6_000), 0), then(strip(Stripped::Everything), 500)],
        )),
        much_later(entry(
            "lost-node-released",
            "the node is gone for good and its member not wanted: the Lease's holder releases",
            shape(),
            UP,
            vec![first.clone(), then(Deed::Terminate { node: A }, 0), gone()],
        )),
        much_later(entry(
            "two-holders-release",
            "the same, and everybody holds the Lease",
            shape(),
            UP,
            vec![
                first,
                then(Deed::Leases { ms: 20_000 }, 0),
                then(Deed::Terminate { node: A }, 0),
                gone(),
            ],
        )),
    ]
}

/// Agents that see the registry through watches.
fn watches() -> Vec<Entry> {
    let first = start(0, MEMBER, A);
    let of = |fault| Swarm::default().with(fault, 5_000);
    let seen = |mut entry: Entry, fault| {
        entry.scenario.shape.watches = true;
        entry.scenario.swarm = of(fault);
        much_later(entry)
    };
    let by_force = vec![first.clone(), forced(UP, B, 9_000, 2_000)];
    let away = vec![
        first.clone(),
        then(Deed::Outage { system: Outage::Api, ms: 9_000 }, 0),
        then(Deed::Strip { member: MEMBER, zombie: false, what: Stripped::Everything }, 500),
    ];
    vec![
        seen(
            entry("stale-watch", "by force; agents' watches lag", shape(), UP, by_force.clone()),
            Fault::WatchStale,
        ),
        seen(
            entry("watch-goes-back", "by force; watches go back", shape(), UP, by_force.clone()),
            Fault::WatchBack,
        ),
        seen(
            entry("watch-gap", "by force; one watch stands still", shape(), UP, by_force),
            Fault::WatchGap,
        ),
        seen(
            entry("empty-list", "a move; lists are empty", shape(), UP, vec![first, moved(UP, B)]),
            Fault::WatchEmpty,
        ),
        seen(
            entry("stripped-while-away", "stripped while the registry is away", shape(), UP, away),
            Fault::WatchStale,
        ),
    ]
}

fn thieves() -> Vec<Entry> {
    let first = start(0, MEMBER, A);
    let unassign = Shape { unassign: true, ..shape() };
    vec![
        much_later(entry(
            "stolen",
            "a stranger moves the address to its own ENI",
            shape(),
            UP,
            vec![first.clone(), then(Deed::Thief { member: MEMBER, theft: Theft::Steal }, 0)],
        )),
        much_later(entry(
            "unassigned-by-hand",
            "somebody takes the address out of EC2; the agent re-asserts",
            shape(),
            UP,
            vec![first.clone(), then(Deed::Thief { member: MEMBER, theft: Theft::Unassign }, 0)],
        )),
        much_later(entry(
            "unassigned-then-moved",
            "the same, and the member moves meanwhile",
            shape(),
            UP,
            vec![
                first.clone(),
                then(Deed::Thief { member: MEMBER, theft: Theft::Unassign }, 0),
                moved(UP + 5_000, B),
            ],
        )),
        much_later(entry(
            "settled-by-stranger",
            "out of EC2, a stranger's new ENI gets the address",
            unassign,
            UP,
            vec![
                first,
                then(Deed::Stop { member: MEMBER, grace_s: 30 }, 0),
                then(Deed::Thief { member: MEMBER, theft: Theft::Settle }, 3_000),
                start(UP + 4_000, MEMBER, B),
            ],
        )),
    ]
}

fn outages() -> Vec<Entry> {
    let (first, away) = (start(0, MEMBER, A), moved(UP, B));
    let out = |system, ms| Deed::Outage { system, ms };
    let during = |deed| vec![first.clone(), away.clone(), then(deed, 600)];
    vec![
        entry(
            "api-out",
            "a move, the registry goes away for 6 s",
            shape(),
            UP,
            during(out(Outage::Api, 6_000)),
        ),
        entry(
            "ec2-out",
            "a move, EC2 goes away for 8 s",
            shape(),
            UP,
            during(out(Outage::Ec2, 8_000)),
        ),
        entry(
            "metadata-out",
            "a move, the new node's IMDS goes away for 8 s",
            shape(),
            UP,
            during(out(Outage::Metadata(B), 8_000)),
        ),
        entry(
            "full",
            "a move to a node whose ENI is full for 9 s",
            shape(),
            UP,
            vec![first.clone(), then(Deed::Fill { node: B, ms: 9_000 }, 0), moved(UP + 100, B)],
        ),
    ]
}
