//! What a clean-up did, or would do.

use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Cleaned;
use firecamp_node::cleanup::{Address, Kept, Object, Plan, Route, Rule};
use serde::Serialize;

use crate::look::table::table;

/// What went and what stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Nothing was changed: what is said to be removed would be.
    pub dry_run: bool,
    /// What went.
    pub removed: Vec<Went>,
    /// What stays.
    pub kept: Vec<Stays>,
    #[serde(skip)]
    end: Cleaned,
}

/// Something that went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Went {
    /// What.
    #[serde(flatten)]
    pub what: What,
    #[serde(skip)]
    text: String,
}

/// Something that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stays {
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// Why, in one stable word.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
    #[serde(skip)]
    text: String,
}

/// Something of FireCamp's in the kernel, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum What {
    /// An address.
    Address {
        /// The address.
        address: Ipv4Addr,
        /// The length of its prefix.
        prefix_length: u8,
        /// The name of its link.
        link: String,
    },
    /// A routing rule.
    Rule {
        /// The address that it is for.
        source: Option<Ipv4Addr>,
        /// The table that it looks up.
        table: u32,
        /// Its priority.
        priority: u32,
    },
    /// A route.
    Route {
        /// Its destination, with the length of the prefix.
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
            Object::Rule(Rule { source, table, priority }) => {
                Self::Rule { source: *source, table: *table, priority: *priority }
            }
            Object::Route(Route { table, to: (to, length), via }) => {
                Self::Route { destination: format!("{to}/{length}"), gateway: *via, table: *table }
            }
        }
    }
}

impl Report {
    /// A plan that was not executed, or in which nothing goes.
    pub fn planned(plan: &Plan, dry_run: bool) -> Self {
        let goes: Vec<Object> = plan.steps.iter().flat_map(|step| &step.objects).cloned().collect();
        Self { dry_run, ..Self::done(&goes, &Plan { steps: Vec::new(), kept: plan.kept.clone() }) }
    }

    /// What went, and after it what stays.
    pub fn done(gone: &[Object], left: &Plan) -> Self {
        let went = |object: &Object| Went { what: object.into(), text: object.to_string() };
        let stays = |Kept { object, why }: &Kept| Stays {
            what: object.into(),
            reason: why.reason(),
            message: why.to_string(),
            text: object.to_string(),
        };
        let removed = gone.iter().map(went).collect();
        let kept = left.kept.iter().map(stays).collect();
        Self { dry_run: false, removed, kept, end: left.end() }
    }

    /// How it ends.
    pub fn end(&self) -> Cleaned {
        self.end
    }

    /// For people.
    pub fn people(&self) -> String {
        let gone = if self.dry_run { "would go" } else { "is gone" };
        let went = self.removed.iter().map(|one| vec![one.text.clone(), gone.to_owned()]);
        let stays = |one: &Stays| {
            let why = format!("stays: {} ({})", one.message, one.reason);
            vec![one.text.clone(), why]
        };
        let rows: Vec<Vec<String>> = went.chain(self.kept.iter().map(stays)).collect();
        let mut text = if rows.is_empty() { String::new() } else { table(&["WHAT", ""], &rows) };
        let after = if self.dry_run { "Afterwards" } else { "Now" };
        text.extend([after, " ", self.end.meaning(), ".\n"]);
        text
    }
}
