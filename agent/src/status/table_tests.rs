use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_controllers::leader::Usage;
use firecamp_controllers::node::OperationKind;
use firecamp_node::preflight::facts::{Clock, Reading};

use super::super::reads::Reads;
use super::super::{Call, Operations, Problems, Reasons, Requests, Status, System, Volumes};
use super::*;
use crate::observed_cloud::Observer as _;

/// A status in which every metric has a sample.
fn complete_status() -> Status {
    let status = Status::default();
    let kind = Operations { kind: OperationKind::Restore.name() };
    status.operations.started.get_or_create(&kind).inc();
    status.operations.failed.get_or_create(&kind).inc();
    status.operations.durations.get_or_create(&kind).observe(0.1);
    status.reads.started(System::Kernel);
    status.reads.ended(System::Kernel, &Ok::<(), &str>(()));
    status.ec2_calls.ended(Call::DescribeVolumes, None, Duration::from_millis(70));
    status.reads.ended(System::Ec2, &Err::<(), &str>("throttled"));
    status.publishing.requests.get_or_create(&Requests { request: "get" }).inc();
    status.publishing.failures.get_or_create(&Requests { request: "get" }).inc();
    status
        .publishing
        .events
        .get_or_create(&Reasons { reason: "AddressHeldByForeignInterface" })
        .inc();
    status.endpoint.ended("attach", "Success", Duration::from_millis(90));
    status.volumes.counts.get_or_create(&Volumes { kind: "Ebs" }).set(1);
    let problem = Problems { reason: "ReadOnly" };
    status.volumes.problems.get_or_create(&problem).set(1);
    status.volumes.ages.get_or_create(&problem).set(1);
    status.preflight.clocks(&[Reading { clock: Clock::Ec2, ahead: 1 }]);
    let usage = Usage { total: 2, allocated: 1, free: 1 };
    status.leader.set_pools(&[("a".parse().unwrap(), usage)].into());
    assert!(status.reads.failures.get(&Reads { system: System::Ec2 }).is_some());
    status
}

#[test]
fn table_describes_every_exported_metric_and_no_other() {
    let text = complete_status().metrics().unwrap();
    let mut types = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            types.insert(name.to_owned(), kind.to_owned());
        }
    }
    let ours = METRICS.iter().map(|metric| (metric, format!("{PREFIX}_")));
    for (metric, prefix) in ours.chain(PROCESS.iter().map(|metric| (metric, String::new()))) {
        let full = format!("{prefix}{}", metric.name);
        assert_eq!(types.remove(&full).as_deref(), Some(metric.kind), "{full} in {text}");
        let help = format!("# HELP {full} {}.", metric.help);
        assert!(text.lines().any(|line| line == help), "{help} in {text}");
        let sample = text.lines().find(|line| line.starts_with(&full)).unwrap();
        for label in metric.labels {
            assert!(sample.contains(&format!("{label}=")), "{label} in {sample}");
        }
        assert_eq!(sample.contains('{'), has_labels(metric), "{sample}");
    }
    assert!(types.is_empty(), "not in the table: {types:?}");
    assert!(text.ends_with("# EOF\n"));
}

/// The first sample of a histogram is its sum, which has no bucket label.
fn has_labels(metric: &Described) -> bool {
    !metric.labels.is_empty()
}
