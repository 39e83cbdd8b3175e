//! The tests that the sources contain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The functions of every package of the workspace, by package.
#[derive(Debug)]
pub struct Sources {
    functions: BTreeMap<String, BTreeSet<String>>,
}

/// Why the sources cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// A file or directory cannot be read.
    #[error("reading {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A manifest is not valid.
    #[error("parsing {path}")]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
}

#[derive(Deserialize)]
struct Manifest {
    workspace: Option<Workspace>,
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Workspace {
    members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

impl Sources {
    /// Reads every member of the workspace at `root`.
    pub fn read(root: &Path) -> Result<Self, SourcesError> {
        let mut functions = BTreeMap::new();
        let members = manifest(root)?.workspace.map(|w| w.members).unwrap_or_default();
        for member in members {
            let directory = root.join(member);
            let Some(package) = manifest(&directory)?.package else { continue };
            let mut found = BTreeSet::new();
            for part in ["src", "tests"] {
                collect(&directory.join(part), &mut found)?;
            }
            functions.insert(package.name, found);
        }
        Ok(Self { functions })
    }

    /// Whether the package has a function of this name.
    pub fn contains(&self, package: &str, function: &str) -> bool {
        self.functions.get(package).is_some_and(|found| found.contains(function))
    }

    /// Whether any package has a function of this name.
    pub fn declares(&self, function: &str) -> bool {
        self.functions.values().any(|found| found.contains(function))
    }

    /// Every function that is named after cases (`f012_…`, `f001_f108_…`), with its package.
    pub fn named_after_cases(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.functions.iter().flat_map(|(package, found)| {
            found.iter().map(move |function| (package.as_str(), function.as_str()))
        });
        all.filter(|(_, function)| !cases_of(function).is_empty())
    }
}

/// The cases that a test is named after: `f001_f108_…` is of F001 and F108.
pub fn cases_of(function: &str) -> Vec<String> {
    function.split('_').map_while(case).collect()
}

fn case(word: &str) -> Option<String> {
    let digits = word.strip_prefix('f')?;
    let three = digits.len() == 3 && digits.chars().all(|c| c.is_ascii_digit());
    three.then(|| format!("F{digits}"))
}

fn read(path: &Path) -> Result<String, SourcesError> {
    std::fs::read_to_string(path)
        .map_err(|source| SourcesError::Read { path: path.to_owned(), source })
}

fn manifest(directory: &Path) -> Result<Manifest, SourcesError> {
    let path = directory.join("Cargo.toml");
    let text = read(&path)?;
    toml::from_str(&text)
        .map_err(|source| SourcesError::Manifest { path, source: Box::new(source) })
}

fn collect(directory: &Path, found: &mut BTreeSet<String>) -> Result<(), SourcesError> {
    if !directory.exists() {
        return Ok(());
    }
    let failed = |source| SourcesError::Read { path: directory.to_owned(), source };
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.extend(read(&path)?.lines().filter_map(function_on));
        }
    }
    Ok(())
}

/// The function that a line declares. Property tests declare theirs inside a macro, so this goes
/// by the line.
fn function_on(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "fn")?;
    let before = words.get(..at)?;
    let declares = before.iter().all(|word| *word == "async" || word.starts_with("pub"));
    let (name, _) = words.get(at + 1)?.split_once(['(', '<'])?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (declares && is_name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{cases_of, function_on};

    #[test]
    fn functions_are_found_by_their_line() {
        assert_eq!(function_on("    fn one_two() {"), Some("one_two".to_owned()));
        assert_eq!(function_on("async fn three(x: u8) {"), Some("three".to_owned()));
        assert_eq!(function_on("pub(crate) async fn four() {"), Some("four".to_owned()));
        assert_eq!(function_on("pub async fn five<F: Fixture>() {"), Some("five".to_owned()));
        assert_eq!(function_on("// fn six() {"), None);
        assert_eq!(function_on("let f: fn(u8) = g;"), None);
    }

    #[test]
    fn a_test_names_its_cases_by_three_digits_each() {
        assert_eq!(cases_of("f012_the_disk_is_probed"), ["F012"]);
        assert_eq!(cases_of("f001_f108_within_budget_of_f003"), ["F001", "F108"]);
        assert_eq!(cases_of("f12_no"), [""; 0]);
        assert_eq!(cases_of("file_is_read"), [""; 0]);
    }
}
