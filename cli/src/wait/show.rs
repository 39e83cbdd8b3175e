//! The output of `firecamp wait`.

use std::collections::BTreeSet;

use firecamp_core::contract::exit::Waited;
use jiff::Timestamp;
use serde::Serialize;

use super::decide::Missing;
use super::facts::Want;
use crate::common::age;
use crate::common::table::table;

const HEADINGS: [&str; 6] = ["KIND", "NAME", "NODE", "FOR", "REASON", "MESSAGE"];
/// How many objects a progress line names.
const NAMED: usize = 2;

/// The output of `firecamp wait -o json`. Stable: fields may be added but never change their
/// meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The cluster.
    pub registry: String,
    /// NAMESPACE/NAME of the StatefulSet.
    pub stateful_set: String,
    /// The awaited state.
    pub state: Want,
    /// Whether it was reached.
    pub reached: bool,
    /// How long the command waited, in whole seconds.
    pub waited_seconds: u64,
    /// What is missing, according to the last poll.
    pub missing: Vec<Missing>,
}

impl Report {
    /// The exit of the command.
    pub fn end(&self) -> Waited {
        if self.reached { Waited::Reached } else { Waited::TimedOut }
    }

    /// The report as text.
    pub fn people(&self, now: Timestamp) -> String {
        let (set, state, seconds) = (&self.stateful_set, self.state.as_str(), self.waited_seconds);
        if self.reached {
            let so = match self.state {
                Want::Released => "it has no pods, and none of its addresses is attached",
                Want::Attached => "the address of each replica is attached to its live pod",
            };
            return format!("{set} is {state} after {seconds} s: {so}\n");
        }
        let rows: Vec<Vec<String>> = self.missing.iter().map(|one| row(one, now)).collect();
        let mut text = format!("{set} is not {state} after {seconds} s:\n");
        text.push_str(&table(&HEADINGS, &rows));
        text.push_str("\nWhat to do:\n");
        let reasons: BTreeSet<_> = self.missing.iter().map(|one| one.reason).collect();
        for reason in reasons {
            text.extend([format!("  {reason:?}: {}\n", reason.advice())]);
        }
        text
    }
}

fn row(one: &Missing, now: Timestamp) -> Vec<String> {
    vec![
        one.kind.to_owned(),
        one.name.clone(),
        one.node.clone().unwrap_or_default(),
        age::of(one.since.as_deref(), now).unwrap_or_default(),
        format!("{:?}", one.reason),
        one.message.clone(),
    ]
}

/// A line of progress: what is missing still.
pub(super) fn progress(set: &str, want: Want, missing: &[Missing]) -> String {
    let named = missing.iter().take(NAMED).map(|one| {
        let node = one.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let since = one.since.as_ref().map(|at| format!(" since {at}")).unwrap_or_default();
        format!("{} {}{node}: {:?}{since}", one.kind, one.name, one.reason)
    });
    let mut named = named.collect::<Vec<_>>().join("; ");
    let more = missing.len().saturating_sub(NAMED);
    if more > 0 {
        named.extend([format!("; and {more} more")]);
    }
    format!("{set} is not {} yet: {named}", want.as_str())
}
