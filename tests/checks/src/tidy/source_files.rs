//! The files of the repository that people write.

use std::io;
use std::path::{Path, PathBuf};

use crate::tidy::rust_tokens::Scan;

/// One file.
#[derive(Debug)]
pub struct Source {
    /// Relative to the repository.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Its tokens, if it is Rust.
    pub scan: Option<Scan>,
}

impl Source {
    /// The path as text.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether the whole file is test code.
    pub fn is_test(&self) -> bool {
        let in_tests = self.path.components().any(|part| part.as_os_str() == "tests");
        in_tests
            || self.path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"))
    }
}

/// All of them.
#[derive(Debug)]
pub struct Tree {
    /// In the order of their paths.
    pub sources: Vec<Source>,
}

/// Written by tools, or not ours.
const SKIPPED: [&str; 4] = [".git", "target", "Cargo.lock", "LICENSE"];

impl Tree {
    /// Reads the repository at `root`.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or is Rust that does not parse.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut paths = Vec::new();
        collect(root, &mut paths)?;
        paths.sort();
        let mut sources = Vec::new();
        for file in paths {
            // What is not text is not written by hand.
            let Ok(text) = String::from_utf8(std::fs::read(&file)?) else { continue };
            let path = file.strip_prefix(root).map_err(io::Error::other)?.to_owned();
            let rust = path.extension().is_some_and(|extension| extension == "rs");
            let scan = if rust { Some(scan(&path, &text)?) } else { None };
            sources.push(Source { path, text, scan });
        }
        Ok(Self { sources })
    }

    /// The Rust files with their tokens.
    pub fn rust(&self) -> impl Iterator<Item = (&Source, &Scan)> {
        self.sources.iter().filter_map(|source| Some((source, source.scan.as_ref()?)))
    }
}

fn scan(path: &Path, text: &str) -> io::Result<Scan> {
    let wrong = |error| io::Error::other(format!("{}: {error}", path.display()));
    Ok(Scan::of(text.parse().map_err(wrong)?))
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) || name.starts_with("target-") {
            continue;
        }
        if path.is_dir() {
            // So cargo marks a target directory, wherever that lies.
            if !path.join("CACHEDIR.TAG").exists() {
                collect(&path, paths)?;
            }
        } else if path.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}
