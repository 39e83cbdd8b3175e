//! The figures of a scale run, with their units and goals.

/// A figure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Without the prefix of a mode.
    pub(super) id: &'static str,
    pub(super) group: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    /// The upper bound, for 1,000 nodes with lists from the API server's cache.
    pub(super) goal: Option<f64>,
}

/// The prefixes of figures of a mode: with the feature gate on and off. Other figures have neither.
pub(super) const ON: &str = "on.";
pub(super) const OFF: &str = "off.";

const LOAD: &str = "The objects";
const START: &str = "Restart of all agents at once";
const REST: &str = "At rest";
const CHANGES: &str = "Changes";
const LEADER: &str = "The leader";
const AGENT: &str = "A real agent";
const REPLAY: &str = "The replayed agents";

const fn entry(
    id: &'static str,
    group: &'static str,
    what: &'static str,
    unit: &'static str,
) -> Entry {
    Entry { id, group, what, unit, goal: None }
}

impl Entry {
    const fn at_most(mut self, most: f64) -> Self {
        self.goal = Some(most);
        self
    }
}

/// All figures, in the order in which they are shown.
pub(super) const ALL: &[Entry] = &[
    entry("load.pods", LOAD, "pods", ""),
    entry("load.addresses", LOAD, "StaticIPs, and as many claims", ""),
    entry("load.seconds", LOAD, "time to create them", "s"),
    entry("load.database", LOAD, "etcd's database", "MiB"),
    entry("start.agents", START, "agents", ""),
    entry("start.seconds", START, "until every agent has listed its objects", "s"),
    entry("start.requests", START, "requests to the API server", ""),
    entry("start.network", START, "bytes of the API server", "MiB"),
    entry("start.lists", START, "lists that reach etcd", ""),
    entry("start.store", START, "bytes read from etcd", "MiB"),
    entry("start.cpu", START, "CPU time of the API server", "s"),
    entry("start.store.cpu", START, "CPU time of etcd", "s"),
    entry("rest.requests", REST, "requests to the API server", "/s"),
    entry("rest.network", REST, "bytes of the API server", "KiB/s"),
    entry("rest.lists", REST, "lists that reach etcd", "/min").at_most(0.0),
    entry("rest.store.requests", REST, "requests to etcd", "/s"),
    entry("rest.store", REST, "bytes read from etcd", "KiB/s"),
    entry("rest.cpu", REST, "CPU time of the API server, of one core", "%"),
    entry("rest.store.cpu", REST, "CPU time of etcd, of one core", "%"),
    entry("rest.memory", REST, "memory of the API server", "MiB"),
    entry("rest.peak", REST, "… its peak since its start", "MiB"),
    entry("rest.store.memory", REST, "memory of etcd", "MiB"),
    entry("rest.ec2", REST, "EC2 calls of the whole fleet", "/s").at_most(0.2),
    entry("rest.ec2.mutating", REST, "… mutating", "/s").at_most(0.0),
    entry("change.cpu", CHANGES, "a StaticIP: CPU time of the API server", "ms"),
    entry("change.network", CHANGES, "… bytes of the API server", "KiB"),
    entry("change.store", CHANGES, "… bytes read from etcd", "KiB"),
    entry(
        "change.watches",
        CHANGES,
        "… watch events that reach replayed agents, of which none leads: the most",
        "",
    )
    .at_most(1.0),
    entry("change.seen", CHANGES, "… from the request to the watch of its node, median", "ms"),
    entry("change.seen.p90", CHANGES, "… 90th percentile", "ms"),
    entry("agent.seen", CHANGES, "… to a real agent's metrics, median", "ms"),
    entry("agent.seen.p90", CHANGES, "… 90th percentile", "ms"),
    entry("agent.change.cpu", CHANGES, "… CPU time of the API server with its writes", "ms"),
    entry("pod.cpu", CHANGES, "a pod's status: CPU time of the API server", "ms"),
    entry("pod.network", CHANGES, "… bytes of the API server", "KiB"),
    entry("pod.replaced.cpu", CHANGES, "a pod that is replaced: CPU time of the API server", "ms"),
    entry("pod.replaced.network", CHANGES, "… bytes of the API server", "KiB"),
    entry("leader.list", LEADER, "first list of all objects", "s").at_most(20.0),
    entry("leader.first_pass", LEADER, "its first pass, after that", "s").at_most(30.0),
    entry("leader.pass", LEADER, "its last pass at rest", "s").at_most(30.0),
    entry("leader.memory", LEADER, "memory", "MiB").at_most(64.0),
    entry("leader.peak", LEADER, "… its peak", "MiB"),
    entry("leader.cpu", LEADER, "CPU time at rest, of one core", "%"),
    entry("leader.requests", LEADER, "requests to the API server at rest", "/min"),
    entry("leader.writes", LEADER, "… that write other objects than Leases", "/min").at_most(0.0),
    entry("leader.ec2", LEADER, "EC2 calls at rest", "/min"),
    entry("agent.memory", AGENT, "memory, median", "MiB").at_most(16.0),
    entry("agent.cpu", AGENT, "CPU time at rest, of one core, median", "%").at_most(0.2),
    entry("agent.requests", AGENT, "requests to the API server at rest, mean", "/min"),
    entry("agent.ec2", AGENT, "EC2 calls at rest, mean", "/min"),
    entry("replay.requests", REPLAY, "requests of one at rest, mean", "/min"),
    entry("replay.difference", REPLAY, "difference to the real agents since their start", "%"),
    entry("replay.refused", REPLAY, "requests that the API server refused", "%"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn figure_names_are_unique() {
        let names: BTreeSet<_> = ALL.iter().map(|entry| entry.id).collect();
        assert_eq!(names.len(), ALL.len());
    }

    /// DESIGN §8.
    #[test]
    fn goals_are_those_of_the_design() {
        let goal = |id: &str| ALL.iter().find(|entry| entry.id == id).and_then(|it| it.goal);
        for (id, most) in [
            ("rest.ec2", 0.2),
            ("rest.ec2.mutating", 0.0),
            ("rest.lists", 0.0),
            ("leader.writes", 0.0),
            ("leader.list", 20.0),
            ("change.watches", 1.0),
            ("leader.first_pass", 30.0),
            ("leader.pass", 30.0),
            ("leader.memory", 64.0),
            ("agent.memory", 16.0),
            ("agent.cpu", 0.2),
        ] {
            assert_eq!(goal(id), Some(most), "{id}");
        }
    }
}
