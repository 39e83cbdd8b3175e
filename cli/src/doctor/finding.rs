//! The findings of the checks.

use clap::ValueEnum;
use firecamp_core::contract::exit::CheckExit;
use serde::Serialize;

use crate::common::table::table;

/// The output of `firecamp doctor -o json`. Stable: fields may be added but never change their
/// meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// The checked registry; empty if none was checked.
    pub registry: String,
    /// The findings, grouped by check.
    pub findings: Vec<Finding>,
}

/// The result of one check for one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// The severity.
    pub level: Level,
    /// The checked object.
    pub object: String,
    /// The result; stable.
    pub reason: String,
    /// The result as text.
    pub message: String,
    /// What to do; may be empty.
    pub advice: String,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    /// No problem.
    #[serde(rename = "OK")]
    Ok,
    /// The check could not be made.
    Unknown,
    /// Members work, but something affects them or may affect them.
    Warning,
    /// Members cannot start or cannot be reached.
    Failed,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "WARNING",
            Self::Failed => "FAILED",
        }
    }
}

/// The role whose permissions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Role {
    /// A user of this command
    #[default]
    Viewer,
    /// A member's init and stop containers
    Member,
    /// The agent of a node
    Agent,
}

impl Finding {
    /// A finding without advice.
    pub fn new(
        check: &'static str,
        level: Level,
        object: impl Into<String>,
        (reason, message): (&str, String),
    ) -> Self {
        let reason = reason.to_owned();
        Self { check, level, object: object.into(), reason, message, advice: String::new() }
    }

    /// No problem.
    pub fn ok(check: &'static str, object: impl Into<String>, message: String) -> Self {
        Self::new(check, Level::Ok, object, ("AllHealthy", message))
    }

    /// The check could not be made.
    pub fn unknown(check: &'static str, object: impl Into<String>, why: &str) -> Self {
        let found = Self::new(check, Level::Unknown, object, ("NotChecked", why.to_owned()));
        found.advice("resolve the cause in the message, then run this command again")
    }

    /// The same finding with advice.
    #[must_use]
    pub fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }
}

impl Diagnosis {
    /// The exit code of the command.
    pub fn exit(&self) -> CheckExit {
        let any = |level| self.findings.iter().any(|one| one.level == level);
        if any(Level::Failed) {
            CheckExit::Problems
        } else if any(Level::Unknown) {
            CheckExit::Unchecked
        } else {
            CheckExit::Fine
        }
    }

    /// As text: one line for each finding, then the advice; for findings without a problem only if
    /// `wide`.
    pub fn people(&self, wide: bool) -> String {
        let rows: Vec<Vec<String>> = self.findings.iter().map(row).collect();
        let mut text = String::new();
        if !self.registry.is_empty() {
            text.extend([self.registry.as_str(), "\n\n"]);
        }
        text.push_str(&table(&["CHECK", "LEVEL", "OBJECT", "REASON", "MESSAGE"], &rows));
        let with_advice =
            self.findings.iter().filter(|one| !one.advice.is_empty() && (wide || !one.is_ok()));
        for one in with_advice {
            text.extend([format!("\n{} {}: {}\n", one.reason, one.object, one.advice)]);
        }
        text.extend(["\n", &self.summary(), "\n"]);
        text
    }

    fn summary(&self) -> String {
        let count = |level| self.findings.iter().filter(|one| one.level == level).count();
        let [ok, unknown, warnings, failed] =
            [Level::Ok, Level::Unknown, Level::Warning, Level::Failed].map(count);
        format!("{failed} failed, {warnings} warnings, {unknown} not checked, {ok} ok")
    }
}

impl Finding {
    fn is_ok(&self) -> bool {
        self.level == Level::Ok
    }
}

fn row(finding: &Finding) -> Vec<String> {
    vec![
        finding.check.to_owned(),
        finding.level.as_str().to_owned(),
        finding.object.clone(),
        finding.reason.clone(),
        finding.message.clone(),
    ]
}
