//! The same scenarios with systems that fail all the time: every matching call fails, until ten
//! seconds after the script.

use crate::scenario::{At, Fault, Scenario, Shape, Swarm};

use super::{A, B, Entry, MEMBER, UP, entry, forced, moved, shape, start};

/// All of ten thousand calls.
const ALWAYS: u16 = 10_000;
/// Every second call.
const OFTEN: u16 = 5_000;
/// When a member is ready despite all faults.
const UP_LATE: u32 = 12_000;

pub(super) fn entries() -> Vec<Entry> {
    let mut entries = of_ec2();
    entries.extend(of_others());
    entries
}

fn faulty(
    name: &'static str,
    what: &'static str,
    shape: Shape,
    (fault, rate): (Fault, u16),
    script: Vec<At>,
) -> Entry {
    let from_ms = script.last().map_or(0, |at| at.ms);
    let plain = entry(name, what, shape, from_ms, script);
    let swarm = Swarm::default().with(fault, rate);
    let heal_at_ms = from_ms + 10_000;
    Entry { scenario: Scenario { swarm, heal_at_ms, ..plain.scenario }, ..plain }
}

fn first() -> Vec<At> {
    vec![start(0, MEMBER, A)]
}

fn away() -> Vec<At> {
    vec![start(0, MEMBER, A), moved(UP_LATE, B)]
}

fn and_back() -> Vec<At> {
    vec![start(0, MEMBER, A), moved(UP, B), moved(UP_LATE, A)]
}

fn of_ec2() -> Vec<Entry> {
    let unassign = || Shape { unassign: true, ..shape() };
    let lost = (Fault::CloudLost, ALWAYS);
    let late = (Fault::CloudLate, ALWAYS);
    let stale = (Fault::DescribeStale, ALWAYS);
    let throttled = (Fault::CloudThrottled, ALWAYS);
    let fails = (Fault::CloudFails, OFTEN);
    vec![
        faulty("throttled-start", "a first start, EC2 throttles", shape(), throttled, first()),
        faulty("throttled-move", "a move, EC2 throttles", shape(), throttled, away()),
        faulty("lost-start", "a first start, EC2's answers are lost", shape(), lost, first()),
        faulty("lost-move", "a move, EC2's answers are lost", shape(), lost, away()),
        faulty(
            "lost-unassign",
            "a release that unassigns, answers are lost",
            unassign(),
            lost,
            away(),
        ),
        faulty("late-move", "a move, EC2's mutations land late", shape(), late, away()),
        faulty("late-back", "there and back, mutations land late", shape(), late, and_back()),
        faulty("late-unassign", "a release that unassigns lands late", unassign(), late, away()),
        faulty(
            "late-force",
            "force-deleted, mutations land late",
            shape(),
            late,
            vec![start(0, MEMBER, A), forced(UP_LATE, B, 4_000, 2_000)],
        ),
        faulty("failing-move", "a move, half of EC2's calls fail", shape(), fails, away()),
        faulty("stale-move", "a move, Describe lags", shape(), stale, away()),
        faulty("stale-back", "there and back, Describe lags", shape(), stale, and_back()),
        faulty("stale-unassign", "out of EC2 and back, Describe lags", unassign(), stale, away()),
    ]
}

fn of_others() -> Vec<Entry> {
    let unassign = || Shape { unassign: true, ..shape() };
    let registry = (Fault::RegistryLost, ALWAYS);
    let slow = (Fault::RegistrySlow, OFTEN);
    let metadata = (Fault::MetadataSlow, ALWAYS);
    let unread = (Fault::MetadataFails, OFTEN);
    let switch = (Fault::SwitchSlow, ALWAYS);
    let busy = (Fault::HostBusy, OFTEN);
    let disk = (Fault::DiskFails, OFTEN);
    let kernel = (Fault::HostRefuses, OFTEN);
    vec![
        faulty(
            "unheard-start",
            "a first start, the registry's answers are lost",
            shape(),
            registry,
            first(),
        ),
        faulty(
            "unheard-move",
            "a move, the registry's answers are lost",
            shape(),
            registry,
            away(),
        ),
        faulty(
            "unheard-unassign",
            "a release that unassigns, the registry's answers are lost",
            unassign(),
            registry,
            away(),
        ),
        faulty("slow-registry", "a move, the registry takes seconds", shape(), slow, away()),
        faulty("listed-before", "there and back, IMDS lags", shape(), metadata, and_back()),
        faulty(
            "metadata-fails",
            "a move, every second IMDS request fails",
            shape(),
            unread,
            away(),
        ),
        faulty("slow-switch", "a move, the data path switches late", shape(), switch, away()),
        faulty("busy-lock", "a move, the node's lock is busy", shape(), busy, away()),
        faulty("bad-disk", "a first start, the volume fails", shape(), disk, first()),
        faulty("bad-kernel", "a move, the kernel refuses", shape(), kernel, away()),
    ]
}
