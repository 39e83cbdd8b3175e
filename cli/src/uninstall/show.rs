//! The output of `firecamp uninstall`.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::contract::exit::Uninstalled;
use serde::Serialize;

use super::decide::{Left, Next, Reason, Step};
use crate::common::table::table;

/// The output of `firecamp uninstall -o json`. Stable: fields may be added but never change their
/// meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The cluster.
    pub registry: String,
    /// If true, nothing was changed.
    pub dry_run: bool,
    /// The changes that were due when the command began.
    pub changes: Vec<Change>,
    /// What is left and why; with a dry run only what prevents the removal.
    pub left: Vec<Left>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What is done; stable.
    pub action: &'static str,
    /// The kind of the object.
    pub kind: &'static str,
    /// NAME or NAMESPACE/NAME.
    pub name: String,
}

impl From<&Step> for Change {
    fn from(step: &Step) -> Self {
        let (action, object) = match step {
            Step::StopInterfaces(pool) => ("StopInterfaces", pool),
            Step::Drain(interface) => ("RemoveInterface", interface),
            Step::Delete(object) => ("Delete", object),
        };
        Self { action, kind: object.name.kind(), name: object.name.to_string() }
    }
}

impl Report {
    pub(super) fn new(registry: String, dry_run: bool, steps: &[Step]) -> Self {
        let changes = steps.iter().map(Change::from).collect();
        Self { registry, dry_run, changes, left: Vec::new() }
    }

    /// The exit of the command.
    pub fn end(&self) -> Uninstalled {
        let blocks = |left: &Left| match left.reason {
            Reason::AddressInUse | Reason::MemberExists | Reason::Unreadable => true,
            Reason::AwaitingUnassign
            | Reason::InterfaceRemoved
            | Reason::DeletedLast
            | Reason::Terminating => false,
        };
        if self.left.iter().any(blocks) {
            Uninstalled::InUse
        } else if self.left.is_empty() {
            Uninstalled::All
        } else {
            Uninstalled::TimedOut
        }
    }

    /// The report as text.
    pub fn people(&self) -> String {
        let mut text = String::new();
        if self.dry_run && self.left.is_empty() {
            text.push_str(&self.planned());
        }
        match self.end() {
            Uninstalled::All if self.dry_run => {}
            Uninstalled::All => {
                text.push_str(
                    "No address, interface, claim or pool of FireCamp is left. Now remove the \
                     agents: `helm uninstall firecamp --namespace firecamp-system`\n",
                );
            }
            Uninstalled::TimedOut => text.push_str("The time is over. Left:\n"),
            Uninstalled::InUse if self.dry_run => text.push_str("Nothing would be removed:\n"),
            Uninstalled::InUse => text.push_str("Nothing more was removed:\n"),
        }
        if !self.left.is_empty() {
            text.push_str(&table(&["KIND", "NAME", "NODE", "REASON", "MESSAGE"], &self.rows()));
            text.push_str("\nWhat to do:\n");
            let reasons: BTreeSet<_> = self.left.iter().map(|one| one.reason).collect();
            for reason in reasons {
                text.extend([format!("  {reason:?}: {}\n", reason.advice())]);
            }
        }
        text
    }

    fn planned(&self) -> String {
        if self.changes.is_empty() {
            return "Nothing is left to remove.\n".to_owned();
        }
        let row = |one: &Change| vec![one.action.to_owned(), one.kind.to_owned(), one.name.clone()];
        let rows: Vec<Vec<String>> = self.changes.iter().map(row).collect();
        let table = table(&["ACTION", "KIND", "NAME"], &rows);
        format!("Would be done, in this order:\n{table}\nNothing was changed: use --yes.\n")
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |one: &Left| {
            let node = one.node.clone().unwrap_or_else(|| "-".to_owned());
            let reason = format!("{:?}", one.reason);
            vec![one.kind.to_owned(), one.name.clone(), node, reason, one.message.clone()]
        };
        self.left.iter().map(row).collect()
    }
}

/// A line of progress: how many objects of each kind are left.
pub(super) fn progress(next: &Next) -> String {
    let mut counts = BTreeMap::<&str, u32>::new();
    for left in &next.left {
        *counts.entry(left.kind).or_default() += 1;
    }
    let counts = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
    format!("still there: {}", counts.collect::<Vec<_>>().join(", "))
}
