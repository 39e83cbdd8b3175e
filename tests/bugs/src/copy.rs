//! A copy of the tree, in which one bug at a time is applied and built.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firecamp_bugs::catalogue::Bug;

use crate::Failure;

/// A copy of the files that git knows or would add, with a target directory of its own. Only files
/// that differ are written, so that cargo builds only what depends on them.
pub(crate) struct TreeCopy {
    tree: PathBuf,
    target: PathBuf,
}

impl TreeCopy {
    /// Makes or updates the copy of the current directory.
    pub(crate) fn update(dir: &Path) -> Result<Self, Failure> {
        let dir = std::path::absolute(dir)?;
        let copy = Self { tree: dir.join("tree"), target: dir.join("target") };
        let listed = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let mut kept = BTreeSet::new();
        for path in listed.split_terminator('\0').map(Path::new) {
            // Neither a link nor a file that was deleted.
            if path.symlink_metadata().is_ok_and(|found| found.is_file()) {
                write(&copy.tree.join(path), &std::fs::read(path)?)?;
                kept.insert(copy.tree.join(path));
            }
        }
        remove_others(&copy.tree, &kept)?;
        Ok(copy)
    }

    /// Builds the program that searches, or the tests that do, with a bug, and leaves the copy
    /// without it.
    pub(crate) fn build(&self, bug: Option<&Bug>, program: &Path) -> Result<(), Failure> {
        let files = bug.map(|bug| bug.patch.files.as_slice()).unwrap_or_default();
        let mut changed = Vec::new();
        for file in files {
            let path = self.tree.join(&file.path);
            let text = std::fs::read_to_string(&path)?;
            changed.push((path, file.apply(&text)?, text));
        }
        for (path, new, _old) in &changed {
            write(path, new.as_bytes())?;
        }
        let built = match bug.and_then(|bug| bug.expected.test.as_ref()) {
            None => self.search_program(),
            Some(test) => self.tests(&test.package),
        };
        for (path, _new, old) in &changed {
            write(path, old.as_bytes())?;
        }
        std::fs::copy(built?, program)?;
        Ok(())
    }

    fn search_program(&self) -> Result<PathBuf, Failure> {
        // Selects the package, so that the histories are built without the wire level.
        self.cargo(&["build", "--locked", "--quiet", "--package", "firecamp-bugs"])?;
        Ok(self.target.join("debug/firecamp-bugs"))
    }

    /// The tests in a package's library.
    fn tests(&self, package: &str) -> Result<PathBuf, Failure> {
        let format = "--message-format=json-render-diagnostics";
        let args = ["test", "--locked", "--quiet", "--no-run", format, "--package"];
        let chosen = match package.split_once('/') {
            Some((package, program)) => vec![package, "--test", program],
            None => vec![package, "--lib"],
        };
        let output = self.cargo(&[args.as_slice(), &chosen].concat())?;
        let program = |line: &str| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            message.get("executable")?.as_str().map(PathBuf::from)
        };
        output.lines().find_map(program).ok_or("cargo names no program with the tests".into())
    }

    /// The output of cargo.
    fn cargo(&self, args: &[&str]) -> Result<String, Failure> {
        let output = Command::new("cargo")
            .args(args)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            // A bug changes a few functions of many that are optimised.
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(format!("it does not build: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// The output of git in the current directory.
pub(crate) fn git(args: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git").args(args).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("git {} failed: {}", args.join(" "), text.trim_end()).into())
}

/// Writes a file whose content differs.
fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    if std::fs::read(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    Ok(std::fs::write(path, content)?)
}

fn remove_others(dir: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}
