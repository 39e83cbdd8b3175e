//! The scenarios of the enumeration.

mod disturbed;
mod endpoint;
mod faulty;
mod plain;

use crate::names::{MemberIx, NodeIx};
use crate::scenario::{At, Disruption, Endpoint, Scenario, Shape, StopKind, Swarm};

/// A scenario, and the time from which its boundaries count.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, also for replaying.
    pub name: &'static str,
    /// What happens in it.
    pub what: &'static str,
    /// The scenario.
    pub scenario: Scenario,
    /// Earlier boundaries belong to other scenarios.
    pub from_ms: u32,
}

/// All scenarios, each with a seed of its own.
pub fn all() -> Vec<Entry> {
    varied(0)
}

/// The same scenarios with other seeds: other latencies, lags and jitter.
pub fn varied(variation: u64) -> Vec<Entry> {
    let mut entries = plain::entries();
    entries.extend(faulty::entries());
    entries.extend(endpoint::entries());
    entries.extend(disturbed::entries());
    for entry in &mut entries {
        // Odd: some even seeds are observed for an hour.
        entry.scenario.seed = seed_of(entry.name).wrapping_add(variation << 32) | 1;
    }
    entries
}

/// FNV-1a of the name, so that a seed does not depend on the scenarios before it.
fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Three nodes with agents, one member, sidecars, no special options.
fn shape() -> Shape {
    Shape {
        nodes: 3,
        members: 1,
        pool: 2,
        unassign: false,
        secondary: false,
        stop: StopKind::Sidecar,
        deadline_s: 120,
        predecessor_ms: 30_000,
        eni_limit: 10,
        agents: true,
        watches: false,
        endpoint: Endpoint::Unused,
    }
}

/// The first member.
const MEMBER: MemberIx = MemberIx(0);
/// A second member.
const OTHER: MemberIx = MemberIx(1);
/// Nodes.
const A: NodeIx = NodeIx(0);
const B: NodeIx = NodeIx(1);

/// When a member that was started at the beginning is ready.
const UP: u32 = 4_000;

fn start(ms: u32, member: MemberIx, node: NodeIx) -> At {
    At { ms, disruption: Disruption::Start { member, node } }
}

fn moved(ms: u32, node: NodeIx) -> At {
    At { ms, disruption: Disruption::Move { member: MEMBER, node, grace_s: 30 } }
}

fn stopped(ms: u32, grace_s: u8) -> At {
    At { ms, disruption: Disruption::Stop { member: MEMBER, grace_s } }
}

fn forced(ms: u32, node: NodeIx, notice_ms: u32, grace_ms: u16) -> At {
    At { ms, disruption: Disruption::Force { member: MEMBER, node, notice_ms, grace_ms } }
}

/// A scenario that settles by itself soon after its script. Boundaries count from `from_ms`.
fn entry(
    name: &'static str,
    what: &'static str,
    shape: Shape,
    from_ms: u32,
    script: Vec<At>,
) -> Entry {
    let last = script.last().map_or(0, |at| at.ms);
    let scenario = Scenario {
        seed: 0,
        shape,
        swarm: Swarm::default(),
        script,
        heal_at_ms: last + 1_000,
        orphans: None,
    };
    Entry { name, what, scenario, from_ms }
}

/// The same, with enough time for cut-off kubelets to learn of every change.
fn much_later(entry: Entry) -> Entry {
    let heal_at_ms = entry.scenario.heal_at_ms + 24_000;
    Entry { scenario: Scenario { heal_at_ms, ..entry.scenario }, ..entry }
}
