//! All figures with their names, units and goals.

use serde::{Deserialize, Serialize};

use crate::stats::Spread;

/// The unit of a figure's values.
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
    /// Megabytes (millions of bytes), as for image sizes.
    Mb,
    /// Millions.
    Millions,
    /// A number of things.
    Count,
    /// A ratio.
    Times,
    /// Percent.
    Percent,
    /// Kibibytes per minute.
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

/// The value that is compared with the goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The median.
    Median,
    /// The maximum: no value may exceed the goal.
    Max,
}

/// A figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: &'static str,
    pub(crate) group: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    /// The upper bound and the value that it applies to.
    pub(crate) goal: Option<(f64, Compared)>,
}

const STARTS: &str = "Starts and moves (realistic EC2)";
const COST: &str = "Cost of a run on the node";
const AGENT: &str = "An idle agent with 50 addresses and 25 volumes";
const CONCURRENT: &str = "150 members at once";
const PIECES: &str = "Single components";
const GROWTH: &str = "Growth";
const BINARIES: &str = "Binaries";

const fn entry(id: &'static str, group: &'static str, what: &'static str, unit: Unit) -> Entry {
    Entry { id, group, what, unit, goal: None }
}

impl Entry {
    const fn median_at_most(mut self, most: f64) -> Self {
        self.goal = Some((most, Compared::Median));
        self
    }

    const fn max_at_most(mut self, most: f64) -> Self {
        self.goal = Some((most, Compared::Max));
        self
    }

    /// Whether these values meet the goal, if there is one. A page judges earlier results by the
    /// goals of now.
    pub(crate) fn is_met(&self, spread: &Spread) -> Option<bool> {
        self.goal.map(|(most, compared)| match compared {
            Compared::Median => spread.median <= most,
            Compared::Max => spread.max <= most,
        })
    }
}

