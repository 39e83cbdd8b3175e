//! The output of `firecamp verify-ec2`.

use std::collections::BTreeMap;

use firecamp_core::contract::exit::{Exit, Verified};
use serde::Serialize;

use super::cleanup::Cleaned;
use super::fact::Fact;
use super::facts::{FACTS, observed_on_aws};
use super::judge::{Outcome, Verdict};
use super::session::Calls;
use crate::common::table::table;

/// The version of the report. A field that changes its meaning increases it.
pub(super) const VERSION: u32 = 1;

pub(super) const NOT_EC2: &str =
    "The answers came from another endpoint than AWS: they prove this program, not EC2.";

/// The output of `firecamp verify-ec2 --json`. Stable: fields may be added but never change their
/// meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `VERSION`.
    pub report_version: u32,
    /// The version of FireCamp.
    pub firecamp: &'static str,
    /// When the run began.
    pub time: String,
    /// Who answered.
    pub origin: Origin,
    /// Whether facts about an instance were tried.
    pub on_node: bool,
    /// Whether a signal ended the run.
    pub interrupted: bool,
    /// The facts; none if only earlier runs were cleaned up.
    pub facts: Vec<FactReport>,
    /// What was deleted and what is left.
    pub cleanup: Cleaned,
    /// How many mutating calls were sent.
    pub mutating_calls: u32,
    /// The longest time in which a mutating call succeeded.
    pub longest_call_ms: u64,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The region.
    pub region: String,
    /// The host that answered.
    pub endpoint: String,
    /// Whether the answers say something about EC2.
    pub proves_ec2: bool,
    /// What they prove if they do not.
    pub note: Option<&'static str>,
}

/// A fact and what was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FactReport {
    /// Its stable name.
    pub id: &'static str,
    /// What was tried.
    pub what: &'static str,
    /// What FireCamp relies on.
    pub expected: &'static str,
    /// What was observed.
    pub observed: String,
    /// How the fact stands.
    pub outcome: Outcome,
    /// Who says so.
    pub source: &'static str,
    /// Region and date at which somebody observed it on AWS before; `None`: nobody has.
    pub observed_on_aws: Option<&'static str>,
}

/// The facts with their verdicts.
pub(super) fn facts(
    verdicts: &mut BTreeMap<&'static str, Verdict>,
    calls: Calls,
) -> Vec<FactReport> {
    if let Some(bound) = verdicts.get_mut("call-bound") {
        let (count, longest) = (calls.mutating, calls.longest.as_secs_f64());
        let calls = format!("; {count} calls, the longest successful one {longest:.2} s");
        bound.observed.push_str(&calls);
    }
    let report = |fact: &Fact| {
        let verdict = verdicts.get(fact.id)?.clone();
        Some(FactReport {
            id: fact.id,
            what: fact.what,
            expected: fact.expected,
            observed: verdict.observed,
            outcome: verdict.outcome,
            source: fact.source,
            observed_on_aws: observed_on_aws(fact.id),
        })
    };
    FACTS.iter().filter_map(report).collect()
}

impl Report {
    /// The exit code of the command.
    pub fn code(&self) -> u8 {
        if self.interrupted { Exit::Interrupted.code() } else { self.end().code() }
    }

    fn end(&self) -> Verified {
        if self.count(Outcome::Differs) > 0 || !self.cleanup.left.is_empty() {
            Verified::Differs
        } else if self.count(Outcome::FailedToTry) > 0 {
            Verified::NotTried
        } else {
            Verified::All
        }
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.facts.iter().filter(|fact| fact.outcome == outcome).count()
    }

    /// The report as text.
    pub fn people(&self, wide: bool) -> String {
        let Origin { region, endpoint, note, .. } = &self.origin;
        let mut text = format!("{endpoint}, {region}, {}\n", self.time);
        if !self.facts.is_empty() {
            text.extend(["\n", &self.table(wide), "\n", &self.summary()]);
        }
        if let Some(note) = note {
            text.extend([*note, "\n"]);
        }
        text.push_str(&self.unobserved());
        let earlier = self.cleanup.earlier_deleted;
        text.extend([format!("{earlier} interfaces of earlier runs were deleted.\n")]);
        for left in &self.cleanup.left {
            text.extend([format!(
                "LEFT in EC2: {}: {}. Run `firecamp verify-ec2 --cleanup`.\n",
                left.what, left.why
            )]);
        }
        if self.interrupted {
            text.push_str("A signal ended the run.\n");
        }
        text
    }

    fn table(&self, wide: bool) -> String {
        let shown = if wide { 5 } else { 4 };
        let headings = ["FACT", "OUTCOME", "EXPECTED", "OBSERVED", "SOURCE"];
        let row = |fact: &FactReport| {
            let all = [fact.id, fact.outcome.as_str(), fact.expected, &fact.observed, fact.source];
            all.into_iter().take(shown).map(str::to_owned).collect()
        };
        let rows: Vec<Vec<String>> = self.facts.iter().map(row).collect();
        table(headings.get(..shown).unwrap_or_default(), &rows)
    }

    fn summary(&self) -> String {
        let mut text = String::new();
        for fact in self.facts.iter().filter(|fact| fact.outcome == Outcome::Differs) {
            let FactReport { id, what, expected, .. } = fact;
            text.extend([format!("{id} DIFFERS: expected of {what}: {expected}\n")]);
        }
        let [holds, differs, hidden, failed] =
            [Outcome::Holds, Outcome::Differs, Outcome::NotObservable, Outcome::FailedToTry]
                .map(|outcome| self.count(outcome));
        text.extend([format!(
            "{holds} hold, {differs} differ, {hidden} not observable this way, {failed} failed to \
             try\n"
        )]);
        text
    }

    /// Which facts nobody has observed on AWS.
    fn unobserved(&self) -> String {
        let open: Vec<&str> = self
            .facts
            .iter()
            .filter(|fact| fact.observed_on_aws.is_none())
            .map(|fact| fact.id)
            .collect();
        if open.is_empty() {
            return String::new();
        }
        format!("Not observed on AWS yet: {}.\n", open.join(", "))
    }
}

/// What a dry run prints: what would be created and tried.
pub(super) fn plan(subnet: &str) -> String {
    let row = |fact: &Fact| [fact.id, fact.what, fact.expected].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = FACTS.iter().map(row).collect();
    let facts = table(&["FACT", "WHAT IS TRIED", "EXPECTED"], &rows);
    format!(
        "Would be created in {subnet} and deleted at the end: two network interfaces without an \
         instance,\nwith up to three secondary addresses outside of CIDR reservations.\n\n{facts}\n\
         Nothing was sent to EC2.\n"
    )
}
