//! What the outside tells the inside.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::args::Profile;

/// The binaries that a demo starts, all built by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tools {
    pub(crate) init: PathBuf,
    pub(crate) stop: PathBuf,
    pub(crate) agent: PathBuf,
    pub(crate) vpcbox: PathBuf,
    /// This very binary.
    pub(crate) demo: PathBuf,
}

/// Everything that the inside needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) profile: Profile,
    pub(crate) seed: u64,
    pub(crate) json: bool,
    pub(crate) no_color: bool,
    pub(crate) report: Option<PathBuf>,
    /// Where registry, volume and logs are left for people.
    pub(crate) keep: Option<PathBuf>,
    /// `debug` or `release`.
    pub(crate) build: String,
    pub(crate) tools: Tools,
}
