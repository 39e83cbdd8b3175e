//! The result of a check.

use std::fmt;

use crate::preflight::reason::{Kind, Reason};

/// The status of a condition, as in Kubernetes. *True* is good for every type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The condition holds.
    True,
    /// It does not hold.
    False,
    /// The check could not tell.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        })
    }
}

/// How serious a condition is for the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// No problem.
    Ok,
    /// Not known yet.
    Unknown,
    /// Addresses work; something disturbs them or may disturb them.
    Warning,
    /// Addresses cannot be attached to this node, or cannot be kept on it.
    Blocking,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Unknown => "Unknown",
            Self::Warning => "Warning",
            Self::Blocking => "Blocking",
        })
    }
}

/// One condition of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: Kind,
    /// Its stable reason, which determines status and severity.
    pub reason: Reason,
    /// What the check found, where, and what to do about it.
    pub message: String,
}

impl Condition {
    /// The message is what the check found, followed by the remedy of the reason.
    pub(crate) fn new(kind: Kind, reason: Reason, found: impl fmt::Display) -> Self {
        let remedy = reason.remedy();
        let message =
            if remedy.is_empty() { found.to_string() } else { format!("{found}. {remedy}") };
        Self { kind, reason, message }
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.reason.status()
    }

    /// How serious it is for the node.
    pub fn severity(&self) -> Severity {
        self.reason.severity()
    }
}

/// Whether no condition is blocking.
pub fn passes(conditions: &[Condition]) -> bool {
    conditions.iter().all(|one| one.severity() != Severity::Blocking)
}

/// The summary of all conditions: whether the node passes, and which conditions block it.
pub fn summary(conditions: &[Condition]) -> Condition {
    let names = |severity: Severity| {
        let of = conditions.iter().filter(|one| one.severity() == severity);
        of.map(|one| format!("{} ({})", one.kind, one.reason)).collect::<Vec<_>>().join(", ")
    };
    let blocking = names(Severity::Blocking);
    let (warnings, unknown) = (names(Severity::Warning), names(Severity::Unknown));
    if !blocking.is_empty() {
        return Condition::new(
            Kind::PreflightPassed,
            Reason::Blocked,
            format!("blocked by {blocking}"),
        );
    }
    if !warnings.is_empty() {
        let found = format!("passed with warnings: {warnings}");
        return Condition::new(Kind::PreflightPassed, Reason::PassedWithWarnings, found);
    }
    if !unknown.is_empty() {
        let found = format!("no problem found; unknown: {unknown}");
        return Condition::new(Kind::PreflightPassed, Reason::PassedIncomplete, found);
    }
    Condition::new(Kind::PreflightPassed, Reason::Passed, "all checks passed")
}
