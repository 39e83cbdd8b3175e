use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_controllers::leader::Usage;
use firecamp_node::preflight::facts::{Clock, Reading};

use super::super::{
    Call, Calls, Errands, Kind, Problems, Reads, Reasons, Status, Steps, System, Volumes, result,
};
use super::*;

/// Everything has happened once.
fn busy() -> Status {
    let status = Status::default();
    let kind = Errands { kind: Kind::Restore };
    status.errands.get_or_create(&kind).inc();
    status.failed.get_or_create(&kind).inc();
    status.took.get_or_create(&kind).observe(0.1);
    status.asks(System::Kernel);
    status.read(System::Kernel, &Ok::<(), &str>(()));
    let call = Calls { call: Call::DescribeVolumes, result: result(None) };
    status.calls.ended(call, Duration::from_millis(70));
    status.read(System::Ec2, &Err::<(), &str>("throttled"));
    status.published.get_or_create(&Steps { step: "learn" }).inc();
    status.unpublished.get_or_create(&Steps { step: "learn" }).inc();
    status.events.get_or_create(&Reasons { reason: "AddressConflict" }).inc();
    status.volumes.get_or_create(&Volumes { kind: "Ebs" }).set(1);
    let problem = Problems { reason: "ReadOnly" };
    status.volume_problems.get_or_create(&problem).set(1);
    status.volume_ages.get_or_create(&problem).set(1);
    status.clocks(&[Reading { clock: Clock::Ec2, ahead: 1 }]);
    let usage = Usage { total: 2, allocated: 1, free: 1 };
    status.steward.sees(&[("a".parse().unwrap(), usage)].into());
    assert!(status.unread.get(&Reads { system: System::Ec2 }).is_some());
    status
}

#[test]
fn every_metric_is_in_the_table_with_its_type_help_and_labels_and_no_other_is_there() {
    let text = busy().metrics().unwrap();
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

/// A histogram's samples are labelled by their buckets; its first one is the sum.
fn has_labels(metric: &Described) -> bool {
    !metric.labels.is_empty()
}
