//! What a check came to.

use std::fmt;

use crate::preflight::reason::{Kind, Reason};

/// As of a Kubernetes condition. *True* is good, for each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It is not known.
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

/// What a condition means for the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// All is well.
    Fine,
    /// Nobody knows yet.
    Open,
    /// Addresses work; something will disturb them, or may.
    Warns,
    /// Addresses cannot be attached here, or cannot be kept.
    Blocks,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fine => "fine",
            Self::Open => "open",
            Self::Warns => "warns",
            Self::Blocks => "blocks",
        })
    }
}

/// One condition of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: Kind,
    /// Its stable reason, from which status and weight follow.
    pub reason: Reason,
    /// What was found, where, and what to do about it.
    pub message: String,
}

impl Condition {
    /// What was found, and the remedy that belongs to the reason.
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

    /// What it means for the node.
    pub fn weight(&self) -> Weight {
        self.reason.weight()
    }
}

/// Whether nothing was found that keeps addresses from being attached and kept here.
pub fn passes(conditions: &[Condition]) -> bool {
    conditions.iter().all(|one| one.weight() != Weight::Blocks)
}

/// All conditions in one: whether the node passes, and if not, what keeps it from it.
pub fn summary(conditions: &[Condition]) -> Condition {
    let names = |weight: Weight| {
        let of = conditions.iter().filter(|one| one.weight() == weight);
        of.map(|one| format!("{} ({})", one.kind, one.reason)).collect::<Vec<_>>().join(", ")
    };
    let (blocks, warns, open) = (names(Weight::Blocks), names(Weight::Warns), names(Weight::Open));
    if !blocks.is_empty() {
        return Condition::new(
            Kind::PreflightPassed,
            Reason::Blocked,
            format!("blocked by {blocks}"),
        );
    }
    if !warns.is_empty() {
        let found = format!("usable, with warnings: {warns}");
        return Condition::new(Kind::PreflightPassed, Reason::PassedWithWarnings, found);
    }
    if !open.is_empty() {
        let found = format!("nothing is wrong as far as is known; not known: {open}");
        return Condition::new(Kind::PreflightPassed, Reason::PassedSoFar, found);
    }
    Condition::new(Kind::PreflightPassed, Reason::Passed, "all checks are fine")
}
