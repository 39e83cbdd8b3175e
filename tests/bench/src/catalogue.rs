//! Every figure: its name, its unit, and what was aimed at.

use serde::{Deserialize, Serialize};

/// What values of a figure count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Seconds.
    S,
    /// Mebibytes.
    MiB,
    /// Millions of bytes, as sizes of images are told.
    Mb,
    /// Millions.
    Millions,
    /// Things.
    Count,
    /// A multiple.
    Times,
    /// Hundredths.
    Percent,
    /// Kibibytes a minute.
    KiBPerMinute,
}

impl Unit {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Us => "µs",
            Self::S => "s",
            Self::MiB => "MiB",
            Self::Mb => "MB",
            Self::Millions => "M",
            Self::Count => "",
            Self::Times => "×",
            Self::Percent => "%",
            Self::KiBPerMinute => "KiB/min",
        }
    }
}

/// Which value is held against the goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// The one in the middle.
    Median,
    /// The greatest: not one may be beyond.
    Max,
}

/// A figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: &'static str,
    pub(crate) group: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    /// At most this much.
    pub(crate) goal: Option<(f64, Judged)>,
}

const STARTS: &str = "Starts and moves (realistic EC2)";
const COST: &str = "What a run costs the node";
const AGENT: &str = "An agent with 50 addresses and 25 volumes, nothing to do";
const CROWD: &str = "150 members at once";
const PIECES: &str = "Pieces alone";
const GROWTH: &str = "Growth";
const BINARIES: &str = "Binaries";

const fn entry(id: &'static str, group: &'static str, what: &'static str, unit: Unit) -> Entry {
    Entry { id, group, what, unit, goal: None }
}

impl Entry {
    const fn aim(mut self, most: f64) -> Self {
        self.goal = Some((most, Judged::Median));
        self
    }

    const fn never_beyond(mut self, most: f64) -> Self {
        self.goal = Some((most, Judged::Max));
        self
    }
}

