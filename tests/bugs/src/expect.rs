//! The expectations: how each bug must be found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firecamp_core::bug::Bug;
use serde::Deserialize;

/// How one bug must be found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// By the model: the configuration and the property that is violated.
    pub model: Option<(String, String)>,
    /// By histories: the invariant that is violated.
    pub histories: Option<String>,
    /// By sweeps: the invariant that is violated.
    pub sweeps: Option<String>,
    /// By histories of volumes: the invariant that is violated.
    pub volumes: Option<String>,
    /// Why one of the two cannot find it.
    pub only: Option<String>,
}

/// Why the expectations are invalid.
#[derive(Debug, thiserror::Error)]
pub enum ExpectError {
    /// The file cannot be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not valid TOML, or has other fields.
    #[error("failed to parse {path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<toml::de::Error>,
    },
    /// A bug has no section, no search, or does not exist.
    #[error("{0}")]
    Content(String),
}

/// Reads the expectations: one for each bug, each with at least one search.
pub fn read(path: &Path) -> Result<BTreeMap<String, Expected>, ExpectError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ExpectError::Read { path: path.to_owned(), source })?;
    let all: BTreeMap<String, Expected> = toml::from_str(&text)
        .map_err(|source| ExpectError::Parse { path: path.to_owned(), source: Box::new(source) })?;
    for bug in Bug::ALL {
        let Some(expected) = all.get(bug.name()) else {
            return Err(ExpectError::Content(format!("{bug} has no section")));
        };
        let both = expected.model.is_some() && expected.histories.is_some();
        let neither = expected.model.is_none() && expected.histories.is_none();
        if neither && expected.sweeps.is_none() && expected.volumes.is_none() {
            return Err(ExpectError::Content(format!("{bug} has no search")));
        }
        if both == expected.only.is_some() {
            return Err(ExpectError::Content(format!(
                "{bug}: `only` is required if the model or the histories are missing, and only then"
            )));
        }
    }
    match all.keys().find(|name| Bug::ALL.iter().all(|bug| bug.name() != *name)) {
        Some(name) => Err(ExpectError::Content(format!("unknown bug {name}"))),
        None => Ok(all),
    }
}
