//! The description of every metric; docs/metrics.md is generated from it.

use super::PREFIX;

/// The description of a metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    /// Without the prefix, and without `_total` for a counter.
    pub(crate) name: &'static str,
    /// The OpenMetrics type.
    pub(crate) kind: &'static str,
    pub(crate) labels: &'static [&'static str],
    /// `stable` or `alpha`.
    pub(crate) stability: &'static str,
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

/// The agent's own metrics.
pub(crate) const METRICS: [Described; 44] = [
    stable("build", "info", &["version"], "Version of the agent"),
    stable("attached_addresses", "gauge", &[], "Addresses attached to this node"),
    stable("missing_addresses", "gauge", &[], "Attached addresses missing from the kernel"),
    stable("misplaced_addresses", "gauge", &[], "Attached addresses not on their ENI in EC2"),
    stable("failing_addresses", "gauge", &[], "Addresses with a lasting problem"),
    stable("orphaned_addresses", "gauge", &[], "Addresses without a StaticIP"),
    stable(
        "pods_without_address",
        "gauge",
        &[],
        "Pods that run with the label of a pool and have no address",
    ),
    stable("adopted_addresses", "counter", &[], "Orphaned addresses adopted with a new StaticIP"),
    stable(
        "ec2_observation_stale",
        "gauge",
        &[],
        "1 if the leader has published nothing from EC2 for 5 minutes, or no full list for 15",
    ),
    stable("registry_synced", "gauge", &[], "1 if the view of the registry is up to date"),
    stable("leader", "gauge", &[], "1 if this agent is the leader of the cluster"),
    alpha(
        "leader_pass_duration_seconds",
        "gauge",
        &[],
        "Duration of the leader's last pass over the cluster, complete or not; 0 before its first one ends, and if another agent leads",
    ),
    stable("pool_addresses", "gauge", &["pool"], "Addresses of a pool, reported by the leader"),
    stable("pool_free_addresses", "gauge", &["pool"], "Addresses of a pool without a StaticIP"),
    stable("preflight_blocking_conditions", "gauge", &[], "Failing blocking preflight checks"),
    stable("free_slots", "gauge", &[], "Free address slots on the ENIs of this node"),
    stable("capacity_slots", "gauge", &[], "Capacity of this node, of all extended resources"),
    stable("operations", "counter", &["kind"], "Operations started"),
    stable("operation_failures", "counter", &["kind"], "Operations failed"),
    alpha(
        "operation_duration_seconds",
        "histogram",
        &["kind"],
        "Time from the event that required an operation to its end",
    ),
    stable("reads", "counter", &["system"], "Reads of external systems"),
    stable("read_failures", "counter", &["system"], "Failed reads of external systems"),
    stable("read_duration_seconds", "histogram", &["system"], "Duration of reads"),
    stable("last_read_timestamp_seconds", "gauge", &["system"], "Time of the last successful read"),
    stable("ec2_calls", "counter", &["call", "result"], "Requests to EC2"),
    stable(
        "ec2_call_duration_seconds",
        "histogram",
        &["call", "result"],
        "Duration of requests to EC2",
    ),
    stable(
        "clock_skew_seconds",
        "gauge",
        &["clock"],
        "Offset of this node's clock from another clock, positive if ahead",
    ),
    stable(
        "metrics_listen_failures",
        "counter",
        &[],
        "Failed attempts to listen on the address of --metrics-listen",
    ),
    stable(
        "endpoint_requests",
        "counter",
        &["request", "reason"],
        "Requests of pods at the endpoint that ended, by the reason of their exit code",
    ),
    alpha(
        "endpoint_request_duration_seconds",
        "histogram",
        &["request"],
        "Duration of attaches and releases through the endpoint",
    ),
    stable("endpoint_connections", "gauge", &[], "Open connections of pods to the endpoint"),
    stable(
        "endpoint_refused_connections",
        "counter",
        &[],
        "Connections that were closed: of pods that have too many, and of other machines",
    ),
    stable("endpoint_listen_failures", "counter", &[], "Failed attempts to start the endpoint"),
    stable("netlink_overruns", "counter", &[], "Netlink overruns, after which events were lost"),
    stable(
        "restore_duration_seconds",
        "histogram",
        &[],
        "Time from the netlink event about a removed address to its restoration",
    ),
    alpha("loop_iterations", "counter", &[], "Iterations of the loop"),
    alpha("loop_duration_seconds", "histogram", &[], "Duration of loop iterations"),
    stable("last_loop_timestamp_seconds", "gauge", &[], "Time of the last loop iteration"),
    stable("publish_requests", "counter", &["request"], "Requests to publish status and Events"),
    stable("publish_failures", "counter", &["request"], "Failed requests to publish"),
    stable("events", "counter", &["reason"], "Events emitted"),
    stable("volumes", "gauge", &["kind"], "Volumes of this node"),
    stable("volume_problems", "gauge", &["reason"], "Reported problems of volumes"),
    alpha(
        "volume_problem_age_seconds",
        "gauge",
        &["reason"],
        "Age of the oldest problem of volumes, reported or not",
    ),
];

