//! What is told of faults that are set, and of those that cannot be.

use serde::Serialize;

use super::{FaultId, FaultSpec};

/// A fault that is set, and what it did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultStatus {
    /// Its id.
    pub id: FaultId,
    /// What was set.
    pub spec: FaultSpec,
    /// When, in microseconds since the start of the world.
    pub set_at_us: u64,
    /// How many calls its selector matched, whether it fired or not.
    pub matched: u64,
    /// How often it did something.
    pub fired: u64,
    /// Why the actor of a background fault last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_problem: Option<String>,
}

/// A fault that cannot be set or cleared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// It says something impossible.
    #[error("fault {kind}, {field}: {problem}")]
    Invalid {
        /// The kind.
        kind: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is none with this id.
    #[error("there is no fault {0}")]
    Unknown(u64),
    /// There are too many.
    #[error("there are {0} faults already")]
    TooMany(usize),
}
