//! The status of faults, and their errors.

use serde::Serialize;

use super::{FaultId, FaultSpec};

/// A fault that is set, and its counters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultStatus {
    /// Its ID.
    pub id: FaultId,
    /// The fault that was set.
    pub spec: FaultSpec,
    /// When it was set, in microseconds since the start of the simulation.
    pub set_at_us: u64,
    /// How many calls matched its selector, whether it fired or not.
    pub matched: u64,
    /// How often it took effect.
    pub fired: u64,
    /// Why the actor of a background fault last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_problem: Option<String>,
}

/// A fault that cannot be set or cleared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A field has an impossible value.
    #[error("fault {kind}, {field}: {problem}")]
    Invalid {
        /// The kind.
        kind: String,
        /// The field.
        field: &'static str,
        /// The problem.
        problem: String,
    },
    /// No fault has this ID.
    #[error("fault {0} does not exist")]
    Unknown(u64),
    /// Too many faults are set.
    #[error("{0} faults are set, which is the maximum")]
    TooMany(usize),
}
