//! What is expected of each hunt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firecamp_core::bug::Bug;
use serde::Deserialize;

/// How one bug is to be found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// By the model: the configuration and the property that breaks.
    pub model: Option<(String, String)>,
    /// By histories: the promise that breaks.
    pub histories: Option<String>,
    /// By sweeps: the promise that breaks.
    pub sweeps: Option<String>,
    /// By histories of volumes: the promise that breaks.
    pub volumes: Option<String>,
    /// Why one of the two cannot find it.
    pub only: Option<String>,
}

/// Why the expectations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The file cannot be read.
    #[error("reading {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("parsing {path}: {source}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// A bug is missing, superfluous or without means.
    #[error("{0}")]
    Content(String),
}

/// Reads the expectations: one for each bug, each with at least one means.
pub fn read(path: &Path) -> Result<BTreeMap<String, Expected>, Wrong> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Wrong::Read { path: path.to_owned(), source })?;
    let all: BTreeMap<String, Expected> = toml::from_str(&text)
        .map_err(|source| Wrong::Parse { path: path.to_owned(), source: Box::new(source) })?;
    for bug in Bug::ALL {
        let Some(expected) = all.get(bug.name()) else {
            return Err(Wrong::Content(format!("{bug} has no section")));
        };
        let both = expected.model.is_some() && expected.histories.is_some();
        let neither = expected.model.is_none() && expected.histories.is_none();
        if neither && expected.sweeps.is_none() && expected.volumes.is_none() {
            return Err(Wrong::Content(format!("{bug} is found by nothing")));
        }
        if both == expected.only.is_some() {
            return Err(Wrong::Content(format!("{bug}: `only` tells why one of two is missing")));
        }
    }
    match all.keys().find(|name| Bug::ALL.iter().all(|bug| bug.name() != *name)) {
        Some(name) => Err(Wrong::Content(format!("there is no bug {name}"))),
        None => Ok(all),
    }
}