/// All figures, in the order in which they are shown.
pub(crate) const ALL: &[Entry] = &[
    entry("init.same", STARTS, "init container, same node (no EC2 time)", Unit::Ms)
        .median_at_most(30.0),
    entry("endpoint.init.same", STARTS, "… with the endpoint", Unit::Ms).median_at_most(15.0),
    entry("init.moved", STARTS, "init container without EC2's own time, move", Unit::Ms)
        .median_at_most(50.0),
    entry("endpoint.init.moved", STARTS, "… with the endpoint", Unit::Ms),
    entry("init.moved.describe", STARTS, "… including EC2's response to Describe", Unit::Ms),
    entry("endpoint.init.moved.describe", STARTS, "… the same with the endpoint", Unit::Ms)
        .median_at_most(25.0),
    entry("init.first", STARTS, "… first start of a member", Unit::Ms),
    entry("endpoint.init.first", STARTS, "… the same with the endpoint", Unit::Ms),
    entry("outage.moved", STARTS, "client outage without EC2's remap, move", Unit::Ms)
        .median_at_most(50.0),
    entry("endpoint.outage.moved", STARTS, "… with the endpoint", Unit::Ms).median_at_most(50.0),
    entry("outage.moved.describe", STARTS, "… including EC2's response to Describe", Unit::Ms),
    entry("endpoint.outage.moved.describe", STARTS, "… the same with the endpoint", Unit::Ms),
    entry("outage.same", STARTS, "client outage without the member's own, same node", Unit::Ms),
    entry("endpoint.outage.same", STARTS, "… with the endpoint", Unit::Ms),
    entry("stop", STARTS, "stop container, from SIGTERM to exit", Unit::Ms),
    entry("endpoint.stop", STARTS, "release by the agent, after the pod is gone", Unit::Ms),
    entry("calls.same", STARTS, "EC2 calls: restart on the same node", Unit::Count)
        .max_at_most(0.0),
    entry("calls.same.mutating", STARTS, "… mutating", Unit::Count).max_at_most(0.0),
    entry("endpoint.calls.same", STARTS, "… with the endpoint", Unit::Count).max_at_most(0.0),
    entry("calls.moved", STARTS, "EC2 calls: move", Unit::Count).max_at_most(2.0),
    entry("calls.moved.mutating", STARTS, "… mutating", Unit::Count).max_at_most(1.0),
    entry("endpoint.calls.moved", STARTS, "… with the endpoint", Unit::Count).max_at_most(2.0),
    entry("endpoint.calls.moved.mutating", STARTS, "… mutating", Unit::Count).max_at_most(1.0),
    entry("calls.stop", STARTS, "EC2 calls: release", Unit::Count).max_at_most(0.0),
    entry("calls.free", STARTS, "EC2 calls: release with --unassign", Unit::Count).max_at_most(1.0),
    entry("agent.restore", AGENT, "kernel address, from removal to restore", Unit::Ms)
        .median_at_most(10.0),
    entry("agent.rss", AGENT, "memory", Unit::MiB).median_at_most(16.0),
    entry("agent.own", AGENT, "… anonymous memory only", Unit::MiB),
    entry("agent.cpu", AGENT, "CPU time, of one core", Unit::Percent).median_at_most(0.2),
    entry("agent.calls", AGENT, "EC2 calls per minute", Unit::Count).max_at_most(1.0),
    entry("agent.mutating", AGENT, "… mutating", Unit::Count).max_at_most(0.0),
    entry("agent.writes", AGENT, "writes to the Kubernetes API", Unit::Count).max_at_most(0.0),
    entry("agent.requests", AGENT, "requests to the Kubernetes API per minute", Unit::Count),
    entry(
        "agent.slope",
        AGENT,
        "growth of anonymous memory in the second half",
        Unit::KiBPerMinute,
    )
    .max_at_most(1.0),
    entry("storm.took", CONCURRENT, "until the last member is attached", Unit::S),
    entry(
        "storm.ratio",
        CONCURRENT,
        "… relative to the minimum of EC2's token bucket",
        Unit::Times,
    )
    .max_at_most(1.1),
    entry(
        "endpoint.storm.took",
        CONCURRENT,
        "until the last member is attached, with the endpoint",
        Unit::S,
    )
    .median_at_most(3.0),
    entry("storm.failed", CONCURRENT, "members that failed", Unit::Count).max_at_most(0.0),
    entry("endpoint.storm.failed", CONCURRENT, "… with the endpoint", Unit::Count).max_at_most(0.0),
    entry("storm.calls", CONCURRENT, "EC2 calls, including throttled ones", Unit::Count),
    entry("storm.mutating", CONCURRENT, "… mutating", Unit::Count),
    entry("endpoint.storm.calls", CONCURRENT, "… with the endpoint", Unit::Count),
    entry("endpoint.storm.mutating", CONCURRENT, "… mutating", Unit::Count).max_at_most(24.0),
    entry("cpu.same", COST, "CPU time of an init container, same node", Unit::Ms),
    entry("cpu.moved", COST, "… moved", Unit::Ms),
    entry(
        "instructions.same",
        COST,
        "instructions of an init container, same node",
        Unit::Millions,
    ),
    entry("instructions.moved", COST, "… moved", Unit::Millions),
    entry("rss.same", COST, "peak memory of an init container, same node", Unit::MiB),
    entry("rss.moved", COST, "… moved", Unit::MiB),
    entry("endpoint.rss.same", COST, "… with the endpoint, same node", Unit::MiB).max_at_most(4.0),
    entry("endpoint.rss.moved", COST, "… with the endpoint, moved", Unit::MiB).max_at_most(4.0),
    entry("rss.own", COST, "anonymous memory of an init container at its end", Unit::MiB),
    entry("endpoint.rss.own", COST, "… with the endpoint", Unit::MiB),
    entry("rss.stop", COST, "memory of a waiting stop container", Unit::MiB),
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
    entry("registry.list", GROWTH, "file registry: list allocated addresses, 10", Unit::Us),
    entry("registry.list.1000", GROWTH, "… 1,000", Unit::Us),
    entry("registry.list.10000", GROWTH, "… 10,000", Unit::Us),
    entry("startup.init.version", BINARIES, "init container: start and exit (--version)", Unit::Ms),
    entry("startup.init.action", BINARIES, "init container: exec to its first action", Unit::Ms),
    entry("startup.stop.version", BINARIES, "stop container: start and exit (--version)", Unit::Ms),
    entry("startup.stop.action", BINARIES, "stop container: exec to its first action", Unit::Ms),
    entry("startup.vpcbox.version", BINARIES, "vpcbox: start and exit (--version)", Unit::Ms),
    entry("size.init", BINARIES, "init container, stripped", Unit::Mb).max_at_most(16.0),
    entry("size.stop", BINARIES, "stop container, stripped", Unit::Mb).max_at_most(16.0),
    entry("size.agent", BINARIES, "agent, stripped", Unit::Mb).max_at_most(16.0),
    entry("image.packed", BINARIES, "an image in a registry", Unit::Mb),
    entry("image.unpacked", BINARIES, "… unpacked on a node", Unit::Mb).max_at_most(16.0),
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

    /// DESIGN §8; EC2's response to Describe counts with the endpoint.
    #[test]
    fn goals_are_those_of_the_design() {
        let goals = |id: &str| find(id).and_then(|entry| entry.goal).unwrap();
        for (id, most) in [
            ("init.same", 30.0),
            ("init.moved", 50.0),
            ("outage.moved", 50.0),
            ("agent.restore", 10.0),
            ("agent.rss", 16.0),
            ("agent.cpu", 0.2),
            ("endpoint.init.same", 15.0),
            ("endpoint.init.moved.describe", 25.0),
            ("endpoint.outage.moved", 50.0),
            ("endpoint.storm.took", 3.0),
        ] {
            assert_eq!(goals(id), (most, Compared::Median), "{id}");
        }
        for (id, most) in [
            ("calls.same", 0.0),
            ("calls.moved", 2.0),
            ("calls.moved.mutating", 1.0),
            ("agent.mutating", 0.0),
            ("endpoint.rss.same", 4.0),
            ("endpoint.rss.moved", 4.0),
            ("endpoint.calls.same", 0.0),
            ("endpoint.calls.moved", 2.0),
            ("endpoint.calls.moved.mutating", 1.0),
            ("endpoint.storm.failed", 0.0),
            ("endpoint.storm.mutating", 24.0),
        ] {
            assert_eq!(goals(id), (most, Compared::Max), "{id}");
        }
    }

    #[test]
    fn every_figure_with_the_endpoint_stands_beside_one_of_direct_mode() {
        for entry in ALL {
            let Some(direct) = entry.id.strip_prefix(crate::table::ENDPOINT) else { continue };
            let direct = find(direct).unwrap_or_else(|| panic!("{direct}"));
            assert_eq!((direct.group, direct.unit), (entry.group, entry.unit), "{}", entry.id);
        }
    }

    #[test]
    fn figure_names_are_unique() {
        let names: BTreeSet<_> = ALL.iter().map(|entry| entry.id).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
