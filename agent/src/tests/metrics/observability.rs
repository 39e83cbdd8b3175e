//! What the alerts and dashboards that are shipped say, as text: series, and values of labels.

use std::collections::BTreeSet;

use firecamp_controllers::node::OperationKind;
use firecamp_controllers::publish::EventReason;
use firecamp_core::failure::CloudKind;
use firecamp_node::preflight::facts::Clock;
use firecamp_node::volumes::Reason;

use crate::status::ec2_calls::result;
use crate::status::{Call, System, preflight};

const USERS: [&str; 3] = ["rules.yaml", "fleet.json", "node.json"];
const TRIALS: &str = "rules-test.yaml";
/// Labels that Prometheus gives, and what people name.
const GIVEN: [&str; 5] = ["cluster", "instance", "job", "le", "pool"];

fn text(file: &str) -> String {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/observability/");
    let text = std::fs::read_to_string(format!("{place}{file}")).unwrap();
    // As JSON has it within its strings.
    text.replace("\\\"", "\"")
}

/// The series that are named, each with the labels of ours that it is chosen by.
pub(super) fn used() -> BTreeSet<String> {
    USERS.iter().flat_map(|file| series(&text(file))).collect()
}

fn series(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut all = Vec::new();
    for prefix in ["firecamp_agent_", "process_"] {
        for (at, _) in text.match_indices(prefix) {
            let rest = &text[at..];
            let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
            let chosen = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let ours = pairs(chosen.map_or("", |(inner, _)| inner));
            let ours = ours.iter().map(|(label, value)| format!("{label}=\"{value}\""));
            let ours: Vec<String> = ours.collect();
            let labels = ours.join(",");
            all.push(if labels.is_empty() { name } else { format!("{name}{{{labels}}}") });
        }
    }
    all
}

/// Labels of ours with the values that they are to have.
fn pairs(inner: &str) -> Vec<(String, String)> {
    let all = inner.split(',').filter(|one| !one.is_empty()).map(|one| {
        let (label, value) = one.split_once('=').unwrap();
        (label.to_owned(), value.trim_matches('"').to_owned())
    });
    all.filter(|(label, _)| !GIVEN.contains(&label.as_str())).collect()
}

/// The values that the code gives to a label.
fn values(label: &str) -> BTreeSet<String> {
    let named = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    match label {
        "kind" => named(&OperationKind::ALL.map(OperationKind::name)),
        "system" => System::ALL.iter().map(|system| format!("{system:?}")).collect(),
        "call" => Call::ALL.iter().map(|call| format!("{call:?}")).collect(),
        "result" => named(&[
            result(None),
            result(Some(CloudKind::Auth)),
            result(Some(CloudKind::Throttled)),
        ]),
        "reason" => {
            let events = EventReason::ALL.iter().map(|reason| reason.name());
            let volumes = Reason::ALL.iter().map(|reason| reason.name());
            events.chain(volumes).map(str::to_owned).collect()
        }
        "request" => named(&[
            "get",
            "create",
            "update",
            "update-status",
            "update-claim-status",
            "update-capacity",
            "event",
        ]),
        "clock" => named(&[preflight::name(Clock::Ec2), preflight::name(Clock::Metadata)]),
        other => panic!("what values has the label {other}?"),
    }
}

#[test]
fn rule_tests_use_only_label_values_of_the_code() {
    let text = text(TRIALS);
    let series = text.lines().filter_map(|line| line.trim().strip_prefix("- series: '"));
    let mut seen = 0;
    for one in series.filter(|one| one.starts_with("firecamp_agent_")) {
        let (_, inner) = one.trim_end_matches(['\'', '}']).split_once('{').unwrap();
        for (label, value) in pairs(inner) {
            assert!(values(&label).contains(&value), "{label}={value} in {one}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{TRIALS} was not understood");
}
