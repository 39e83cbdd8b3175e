//! The bugs: what each changes, and how it must be found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::patch::{Patch, PatchError};

/// A deliberate bug.
#[derive(Debug, Clone)]
pub struct Bug {
    /// The change that makes it.
    pub patch: Patch,
    /// What finds it.
    pub expected: Expected,
}

/// How one bug must be found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// By the model: the configuration and the property that is violated.
    pub model: Option<(String, String)>,
    /// By histories in direct mode: the invariant that is violated.
    pub histories: Option<String>,
    /// By histories with the agents' endpoint: the invariant that is violated.
    pub endpoint: Option<String>,
    /// By sweeps: the invariant that is violated.
    pub sweeps: Option<String>,
    /// By histories of volumes: the invariant that is violated.
    pub volumes: Option<String>,
    /// By a test; then by nothing else.
    pub test: Option<Test>,
    /// Why the model or the histories cannot find it.
    pub only: Option<String>,
}

/// A test that must fail.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "(String, String, String)")]
pub struct Test {
    /// The package with the test in its library, or `PACKAGE/PROGRAM` of its `tests`.
    pub package: String,
    /// The path of the test.
    pub name: String,
    /// What the failure says.
    pub message: String,
}

impl From<(String, String, String)> for Test {
    fn from((package, name, message): (String, String, String)) -> Self {
        Self { package, name, message }
    }
}

impl Expected {
    /// The searches that must find the bug, each with what it must find.
    pub fn searches(&self) -> Vec<(String, &str)> {
        let model = self.model.iter().map(|(config, what)| (format!("model:{config}"), what));
        let others = [
            ("histories", &self.histories),
            ("endpoint", &self.endpoint),
            ("sweeps", &self.sweeps),
            ("volumes", &self.volumes),
        ];
        let others =
            others.into_iter().filter_map(|(by, what)| Some((by.to_owned(), what.as_ref()?)));
        let test = self.test.iter().map(|test| (format!("test:{}", test.name), &test.message));
        model.chain(others).chain(test).map(|(by, what)| (by, what.as_str())).collect()
    }
}

/// Why the catalogue is invalid.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The expectations are not valid TOML, or have other fields.
    #[error("failed to parse {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<toml::de::Error>,
    },
    /// A patch is not a unified diff.
    #[error("failed to parse the patch of {bug}")]
    Patch {
        /// The bug.
        bug: String,
        /// The cause.
        source: PatchError,
    },
    /// The expectations and the patches do not agree.
    #[error("{bug}: {what}")]
    Content {
        /// The bug.
        bug: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads `hunts.toml` and `patches` in a directory: one of each for every bug, by its name.
pub fn read(dir: &Path) -> Result<BTreeMap<String, Bug>, CatalogueError> {
    let hunts = dir.join("hunts.toml");
    let all: BTreeMap<String, Expected> = toml::from_str(&text(&hunts)?)
        .map_err(|source| CatalogueError::Parse { path: hunts, source: Box::new(source) })?;
    let names = patches(&dir.join("patches"))?;
    let wrong = |bug: &str, what| Err(CatalogueError::Content { bug: bug.to_owned(), what });
    if let Some(bug) = names.iter().find(|name| !all.contains_key(*name)) {
        return wrong(bug, "hunts.toml does not say what finds it");
    }
    let mut bugs = BTreeMap::new();
    for (bug, expected) in all {
        if !names.contains(&bug) {
            return wrong(&bug, "it has no patch");
        }
        if expected.searches().is_empty() {
            return wrong(&bug, "it has no search");
        }
        if expected.test.is_some() && expected.searches().len() > 1 {
            return wrong(&bug, "a test and another search need different builds");
        }
        if (expected.model.is_some() && expected.histories.is_some()) == expected.only.is_some() {
            return wrong(&bug, "`only` is required if model or histories are missing, only then");
        }
        let patch = Patch::parse(&text(&dir.join(format!("patches/{bug}.patch")))?)
            .map_err(|source| CatalogueError::Patch { bug: bug.clone(), source })?;
        bugs.insert(bug, Bug { patch, expected });
    }
    Ok(bugs)
}

fn text(path: &Path) -> Result<String, CatalogueError> {
    std::fs::read_to_string(path)
        .map_err(|source| CatalogueError::Read { path: path.to_owned(), source })
}

/// The names of the patches.
fn patches(dir: &Path) -> Result<BTreeSet<String>, CatalogueError> {
    let failed = |source| CatalogueError::Read { path: dir.to_owned(), source };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        names.insert(name.strip_suffix(".patch").unwrap_or(&name).to_owned());
    }
    Ok(names)
}
