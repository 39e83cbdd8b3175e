//! The JSON stream is a stable interface: every field of every event is in this list, and
//! `docs/development/demo.md` explains each.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// Fields by event; `name[]` are those of the elements of a list, `name.` those of an object.
const SCHEMA: [(&str, &[&str]); 6] = [
    (
        "began",
        &[
            "at_us",
            "build",
            "client",
            "client.address",
            "client.name",
            "client.zone",
            "event",
            "every_ms",
            "member",
            "nodes",
            "nodes[].address",
            "nodes[].name",
            "nodes[].zone",
            "pool",
            "profile",
            "seed",
            "version",
        ],
    ),
    ("step_began", &["at_us", "event", "step", "story", "title"]),
    ("note", &["at_us", "event", "step", "text"]),
    (
        "ran",
        &["began_us", "event", "exit", "from_us", "node", "pod", "role", "step", "to_us", "words"],
    ),
    (
        "step_ended",
        &[
            "answered",
            "calls",
            "calls[].action",
            "calls[].app",
            "calls[].at_us",
            "calls[].caller",
            "calls[].for_pod",
            "calls[].mutating",
            "calls[].outcome",
            "calls[].proven_after_us",
            "calls[].routed_after_us",
            "calls[].took_us",
            "checks",
            "checks[].held",
            "checks[].seen",
            "checks[].what",
            "event",
            "from_us",
            "init",
            "init.describe_us",
            "init.ec2_us",
            "init.own_us",
            "init.total_us",
            "kind",
            "outage",
            "outage.beyond_us",
            "outage.ec2_us",
            "outage.from_us",
            "outage.member_us",
            "outage.to_us",
            "outage.total_us",
            "privileges",
            "privileges.calls",
            "privileges.can_gain",
            "privileges.capabilities",
            "privileges.uid",
            "restored_us",
            "silent",
            "step",
            "stop_us",
            "strip",
            "strip.bucket_us",
            "strip.from_us",
            "strip.text",
            "title",
            "to_us",
            "wrong",
        ],
    ),
    (
        "ended",
        &[
            "address",
            "at_us",
            "attempts",
            "build",
            "event",
            "kept",
            "profile",
            "rows",
            "rows[].goal",
            "rows[].measured",
            "rows[].promise",
            "rows[].verdict",
            "rows[].what",
            "strip",
            "strip.bucket_us",
            "strip.from_us",
            "strip.text",
        ],
    ),
];

fn collect(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                into.insert(path.clone());
                collect(value, &path, into);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, &format!("{at}[]"), into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn recorded() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/run.jsonl");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn each_event_has_exactly_the_documented_fields() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in recorded().lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let event = value["event"].as_str().unwrap().to_owned();
        collect(&value, "", found.entry(event).or_default());
    }
    let expected = SCHEMA.iter().map(|(event, fields)| {
        let fields = fields.iter().map(|field| (*field).to_owned());
        ((*event).to_owned(), fields.collect::<BTreeSet<_>>())
    });
    assert_eq!(found, expected.collect());
}

#[test]
fn every_field_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let docs = std::fs::read_to_string(root.join("docs/development/demo.md")).unwrap();
    for (event, fields) in SCHEMA {
        assert!(
            docs.contains(&format!("`{event}`")),
            "docs/development/demo.md does not name {event}"
        );
        for field in fields {
            let name = field.rsplit(['.', ']']).next().unwrap();
            assert!(
                docs.contains(&format!("`{name}`")),
                "docs/development/demo.md does not explain {name}"
            );
        }
    }
}

#[test]
fn readers_ignore_unknown_fields() {
    let text = recorded();
    for line in text.lines() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value["a field of a later version"] = Value::Bool(true);
        serde_json::from_value::<firecamp_demo::event::Event>(value).unwrap();
    }
}
