//! The configuration that the demo passes to its part inside the box.

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
    /// This binary.
    pub(crate) demo: PathBuf,
}

/// The configuration of the part inside the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DemoConfig {
    pub(crate) profile: Profile,
    pub(crate) seed: u64,
    pub(crate) json: bool,
    pub(crate) no_color: bool,
    pub(crate) report: Option<PathBuf>,
    /// Where to copy registry, volume and logs.
    pub(crate) keep: Option<PathBuf>,
    /// `debug` or `release`.
    pub(crate) build: String,
    pub(crate) tools: Tools,
}
