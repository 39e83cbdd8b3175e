//! The job that this program passes to its process inside the box.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scale::Plan;

/// The binaries of one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tools {
    pub(crate) init: PathBuf,
    pub(crate) stop: PathBuf,
    pub(crate) agent: PathBuf,
    pub(crate) vpcbox: PathBuf,
    /// This program.
    pub(crate) bench: PathBuf,
}

/// The scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scenario {
    /// Restarts and moves.
    Moves {
        /// The number of each.
        runs: u32,
    },
    /// The same with init containers that ask the agents.
    Endpoint {
        /// The number of each.
        runs: u32,
    },
    /// All members at once.
    Concurrent,
    /// The same with init containers that ask the agents.
    ConcurrentEndpoint,
    /// An idle node.
    Idle {
        /// The length of the measurement.
        minutes: u32,
    },
    /// A fleet on a real API server.
    Scale(Plan),
}

/// The job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) what: Scenario,
    pub(crate) tools: Tools,
    /// An older init and stop container, which alternate with the new ones.
    pub(crate) baseline: Option<(PathBuf, PathBuf)>,
}
