//! Every series that an alert or a dashboard uses moves when its cause is provoked, and there is a
//! cause for each.

mod causes;
mod observability;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::causes::Cause::{self, AnAgentBegins, Lease, Node, TheProcessWorks};
use self::causes::{OfLease, OfNode};
use super::harness::DEADLINE;
use crate::status::Status;

/// What moves by a cause. A series without labels is the sum over all of them.
const TABLE: [(Cause, &[&str]); 20] = [
    (
        AnAgentBegins,
        &[
            "firecamp_agent_build_info",
            "firecamp_agent_attached_addresses",
            "firecamp_agent_last_loop_timestamp_seconds",
            "firecamp_agent_last_read_timestamp_seconds",
            "firecamp_agent_reads_total",
            "firecamp_agent_read_duration_seconds_bucket",
            "firecamp_agent_loop_duration_seconds_bucket",
            "firecamp_agent_publish_requests_total",
            "firecamp_agent_publish_requests_total{request=\"get\"}",
        ],
    ),
    (
        Node(OfNode::TheKernelLosesAnAddress),
        &[
            "firecamp_agent_operations_total",
            "firecamp_agent_operations_total{kind=\"Restore\"}",
            "firecamp_agent_operation_duration_seconds_bucket",
            "firecamp_agent_restore_duration_seconds_bucket",
            "firecamp_agent_events_total",
        ],
    ),
    (Node(OfNode::TheKernelLosesAnAddressOfAnotherEpoch), &["firecamp_agent_missing_addresses"]),
    (Node(OfNode::TheInterfacesLinkGoes), &["firecamp_agent_missing_addresses"]),
    (Node(OfNode::TheKernelDropsEvents), &["firecamp_agent_netlink_overruns_total"]),
    (
        Node(OfNode::AnAddressIsTakenAway),
        &[
            "firecamp_agent_operations_total{kind=\"Reassert\"}",
            "firecamp_agent_ec2_calls_total",
            "firecamp_agent_ec2_call_duration_seconds_bucket",
        ],
    ),
    (
        Node(OfNode::AnAddressIsTakenAwayAndEc2Denies),
        &[
            "firecamp_agent_misplaced_addresses",
            "firecamp_agent_failing_addresses",
            "firecamp_agent_operation_failures_total",
            "firecamp_agent_ec2_calls_total{result=\"Denied\"}",
        ],
    ),
    (
        Node(OfNode::AStrangerHasTheAddress),
        &["firecamp_agent_events_total{reason=\"AddressHeldByForeignInterface\"}"],
    ),
    (
        Node(OfNode::Ec2Throttles),
        &[
            "firecamp_agent_ec2_calls_total{result=\"Throttled\"}",
            "firecamp_agent_read_failures_total",
        ],
    ),
    (Node(OfNode::AnAddressHasNoRecord), &["firecamp_agent_orphaned_addresses"]),
    (
        Node(OfNode::TheInterfaceIsFull),
        &["firecamp_agent_free_slots", "firecamp_agent_capacity_slots"],
    ),
    (
        Node(OfNode::TheRegistryIsAway),
        &["firecamp_agent_registry_synced", "firecamp_agent_publish_failures_total"],
    ),
    (
        Node(OfNode::TheRegistryNamesAnotherNode),
        &["firecamp_agent_operations_total{kind=\"Withdraw\"}"],
    ),
    (Node(OfNode::TheMetadataServiceIsSilent), &["firecamp_agent_preflight_blocking_conditions"]),
    (Node(OfNode::TheClockIsSet), &["firecamp_agent_clock_skew_seconds"]),
    (Node(OfNode::AVolumeIsMounted), &["firecamp_agent_volumes"]),
    (Node(OfNode::AVolumeFills), &["firecamp_agent_volume_problems"]),
    (Lease(OfLease::TheLeaseIsTaken), &["firecamp_agent_leader", "firecamp_agent_pool_addresses"]),
    (Lease(OfLease::APoolShrinks), &["firecamp_agent_pool_free_addresses"]),
    (TheProcessWorks, &["process_resident_memory_bytes", "process_cpu_seconds_total"]),
];

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The metrics before the cause, and what is to move by it.
struct Watch {
    before: String,
    still: BTreeSet<&'static str>,
}

impl Watch {
    fn begin(status: &Status, moves: &[&'static str]) -> Self {
        Self { before: status.metrics().unwrap(), still: moves.iter().copied().collect() }
    }

    /// No agent has told anything yet, not even its version.
    fn before_all(moves: &[&'static str]) -> Self {
        let mut watch = Self::begin(&Status::default(), moves);
        let lines = watch.before.lines().filter(|line| !line.contains("build_info"));
        watch.before = lines.collect::<Vec<_>>().join("\n");
        watch
    }

    /// Looks on until all of it has moved, each at its own time.
    async fn all_moved(mut self, cause: Cause, status: &Status) {
        let begun = Instant::now();
        loop {
            let now = status.metrics().unwrap();
            self.still.retain(|one| value(&now, one).total_cmp(&value(&self.before, one)).is_eq());
            if self.still.is_empty() {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{cause:?} does not move {:?}", self.still);
            sleep(LOOK_EVERY).await;
        }
    }
}

/// The sum of the samples of a series.
fn value(text: &str, series: &str) -> f64 {
    let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
    let samples = text.lines().filter_map(|line| {
        let (sample, number) = line.rsplit_once(' ')?;
        let (have, rest) = sample.split_once('{').unwrap_or((sample, ""));
        (have == name && rest.contains(labels)).then(|| number.parse::<f64>().unwrap())
    });
    // Of no sample the sum is minus nought.
    0.0 + samples.sum::<f64>()
}

#[tokio::test(start_paused = true)]
async fn every_series_of_alerts_and_dashboards_changes_with_its_cause() {
    for (cause, moves) in TABLE {
        Box::pin(cause.provoked(moves)).await;
    }
}

#[test]
fn every_series_of_alerts_and_dashboards_has_a_cause() {
    let all = TABLE.iter().flat_map(|(_, moves)| moves.iter().map(|&one| one.to_owned()));
    let provoked: BTreeSet<String> = all.collect();
    assert_eq!(observability::used(), provoked);
}

#[test]
fn series_is_summed_over_unnamed_labels() {
    let text = "a{k=\"X\",l=\"1\"} 2\na{k=\"Y\",l=\"1\"} 3.5\nab 9\n# EOF\n";
    for (series, sum) in [("a", 5.5), ("a{k=\"Y\"}", 3.5), ("b", 0.0)] {
        assert!(value(text, series).total_cmp(&sum).is_eq(), "{series}");
    }
}
