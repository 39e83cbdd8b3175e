//! The output of `firecamp cleanup`.

use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Cleaned;
use firecamp_node::cleanup::{Address, Kept, Object, Plan, Route, Rule};
use serde::Serialize;

use crate::common::table::table;

/// What was removed and what was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// If true, nothing was changed: `removed` lists what would be removed.
    pub dry_run: bool,
    /// What was removed.
    pub removed: Vec<RemovedObject>,
    /// What was kept.
    pub kept: Vec<KeptObject>,
    #[serde(skip)]
    end: Cleaned,
}

/// A removed object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovedObject {
    /// The object.
    #[serde(flatten)]
    pub what: What,
    #[serde(skip)]
    text: String,
}

/// A kept object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptObject {
    /// The object.
    #[serde(flatten)]
    pub what: What,
    /// Why; stable.
    pub reason: &'static str,
    /// Why, as text.
    pub message: String,
    #[serde(skip)]
    text: String,
}

/// An object of FireCamp in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum What {
    /// An address.
    Address {
        /// The address.
        address: Ipv4Addr,
        /// Its prefix length.
        prefix_length: u8,
        /// The name of its link.
        link: String,
    },
    /// A routing rule.
    Rule {
        /// Its source address.
        source: Option<Ipv4Addr>,
        /// The destination that it matches, with the prefix length.
        #[serde(skip_serializing_if = "Option::is_none")]
        destination: Option<String>,
        /// Its routing table.
        table: u32,
        /// Its priority.
        priority: u32,
    },
    /// A route.
    Route {
        /// Its destination, with the prefix length.
        destination: String,
        /// Its gateway.
        gateway: Option<Ipv4Addr>,
        /// Its table.
        table: u32,
    },
}

impl From<&Object> for What {
    fn from(object: &Object) -> Self {
        match object {
            Object::Address(Address { address, prefix, link }) => {
                Self::Address { address: *address, prefix_length: *prefix, link: link.clone() }
            }
            Object::Rule(Rule { source, to, table, priority }) => {
                let (source, destination) = (*source, to.map(|to| to.to_string()));
                Self::Rule { source, destination, table: *table, priority: *priority }
            }
            Object::Route(Route { table, to: (to, length), via }) => {
                Self::Route { destination: format!("{to}/{length}"), gateway: *via, table: *table }
            }
        }
    }
}

impl Report {
    /// The report of a plan that was not executed, or that removes nothing.
    pub fn planned(plan: &Plan, dry_run: bool) -> Self {
        let goes: Vec<Object> = plan.steps.iter().flat_map(|step| &step.objects).cloned().collect();
        Self { dry_run, ..Self::done(&goes, &Plan { steps: Vec::new(), kept: plan.kept.clone() }) }
    }

    /// The report of an executed plan.
    pub fn done(gone: &[Object], left: &Plan) -> Self {
        let removed =
            |object: &Object| RemovedObject { what: object.into(), text: object.to_string() };
        let kept = |Kept { object, why }: &Kept| KeptObject {
            what: object.into(),
            reason: why.reason(),
            message: why.to_string(),
            text: object.to_string(),
        };
        let removed = gone.iter().map(removed).collect();
        let kept = left.kept.iter().map(kept).collect();
        Self { dry_run: false, removed, kept, end: left.end() }
    }

    /// The exit of the command.
    pub fn end(&self) -> Cleaned {
        self.end
    }

    /// The report as text.
    pub fn people(&self) -> String {
        let gone = if self.dry_run { "would be removed" } else { "removed" };
        let removed = self.removed.iter().map(|one| vec![one.text.clone(), gone.to_owned()]);
        let kept = |one: &KeptObject| {
            let why = format!("kept: {} ({})", one.message, one.reason);
            vec![one.text.clone(), why]
        };
        let rows: Vec<Vec<String>> = removed.chain(self.kept.iter().map(kept)).collect();
        let mut text =
            if rows.is_empty() { String::new() } else { table(&["OBJECT", "RESULT"], &rows) };
        let after = if self.dry_run { "Result of a real run" } else { "Result" };
        text.extend([after, ": ", self.end.meaning(), ".\n"]);
        text
    }
}
