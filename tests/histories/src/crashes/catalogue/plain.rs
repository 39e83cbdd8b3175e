//! Ordinary events of members' lives.

use crate::scenario::{At, Disruption, Shape, StopKind};

use super::{
    A, B, Entry, MEMBER, OTHER, UP, entry, forced, moved, much_later, shape, start, stopped,
};

pub(super) fn entries() -> Vec<Entry> {
    let mut entries = starts_stops_and_moves();
    entries.extend(forces());
    entries.extend(sandboxes());
    entries.extend(unassigning());
    entries.extend(other_nodes());
    entries.extend(others());
    entries
}

/// Starts, stops and moves.
fn starts_stops_and_moves() -> Vec<Entry> {
    vec![
        entry(
            "first-start",
            "a member starts for the first time",
            shape(),
            0,
            vec![start(0, MEMBER, A)],
        ),
        entry(
            "restart",
            "its pod is deleted and the next one starts on the same node",
            shape(),
            UP,
            vec![start(0, MEMBER, A), moved(UP, A)],
        ),
        entry(
            "move",
            "it moves to another node",
            shape(),
            UP,
            vec![start(0, MEMBER, A), moved(UP, B)],
        ),
        entry(
            "stop",
            "it is stopped and no longer wanted",
            shape(),
            UP,
            vec![start(0, MEMBER, A), stopped(UP, 30)],
        ),
        entry(
            "stop-then-elsewhere",
            "it is stopped, waits, and starts on another node",
            shape(),
            UP + 8_000,
            vec![start(0, MEMBER, A), stopped(UP, 30), start(UP + 8_000, MEMBER, B)],
        ),
        entry(
            "there-and-back",
            "it moves away and comes back: IMDS may list the address from before",
            shape(),
            UP + 4_000,
            vec![start(0, MEMBER, A), moved(UP, B), moved(UP + 4_000, A)],
        ),
    ]
}

/// Force deletes: two pods of one member.
fn forces() -> Vec<Entry> {
    vec![
        entry(
            "force-elsewhere",
            "force-deleted; the kubelet notices at once; the successor starts on another node",
            shape(),
            UP,
            vec![start(0, MEMBER, A), forced(UP, B, 100, 2_000)],
        ),
        entry(
            "force-same-node",
            "force-deleted; the old pod dies while its successor attaches on the same node",
            shape(),
            UP,
            vec![start(0, MEMBER, A), forced(UP, A, 500, 2_000)],
        ),
        much_later(entry(
            "force-predecessor",
            "force-deleted; the old pod serves for one more second on its successor's node",
            shape(),
            UP,
            vec![start(0, MEMBER, A), forced(UP, A, 1_000, 2_000)],
        )),
        much_later(entry(
            "zombie",
            "force-deleted on a node whose kubelet is cut off for 20 s",
            shape(),
            UP,
            vec![start(0, MEMBER, A), forced(UP, B, 20_000, 2_000)],
        )),
        entry(
            "force-twice",
            "force-deleted twice within a second: three pods of one member",
            shape(),
            UP,
            vec![
                start(0, MEMBER, A),
                forced(UP, B, 3_000, 2_000),
                forced(UP + 700, A, 3_000, 2_000),
            ],
        ),
    ]
}

/// Sandboxes that die: one UID runs its containers again.
fn sandboxes() -> Vec<Entry> {
    vec![
        much_later(entry(
            "zombie-restarts",
            "a zombie's sandbox dies: its stop and init run again beside the successor",
            shape(),
            UP + 4_000,
            vec![
                start(0, MEMBER, A),
                forced(UP, B, 20_000, 2_000),
                At {
                    ms: UP + 4_000,
                    disruption: Disruption::Sandbox { member: MEMBER, zombie: true },
                },
            ],
        )),
        entry(
            "sandbox",
            "the sandbox dies: one UID releases and attaches again",
            shape(),
            UP,
            vec![
                start(0, MEMBER, A),
                At { ms: UP, disruption: Disruption::Sandbox { member: MEMBER, zombie: false } },
            ],
        ),
        entry(
            "sandbox-in-init",
            "the sandbox dies while init runs",
            shape(),
            UP,
            vec![
                start(0, MEMBER, A),
                moved(UP, B),
                At {
                    ms: UP + 900,
                    disruption: Disruption::Sandbox { member: MEMBER, zombie: false },
                },
            ],
        ),
    ]
}

fn at_home() -> Vec<At> {
    vec![start(0, MEMBER, A), moved(UP, A)]
}

fn away() -> Vec<At> {
    vec![start(0, MEMBER, A), moved(UP, B)]
}

fn by_force() -> Vec<At> {
    vec![start(0, MEMBER, A), forced(UP, A, 500, 2_000)]
}

/// A pool whose releases take addresses out of EC2.
fn unassigning() -> Vec<Entry> {
    let of =
        |name, what, script| entry(name, what, Shape { unassign: true, ..shape() }, UP, script);
    let stop = vec![start(0, MEMBER, A), stopped(UP, 30)];
    vec![
        of("unassign-stop", "a stop that takes the address out of EC2", stop),
        of("unassign-restart", "out of EC2, and back on the same node", at_home()),
        of("unassign-move", "out of EC2, and back on another node", away()),
        of("unassign-force-same", "force-deleted, in a pool whose releases unassign", by_force()),
    ]
}

/// Secondary ENIs, hooks, no agents.
fn other_nodes() -> Vec<Entry> {
    let second = || Shape { secondary: true, ..shape() };
    let hook = || Shape { stop: StopKind::Hook, ..shape() };
    let alone = || Shape { agents: false, ..shape() };
    let both = || Shape { unassign: true, ..hook() };
    let first = vec![start(0, MEMBER, A)];
    vec![
        entry("secondary-start", "a first start on a secondary ENI", second(), 0, first),
        entry("secondary-move", "a move between secondary ENIs", second(), UP, away()),
        entry("secondary-force-same", "force-deleted on a secondary ENI", second(), UP, by_force()),
        entry("hook-restart", "a hook, no sidecar; the same node", hook(), UP, at_home()),
        entry("hook-move", "a hook, no sidecar; another node", hook(), UP, away()),
        entry("hook-unassign-move", "a hook that unassigns", both(), UP, away()),
        entry("alone-move", "a move, without any agent", alone(), UP, away()),
        entry("alone-force-same", "force-deleted, without any agent", alone(), UP, by_force()),
    ]
}

/// More members, shorter grace periods.
fn others() -> Vec<Entry> {
    let two = || Shape { members: 2, pool: 3, ..shape() };
    let starts = vec![start(0, MEMBER, A), start(1, OTHER, B)];
    let one_moves = vec![start(0, MEMBER, A), start(1, OTHER, A), moved(UP, B)];
    let hasty = vec![start(0, MEMBER, A), stopped(UP, 1), start(UP + 3_000, MEMBER, A)];
    vec![
        entry("two-first-starts", "two members allocate at once", two(), 0, starts),
        entry("two-on-one-node", "one of two on a node moves away", two(), UP, one_moves),
        entry("short-grace", "deleted with a grace period of one second", shape(), UP, hasty),
    ]
}