/// The metrics that every Prometheus client library exports.
pub(crate) const PROCESS: [Described; 4] = [
    stable("process_cpu_seconds", "counter", &[], "Total user and system CPU time in seconds"),
    stable("process_start_time_seconds", "gauge", &[], "Start time of the process"),
    stable("process_resident_memory_bytes", "gauge", &[], "Resident memory size in bytes"),
    stable("process_open_fds", "gauge", &[], "Number of open file descriptors"),
];

/// The help text of an agent metric.
pub(crate) fn help(name: &str) -> &'static str {
    METRICS.iter().find(|metric| metric.name == name).map_or("", |metric| metric.help)
}

/// The help text of a process metric.
pub(crate) fn process_help(name: &str) -> &'static str {
    PROCESS.iter().find(|metric| metric.name == name).map_or("", |metric| metric.help)
}

impl Described {
    /// The name of its samples.
    fn sample_name(&self, prefix: &str) -> String {
        let total = if self.kind == "counter" { "_total" } else { "" };
        let total = if self.kind == "info" { "_info" } else { total };
        format!("{prefix}{}{total}", self.name)
    }

    /// The row in docs/metrics.md.
    fn row(&self, prefix: &str) -> String {
        let (name, labels) = (self.sample_name(prefix), self.labels.join(", "));
        let Self { kind, stability, help, .. } = self;
        format!("| `{name}` | {kind} | {labels} | {stability} | {help} |\n")
    }
}

/// The content of `docs/metrics.md`.
pub fn page() -> String {
    let ours = METRICS.iter().map(|metric| (metric, format!("{PREFIX}_")));
    let all = ours.chain(PROCESS.iter().map(|metric| (metric, String::new())));
    let rows: Vec<String> = all.map(|(metric, prefix)| metric.row(&prefix)).collect();
    format!("{HEAD}{}{TAIL}", rows.concat())
}

const HEAD: &str = "\
# Agent metrics

<!-- Generated from the code: `BLESS=1 cargo test -p firecamp-agent --test documents`. -->

The agent serves `/metrics` in OpenMetrics text format. A *stable* metric keeps its name, labels and
meaning; an *alpha* metric may change in any release. No label is an address, a member or an ID.

| Metric | Type | Labels | Stability | Meaning |
| --- | --- | --- | --- | --- |
";

const TAIL: &str = "
All metrics can be summed over `kind`, `system`, `request`, `reason`, `call`, `result` and `pool`.
Timestamps are Unix times: `time() - firecamp_agent_last_loop_timestamp_seconds` is the age of the
last loop iteration. All histograms have the buckets 1 ms, 2 ms, 4 ms and so on up to 8.192 s.

| Label | Values |
| --- | --- |
| `kind` of an operation | Withdraw, Release, Reassert, Restore, Collect, Evict |
| `kind` of a volume | Ebs, InstanceStore, Iscsi, Nfs, Glusterfs, Local, Other |
| `system` | Registry, Metadata, Ec2, Ec2Volumes, Ec2Types, Ec2Reservations, Kernel, Volumes, \
Claims |
| `request` to publish | get, create, update, update-status, update-claim-status, \
update-capacity, event |
| `request` of a pod | attach, release, refused (before it began) |
| `reason` of a request of a pod | the reasons in [exit-codes.md](exit-codes.md) |
| `call` | an action of the EC2 API |
| `result` | Success, Denied (permissions, credentials or clock), Throttled, Transient, \
HeldElsewhere, NotOnInterface, CapacityExceeded, SubnetExhausted, BadAddress, NotFound, Unknown |
| `clock` | Ec2, Metadata |
| `pool` | the name of a pool |
| `reason` | the reasons in [status.md](status.md) and [volumes.md](volumes.md) |

For the kernel, the duration is that of the listing of all FireCamp addresses.
";

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
