//! Pods that ask their node's agent: a crash of the agent is a crash of all that it runs for them.

use crate::scenario::{At, Disruption, Endpoint, Shape, StopKind};

use super::{
    A, B, Entry, MEMBER, OTHER, UP, entry, forced, moved, much_later, shape, start, stopped,
};

fn asking() -> Shape {
    Shape { endpoint: Endpoint::Used, ..shape() }
}

pub(super) fn entries() -> Vec<Entry> {
    let mut entries = starts_and_moves();
    entries.extend(forces_and_sandboxes());
    entries.extend(from_and_to_direct_mode());
    entries
}

fn starts_and_moves() -> Vec<Entry> {
    let first = vec![start(0, MEMBER, A)];
    let here = vec![start(0, MEMBER, A), moved(UP, A)];
    let away = || vec![start(0, MEMBER, A), moved(UP, B)];
    let stop = vec![start(0, MEMBER, A), stopped(UP, 30)];
    let hook = Shape { stop: StopKind::Hook, ..asking() };
    let unassign = Shape { unassign: true, ..asking() };
    let secondary = Shape { secondary: true, ..asking() };
    vec![
        entry("endpoint-first-start", "a first start through the agent", asking(), 0, first),
        entry("endpoint-restart", "through the agent, the same node", asking(), UP, here),
        entry("endpoint-move", "through the agents of two nodes", asking(), UP, away()),
        entry("endpoint-stop", "released through the agent", asking(), UP, stop),
        entry("endpoint-hook-move", "a hook that asks the agent", hook, UP, away()),
        entry(
            "endpoint-unassign-move",
            "the agent unassigns, another one assigns",
            unassign,
            UP,
            away(),
        ),
        entry(
            "endpoint-secondary-move",
            "through agents, on secondary ENIs",
            secondary,
            UP,
            away(),
        ),
    ]
}

fn forces_and_sandboxes() -> Vec<Entry> {
    let two = Shape { members: 2, pool: 3, ..asking() };
    let starts = vec![start(0, MEMBER, A), start(1, OTHER, A)];
    let sandbox = At { ms: UP, disruption: Disruption::Sandbox { member: MEMBER, zombie: false } };
    vec![
        entry(
            "endpoint-force-elsewhere",
            "force-deleted; the old pod's token is refused while its successor attaches",
            asking(),
            UP,
            vec![start(0, MEMBER, A), forced(UP, B, 100, 2_000)],
        ),
        entry(
            "endpoint-force-same-node",
            "force-deleted; one agent serves both pods",
            asking(),
            UP,
            vec![start(0, MEMBER, A), forced(UP, A, 500, 2_000)],
        ),
        entry(
            "endpoint-sandbox",
            "the sandbox dies: the agent releases nothing for a pod that lives",
            asking(),
            UP,
            vec![start(0, MEMBER, A), sandbox],
        ),
        entry("endpoint-two-first-starts", "one agent runs two first starts", two, 0, starts),
    ]
}

/// The first pod does everything itself, the second one asks its agent.
fn from_and_to_direct_mode() -> Vec<Entry> {
    let mixed = || Shape { endpoint: Endpoint::Mixed, ..shape() };
    vec![
        entry(
            "endpoint-from-direct",
            "from direct mode to the endpoint, on another node",
            mixed(),
            UP,
            vec![start(0, MEMBER, A), moved(UP, B)],
        ),
        entry(
            "endpoint-to-direct",
            "from the endpoint back to direct mode, on the same node",
            mixed(),
            UP + 4_000,
            vec![start(0, MEMBER, A), moved(UP, A), moved(UP + 4_000, A)],
        ),
        much_later(entry(
            "endpoint-beside-zombie",
            "force-deleted in direct mode on a cut-off node; its successor asks its agent",
            mixed(),
            UP,
            vec![start(0, MEMBER, A), forced(UP, B, 20_000, 2_000)],
        )),
    ]
}
