//! What the outside tells the inside.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The binaries, all of one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tools {
    pub(crate) init: PathBuf,
    pub(crate) stop: PathBuf,
    pub(crate) agent: PathBuf,
    pub(crate) vpcbox: PathBuf,
    /// This very binary.
    pub(crate) bench: PathBuf,
}

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// Restarts and moves, so many of each.
    Lives {
        /// How many.
        runs: u32,
    },
    /// Everybody at once.
    Crowd,
    /// A quiet node, watched for so long.
    Calm {
        /// Minutes.
        minutes: u32,
    },
}

/// Everything that the inside needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) what: What,
    pub(crate) tools: Tools,
    /// An older init and stop container, which take turns with the new ones.
    pub(crate) baseline: Option<(PathBuf, PathBuf)>,
}
