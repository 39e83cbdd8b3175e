//! The requests of agents in the API server's audit log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::failure::Failure;

/// One request of an agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// When the API server received it.
    pub(super) at: Timestamp,
    /// When it answered; of a watch, when it began.
    pub(super) answered: Timestamp,
    /// The node of the agent, from its token.
    pub(super) node: String,
    pub(super) verb: String,
    /// Path and query.
    pub(super) uri: String,
    /// `staticips`, `staticips/status`; empty for other paths.
    pub(super) resource: String,
    pub(super) code: u64,
    pub(super) body: Option<Value>,
}

impl Event {
    /// Whether it may change an object other than a Lease.
    pub(super) fn writes(&self) -> bool {
        self.resource != "leases" && !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it took or renewed a Lease.
    pub(super) fn takes_a_lease(&self) -> bool {
        let writes = matches!(self.verb.as_str(), "create" | "update" | "patch");
        writes && self.resource == "leases" && self.code < 400
    }
}

/// The policy: all requests of the agents, with their bodies.
pub(super) fn policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "Request", "userGroups": ["system:serviceaccounts:firecamp-system"] },
            { "level": "None" },
        ],
    })
}

/// The requests in a log that the agents of these nodes sent between two times, in the order in
/// which the API server received them. A watch counts once: when it begins, or is refused.
pub(super) fn read(
    log: &Path,
    [from, to]: [Timestamp; 2],
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Event>, Failure> {
    let what = format!("read {}", log.display());
    let file = File::open(log).map_err(Failure::of(&what))?;
    let mut events = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(Failure::of(&what))?;
        // The server may be writing the last line.
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        let Some((event, stage)) = event(&value) else { continue };
        let counts = event.verb != "watch" || stage == "ResponseStarted" || event.code >= 400;
        if counts && event.at >= from && event.at < to && wanted(&event.node) {
            events.push(event);
        }
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

/// The event and its stage; none for one without a node.
fn event(value: &Value) -> Option<(Event, String)> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let owned = |pointer: &str| text(pointer).unwrap_or_default().to_owned();
    let time = |pointer: &str| text(pointer)?.parse::<Timestamp>().ok();
    let resource = match text("/objectRef/subresource") {
        Some(part) => format!("{}/{part}", owned("/objectRef/resource")),
        None => owned("/objectRef/resource"),
    };
    let event = Event {
        at: time("/requestReceivedTimestamp")?,
        answered: time("/stageTimestamp")?,
        node: text("/user/extra/authentication.kubernetes.io~1node-name/0")?.to_owned(),
        verb: owned("/verb"),
        uri: owned("/requestURI"),
        resource,
        code: value.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
        body: value.pointer("/requestObject").cloned(),
    };
    Some((event, owned("/stage")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stage: &str, verb: &str, second: u32) -> String {
        json!({
            "stage": stage, "verb": verb, "requestURI": "/api/v1/pods?watch=true",
            "requestReceivedTimestamp": format!("2026-11-20T15:00:{second:02}.250000Z"),
            "stageTimestamp": "2026-11-20T15:00:59.000000Z",
            "user": { "extra": { "authentication.kubernetes.io/node-name": ["node-0001"] } },
            "objectRef": { "resource": "pods" },
            "responseStatus": { "code": 200 },
        })
        .to_string()
    }

    #[test]
    fn a_watch_counts_once_and_a_cut_line_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = [
            line("ResponseStarted", "watch", 9),
            line("ResponseComplete", "watch", 9),
            line("ResponseComplete", "list", 3),
            line("ResponseComplete", "list", 40),
            line("ResponseComplete", "list", 5).replace("node-0001", "node-0002"),
            "{\"stage\":\"Resp".to_owned(),
        ];
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let window = ["2026-11-20T15:00:00Z", "2026-11-20T15:00:30Z"];
        let window = window.map(|time| time.parse().unwrap());
        let events = read(file.path(), window, |node| node == "node-0001").unwrap();
        let verbs: Vec<&str> = events.iter().map(|event| event.verb.as_str()).collect();
        assert_eq!(verbs, ["list", "watch"]);
    }
}