/// All figures, in the order in which they are shown.
pub(crate) const ALL: &[Entry] = &[
    entry("init.same", STARTS, "init container, same node (all ours)", Unit::Ms).aim(30.0),
    entry("init.moved", STARTS, "init container beyond EC2's own time, moved", Unit::Ms).aim(50.0),
    entry("init.moved.describe", STARTS, "… and with EC2's answer to Describe", Unit::Ms),
    entry("init.first", STARTS, "… first start of a member", Unit::Ms),
    entry("outage.moved", STARTS, "client's outage beyond EC2's remap, moved", Unit::Ms).aim(100.0),
    entry("outage.moved.describe", STARTS, "… and with EC2's answer to Describe", Unit::Ms),
    entry("outage.same", STARTS, "client's outage, same node, beyond the member's own", Unit::Ms),
    entry("stop", STARTS, "stop container, from SIGTERM to its end", Unit::Ms),
    entry("calls.same", STARTS, "EC2 calls: restart on the same node", Unit::Count)
        .never_beyond(1.0),
    entry("calls.same.mutating", STARTS, "… mutating", Unit::Count).never_beyond(0.0),
    entry("calls.moved", STARTS, "EC2 calls: move", Unit::Count).never_beyond(2.0),
    entry("calls.moved.mutating", STARTS, "… mutating", Unit::Count).never_beyond(1.0),
    entry("calls.stop", STARTS, "EC2 calls: release", Unit::Count).never_beyond(0.0),
    entry("calls.free", STARTS, "EC2 calls: release with --unassign", Unit::Count)
        .never_beyond(1.0),
    entry("agent.restore", AGENT, "kernel address stripped until restored", Unit::Ms).aim(50.0),
    entry("agent.rss", AGENT, "memory", Unit::MiB).aim(15.0),
    entry("agent.own", AGENT, "… of it its own, without the program's file", Unit::MiB),
    entry("agent.cpu", AGENT, "processor time, of one core", Unit::Percent).aim(0.2),
    entry("agent.calls", AGENT, "EC2 calls a minute", Unit::Count).never_beyond(1.0),
    entry("agent.mutating", AGENT, "… mutating", Unit::Count).never_beyond(0.0),
    entry("agent.writes", AGENT, "writes to the Kubernetes API", Unit::Count).never_beyond(0.0),
    entry("agent.requests", AGENT, "requests to it a minute", Unit::Count),
    entry("agent.slope", AGENT, "growth of its own in the last half", Unit::KiBPerMinute)
        .never_beyond(1.0),
    entry("storm.took", CROWD, "until the last one is up", Unit::S),
    entry("storm.ratio", CROWD, "… as a multiple of what EC2's bucket allows", Unit::Times)
        .never_beyond(1.1),
    entry("storm.failed", CROWD, "members that failed", Unit::Count).never_beyond(0.0),
    entry("storm.calls", CROWD, "EC2 calls, refused ones too", Unit::Count),
    entry("cpu.same", COST, "processor time of an init container, same node", Unit::Ms),
    entry("cpu.moved", COST, "… moved", Unit::Ms),
    entry(
        "instructions.same",
        COST,
        "instructions of an init container, same node",
        Unit::Millions,
    ),
    entry("instructions.moved", COST, "… moved", Unit::Millions),
    entry("rss.same", COST, "most memory of an init container, same node", Unit::MiB),
    entry("rss.moved", COST, "… moved", Unit::MiB),
    entry("rss.stop", COST, "memory of a stop container that waits", Unit::MiB),
    entry("kernel.add", PIECES, "kernel: add an address", Unit::Us),
    entry("kernel.observe", PIECES, "kernel: read it back", Unit::Us),
    entry("kernel.remove", PIECES, "kernel: remove it", Unit::Us),
    entry("kernel.route", PIECES, "kernel: rule and routes on a secondary ENI", Unit::Us),
    entry("kernel.unroute", PIECES, "kernel: remove them", Unit::Us),
    entry("kernel.sockets", PIECES, "kernel: count the sockets on an address", Unit::Us),
    entry("file.probe", PIECES, "static-IP file: probe the volume", Unit::Us),
    entry("file.write", PIECES, "static-IP file: write, rename, sync", Unit::Us),
    entry("registry.read", PIECES, "file registry: read a member", Unit::Us),
    entry("registry.write", PIECES, "file registry: compare and swap", Unit::Us),
    entry("kernel.add.50", GROWTH, "kernel: add, with 50 addresses on the node", Unit::Us),
    entry("kernel.add.500", GROWTH, "… 500", Unit::Us),
    entry("kernel.observe.50", GROWTH, "kernel: read back, with 50 addresses", Unit::Us),
    entry("kernel.observe.500", GROWTH, "… 500", Unit::Us),
    entry("registry.read.1000", GROWTH, "file registry: read a member of 1,000", Unit::Us),
    entry("registry.read.10000", GROWTH, "… 10,000", Unit::Us),
    entry("registry.write.1000", GROWTH, "file registry: compare and swap, 1,000", Unit::Us),
    entry("registry.write.10000", GROWTH, "… 10,000", Unit::Us),
    entry("registry.list", GROWTH, "file registry: list the allocated, 10", Unit::Us),
    entry("registry.list.1000", GROWTH, "… 1,000", Unit::Us),
    entry("registry.list.10000", GROWTH, "… 10,000", Unit::Us),
    entry("startup.init.version", BINARIES, "init container: start and end (--version)", Unit::Ms),
    entry("startup.init.action", BINARIES, "init container: exec to its first action", Unit::Ms),
    entry("startup.stop.version", BINARIES, "stop container: start and end (--version)", Unit::Ms),
    entry("startup.stop.action", BINARIES, "stop container: exec to its first action", Unit::Ms),
    entry("startup.vpcbox.version", BINARIES, "vpcbox: start and end (--version)", Unit::Ms),
    entry("size.init", BINARIES, "init container, stripped", Unit::Mb).never_beyond(16.0),
    entry("size.stop", BINARIES, "stop container, stripped", Unit::Mb).never_beyond(16.0),
    entry("size.agent", BINARIES, "agent, stripped", Unit::Mb).never_beyond(16.0),
    entry("image.packed", BINARIES, "an image, as a registry keeps it", Unit::Mb),
    entry("image.unpacked", BINARIES, "… as a node keeps it", Unit::Mb).never_beyond(16.0),
    entry("size.vpcbox", BINARIES, "vpcbox, stripped", Unit::Mb),
];

/// The figure of this name.
pub(crate) fn find(id: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_figure_has_a_name_of_its_own() {
        let names: BTreeSet<_> = ALL.iter().map(|entry| entry.id).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
