//! The messages of the endpoint's protocol, version 1. Unknown fields and lines are ignored, so
//! that either side may be newer.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::{EniId, Epoch};
use firecamp_engine::ProgressEvent;
use serde::{Deserialize, Serialize};

use crate::outcome;
use crate::report::Report;

/// The body of an attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachRequest {
    /// The client waits this long for the outcome, in milliseconds.
    pub timeout_ms: u64,
}

/// Which sockets a release waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DrainScope {
    /// All sockets: the service has ended.
    All,
    /// Connections: the service still runs.
    Connections,
}

/// The body of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRequest {
    /// Which sockets are waited for.
    pub scope: DrainScope,
    /// How long at most, in milliseconds; without it, for the whole grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_ms: Option<u64>,
    /// What is left of the pod's grace period if the API server does not report it, in
    /// milliseconds.
    pub grace_ms: u64,
    /// The epoch that the container fixed when it started. Without it, the one that the pod holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// The address that a pod holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressResponse {
    /// The address; none if the pod holds none.
    pub address: Option<Ipv4Addr>,
    /// The ENI that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// The epoch of the attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// How a request ended: the fields of a termination message that the agent knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The stable reason: that of the exit code.
    pub reason: String,
    /// What happened.
    pub message: String,
    /// The member's address, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// The ENI that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// The epoch of the attachment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The path that the protocol took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Sockets still used the address when it was released.
    #[serde(default)]
    pub cut_short: bool,
}

/// A line of a response. The last one is the outcome; without it, the request had no end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ResponseLine {
    /// A step is complete.
    Step {
        /// Its label.
        step: String,
        /// What is done.
        done: String,
    },
    /// The agent waits.
    Waiting {
        /// What it waits for.
        waiting_for: String,
        /// How long it has waited, in milliseconds.
        waited_ms: u64,
        /// How long this wait takes at most, in milliseconds.
        at_most_ms: u64,
    },
    /// A request of the agent failed, and may be repeated.
    RequestFailed {
        /// The outside system.
        system: String,
        /// What failed, and why.
        detail: String,
    },
    /// The end.
    Outcome(Outcome),
}

impl From<ProgressEvent> for ResponseLine {
    fn from(event: ProgressEvent) -> Self {
        match event {
            ProgressEvent::Step { step, done } => Self::Step { step, done },
            ProgressEvent::Waiting { waiting_for, waited, at_most } => {
                let (waited_ms, at_most_ms) = (millis(waited), millis(at_most));
                Self::Waiting { waiting_for, waited_ms, at_most_ms }
            }
            ProgressEvent::RequestFailed { system, detail } => {
                Self::RequestFailed { system, detail }
            }
        }
    }
}

impl ResponseLine {
    /// The outcome; the progress is logged as if the machine ran in this process.
    pub(crate) fn outcome_or_log(self) -> Option<Outcome> {
        let event = match self {
            Self::Outcome(outcome) => return Some(outcome),
            Self::Step { step, done } => ProgressEvent::Step { step, done },
            Self::Waiting { waiting_for, waited_ms, at_most_ms } => ProgressEvent::Waiting {
                waiting_for,
                waited: Duration::from_millis(waited_ms),
                at_most: Duration::from_millis(at_most_ms),
            },
            Self::RequestFailed { system, detail } => {
                ProgressEvent::RequestFailed { system, detail }
            }
        };
        event.log();
        None
    }

    /// The line of the wire, with its line break.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialization of plain fields cannot fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl From<&Report> for Outcome {
    fn from(report: &Report) -> Self {
        Self {
            reason: report.exit.reason().to_owned(),
            message: report.message.clone(),
            address: report.address,
            eni: report.eni.as_ref().map(ToString::to_string),
            epoch: report.epoch.map(|epoch| epoch.0),
            path: report.path.map(str::to_owned),
            cut_short: report.cut_short,
        }
    }
}

impl From<Outcome> for Report {
    fn from(outcome: Outcome) -> Self {
        let Outcome { reason, message, address, eni, epoch, path, cut_short } = outcome;
        let Some(exit) = Exit::ALL.into_iter().find(|exit| exit.reason() == reason) else {
            let text = format!("the agent answers with the unknown reason {reason:?}: {message}");
            return Self::new(Exit::VersionMismatch, text);
        };
        Self {
            address,
            eni: eni.and_then(|eni| EniId::new(&eni).ok()),
            epoch: epoch.map(Epoch),
            path: path.and_then(|path| outcome::known_path(&path)),
            cut_short,
            ..Self::new(exit, message)
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_arrives_as_it_was_sent() {
        let mut report = Report::new(Exit::Success, "10.0.0.7 is attached");
        for path in ["same-node", "moved", "parked", "unassigned", "not-holder", "not-ending"] {
            report.path = Some(path);
            report.address = Some(Ipv4Addr::new(10, 0, 0, 7));
            report.eni = EniId::new("eni-0123abcd").ok();
            report.epoch = Some(Epoch(4));
            report.cut_short = path == "parked";
            let line = ResponseLine::Outcome(Outcome::from(&report)).to_bytes();
            let read: ResponseLine = serde_json::from_slice(&line).unwrap();
            assert_eq!(read.outcome_or_log().map(Report::from), Some(report.clone()));
        }
        for exit in Exit::ALL {
            let report = Report::new(exit, "cause");
            assert_eq!(Report::from(Outcome::from(&report)), report);
        }
    }

    #[test]
    fn a_newer_agent_may_add_fields_but_an_unknown_reason_is_no_success() {
        let text = json!({ "outcome": { "reason": "Success", "message": "m", "new": [1] } });
        let read: ResponseLine = serde_json::from_value(text).unwrap();
        assert_eq!(read.outcome_or_log().map(Report::from).unwrap().exit, Exit::Success);
        let text = json!({ "outcome": { "reason": "Paused", "message": "m" } });
        let read: ResponseLine = serde_json::from_value(text).unwrap();
        let report = Report::from(read.outcome_or_log().unwrap());
        assert_eq!(report.exit, Exit::VersionMismatch);
        assert!(report.message.contains("Paused"), "{}", report.message);
    }

    #[test]
    fn progress_is_the_same_on_both_sides() {
        for event in [
            ProgressEvent::Step { step: "attach.3".to_owned(), done: "done".to_owned() },
            ProgressEvent::Waiting {
                waiting_for: "x".to_owned(),
                waited: Duration::from_millis(2_500),
                at_most: Duration::from_secs(8),
            },
            ProgressEvent::RequestFailed { system: "ec2".to_owned(), detail: "x".to_owned() },
        ] {
            let line = ResponseLine::from(event).to_bytes();
            assert!(line.ends_with(b"\n") && !line[..line.len() - 1].contains(&b'\n'));
            let read: ResponseLine = serde_json::from_slice(&line).unwrap();
            assert_eq!(read.to_bytes(), line);
            assert_eq!(read.outcome_or_log(), None);
        }
    }
}
