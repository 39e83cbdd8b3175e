//! Every metric, with what it means: the page docs/metrics.md is made of it.

use super::PREFIX;

/// A metric as users may rely on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    /// Without the prefix and, of a counter, without `_total`.
    pub(crate) name: &'static str,
    /// Its OpenMetrics type.
    pub(crate) kind: &'static str,
    /// Its labels.
    pub(crate) labels: &'static [&'static str],
    /// Whether its name and its meaning stay.
    pub(crate) stability: &'static str,
    /// What it means.
    pub(crate) help: &'static str,
}

const fn stable(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Described {
    Described { name, kind, labels, stability: "stable", help }
}

const fn alpha(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Described {
    Described { stability: "alpha", ..stable(name, kind, labels, help) }
}

/// The agent's own.
pub(crate) const METRICS: [Described; 36] = [
    stable("build", "info", &["version"], "The version that runs"),
    stable("attached_addresses", "gauge", &[], "Addresses that are attached to this node"),
    stable("lacking_addresses", "gauge", &[], "Of those, the kernel lacks a part of"),
    stable("astray_addresses", "gauge", &[], "Of those, EC2 shows elsewhere"),
    stable("failing_addresses", "gauge", &[], "Addresses with a problem that has lasted"),
    stable("unclaimed_addresses", "gauge", &[], "Addresses that no record claims"),
    stable("adopted_addresses", "counter", &[], "Unclaimed addresses that were given a StaticIP"),
    stable("registry_current", "gauge", &[], "1 if what the registry told is as new as it can be"),
    stable("holds_lease", "gauge", &[], "1 if this agent acts for the whole cluster"),
    stable("pool_addresses", "gauge", &["pool"], "Addresses of a pool, told by the Lease's holder"),
    stable("pool_free_addresses", "gauge", &["pool"], "Of those, how many have no StaticIP"),
    stable("preflight_blocks", "gauge", &[], "Conditions that keep addresses away from here"),
    stable("free_slots", "gauge", &[], "Addresses that the ENIs would still take"),
    stable("capacity_slots", "gauge", &[], "The node's capacity of the extended resource"),
    stable("errands", "counter", &["kind"], "Errands that were begun"),
    stable("failed_errands", "counter", &["kind"], "Errands that failed"),
    alpha("errand_seconds", "histogram", &["kind"], "From an errand's cause to its end"),
    stable("reads", "counter", &["system"], "Reads of outside systems"),
    stable("failed_reads", "counter", &["system"], "Reads that failed"),
    stable("read_seconds", "histogram", &["system"], "From a question to a system to its answer"),
    stable("read_timestamp_seconds", "gauge", &["system"], "When a system last answered"),
    stable("ec2_calls", "counter", &["call", "result"], "Requests to EC2"),
    stable("ec2_call_seconds", "histogram", &["call", "result"], "How long requests to EC2 took"),
    stable("clock_ahead_seconds", "gauge", &["clock"], "This node's clock ahead of another's"),
    stable("failed_listens", "counter", &[], "Failed attempts to listen at the port for others"),
    stable("kernel_overruns", "counter", &[], "News of the kernel that were dropped"),
    stable("restore_seconds", "histogram", &[], "From the news of a loss to its being mended"),
    alpha("turns", "counter", &[], "Turns of the loop"),
    alpha("turn_seconds", "histogram", &[], "How long turns of the loop took"),
    stable("turn_timestamp_seconds", "gauge", &[], "When the loop last came round"),
    stable("publish_steps", "counter", &["step"], "Requests to publish something"),
    stable("failed_publish_steps", "counter", &["step"], "Of those, how many failed"),
    stable("events", "counter", &["reason"], "Events that were told"),
    stable("volumes", "gauge", &["kind"], "Volumes of this node"),
    stable("volume_problems", "gauge", &["reason"], "Problems of volumes that are reported"),
    alpha(
        "volume_problem_age_seconds",
        "gauge",
        &["reason"],
        "How long the oldest cause has lasted, reported or not",
    ),
];

/// Those that every process has.
pub(crate) const PROCESS: [Described; 4] = [
    stable("process_cpu_seconds", "counter", &[], "Processor time in seconds"),
    stable("process_start_time_seconds", "gauge", &[], "When the process began, since 1970"),
    stable("process_resident_memory_bytes", "gauge", &[], "Memory that is resident"),
    stable("process_open_fds", "gauge", &[], "Open file descriptors"),
];

/// The help of one of ours.
pub(crate) fn help(name: &str) -> &'static str {
    METRICS.iter().find(|metric| metric.name == name).map_or("", |metric| metric.help)
}

/// The help of one that every process has.
pub(crate) fn process_help(name: &str) -> &'static str {
    PROCESS.iter().find(|metric| metric.name == name).map_or("", |metric| metric.help)
}

impl Described {
    /// As it stands in the answer.
    fn shown(&self, prefix: &str) -> String {
        let total = if self.kind == "counter" { "_total" } else { "" };
        let total = if self.kind == "info" { "_info" } else { total };
        format!("{prefix}{}{total}", self.name)
    }
}

impl Described {
    /// Its row of the page.
    fn row(&self, prefix: &str) -> String {
        let (name, labels) = (self.shown(prefix), self.labels.join(", "));
        let Self { kind, stability, help, .. } = self;
        format!("| `{name}` | {kind} | {labels} | {stability} | {help} |\n")
    }
}

/// `docs/metrics.md`: every metric with its type, labels, stability and meaning.
pub fn page() -> String {
    let ours = METRICS.iter().map(|metric| (metric, format!("{PREFIX}_")));
    let all = ours.chain(PROCESS.iter().map(|metric| (metric, String::new())));
    let rows: Vec<String> = all.map(|(metric, prefix)| metric.row(&prefix)).collect();
    format!("{HEAD}{}{TAIL}", rows.concat())
}

const HEAD: &str = "\
# Metrics of the agent

<!-- Generated from the code: `BLESS=1 cargo test -p firecamp-agent --test documents`. -->

`/metrics` on the agent's listener is OpenMetrics. A *stable* metric keeps its name, labels and
meaning; an *alpha* one may change with a release. No label is an address, a member or an id.

| Metric | Type | Labels | Stability | Meaning |
| --- | --- | --- | --- | --- |
";

const TAIL: &str = "
Sums over `kind`, `system`, `step`, `reason`, `call`, `result` and `pool` make sense. Times are Unix
times, so that `time() - firecamp_agent_turn_timestamp_seconds` is the age of the last turn. All
histograms have the buckets 1 ms, 2 ms, 4 ms and so on up to 8.192 s. Of the kernel the survey of
what is ours is timed. Labels:
`kind` of an errand is GiveWay, Release, Reassert, Restore or Collect, of a volume Ebs,
InstanceStore, Iscsi, Nfs, Glusterfs, Local or Other; `system` is Registry, Metadata, Ec2,
Ec2Volumes, Ec2Types, Kernel, Volumes or Claims; `step` is learn, create, replace, say,
say-of-claim, capacity or tell; `call` is an action of EC2, and `result` Done, Denied (rights,
credentials or the clock), Throttled, Transient, HeldElsewhere, NotOurs, CapacityExceeded,
SubnetExhausted, BadAddress, Gone or Unknown; `clock` is Ec2 or Metadata; `pool` is a
pool's name. The reasons are those of
[publishing.md](publishing.md) and [volumes.md](volumes.md).
";

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
