//! What a check has found.

use clap::ValueEnum;
use firecamp_core::contract::exit::Look;
use serde::Serialize;

use crate::look::table::table;

/// Everything that was found. What `firecamp doctor -o json` prints; stable: fields are added and
/// never change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Which registry was examined; empty if none was.
    pub registry: String,
    /// The findings, check by check.
    pub findings: Vec<Finding>,
}

/// What one check says of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// How grave it is.
    pub level: Level,
    /// What it is about.
    pub object: String,
    /// What was found, in one word that never changes its meaning.
    pub reason: String,
    /// What was found, for people.
    pub message: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    /// All is well.
    Fine,
    /// It could not be checked.
    Unknown,
    /// Members work; something will disturb them, or may.
    Warns,
    /// Members cannot start, or are not reachable.
    Fails,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Unknown => "unknown",
            Self::Warns => "WARNS",
            Self::Fails => "FAILS",
        }
    }
}

/// Whose rights are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Role {
    /// Somebody who looks: what this command itself needs
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

    /// Nothing is wrong.
    pub fn fine(check: &'static str, object: impl Into<String>, message: String) -> Self {
        Self::new(check, Level::Fine, object, ("AllWell", message))
    }

    /// It could not be checked.
    pub fn unknown(check: &'static str, object: impl Into<String>, why: &str) -> Self {
        let found = Self::new(check, Level::Unknown, object, ("NotChecked", why.to_owned()));
        found.advice("see why it could not be asked, and ask again")
    }

    /// The same with what to do.
    #[must_use]
    pub fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }
}

impl Diagnosis {
    /// How the command ends.
    pub fn look(&self) -> Look {
        let any = |level| self.findings.iter().any(|one| one.level == level);
        if any(Level::Fails) {
            Look::Problems
        } else if any(Level::Unknown) {
            Look::Unchecked
        } else {
            Look::Fine
        }
    }

    /// For people: one line for each finding, then what to do; fine ones in full only if wide.
    pub fn people(&self, wide: bool) -> String {
        let rows: Vec<Vec<String>> = self.findings.iter().map(row).collect();
        let mut text = String::new();
        if !self.registry.is_empty() {
            text.extend([self.registry.as_str(), "\n\n"]);
        }
        text.push_str(&table(&["CHECK", "LEVEL", "OBJECT", "REASON", "FOUND"], &rows));
        let with_advice =
            self.findings.iter().filter(|one| !one.advice.is_empty() && (wide || !one.is_fine()));
        for one in with_advice {
            text.extend([format!("\n{} {}: {}\n", one.reason, one.object, one.advice)]);
        }
        text.extend(["\n", &self.summary(), "\n"]);
        text
    }

    fn summary(&self) -> String {
        let count = |level| self.findings.iter().filter(|one| one.level == level).count();
        let [fine, unknown, warns, fails] =
            [Level::Fine, Level::Unknown, Level::Warns, Level::Fails].map(count);
        format!("{fails} fail, {warns} warn, {unknown} not checked, {fine} fine")
    }
}

impl Finding {
    fn is_fine(&self) -> bool {
        self.level == Level::Fine
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
