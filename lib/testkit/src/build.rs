//! Builds binaries of this workspace for programs that start them (the demo, tests with real
//! binaries). `cargo run` and `cargo test` build no binaries of sibling packages, and an existing
//! binary may be stale. Cargo's lock on its target directory serializes concurrent builds, and
//! up-to-date binaries are not built again.

mod layout;

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

pub use layout::Layout;

/// Packages to build, each with a binary of the same name.
const INIT: &str = "firecamp-initcontainer";
const STOP: &str = "firecamp-stopcontainer";
const AGENT: &str = "firecamp-agent";
const VPCBOX: &str = "vpcbox";
/// The package of the command, and its binary.
const CLI: [&str; 2] = ["firecamp-cli", "firecamp"];

/// Why the binaries are not available.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BuildError {
    /// The path of the running program is unknown.
    #[error("failed to find the path of this program: {0}")]
    CurrentExe(String),
    /// There is no source tree to build from.
    #[error("cannot build: the source file {} does not exist", .0.display())]
    NoSource(PathBuf),
    /// Cargo could not be started.
    #[error("failed to run {cargo}: {why}")]
    Cargo {
        /// The command.
        cargo: String,
        /// Why it failed.
        why: String,
    },
    /// Cargo failed; its messages are on standard error.
    #[error("{cargo} build failed with {status}; see its messages above")]
    Failed {
        /// The command.
        cargo: String,
        /// The exit status.
        status: String,
    },
    /// Cargo reported no path of a binary.
    #[error("cargo reported no path for the binary {0}")]
    NoArtifact(&'static str),
}

/// Binaries that are up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The init container.
    pub init: PathBuf,
    /// The stop container.
    pub stop: PathBuf,
    /// The agent.
    pub agent: PathBuf,
    /// The VPC in a box.
    pub vpcbox: PathBuf,
}

/// The binaries in the target directory and profile of the calling program, built once per process.
pub fn binaries() -> Result<&'static Binaries, BuildError> {
    static BUILT: OnceLock<Result<Binaries, BuildError>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(&Layout::of_this_process(None)?));
    built.as_ref().map_err(Clone::clone)
}

/// The `firecamp` command in the target directory and profile of the calling program, built once
/// per process.
pub fn command() -> Result<&'static Path, BuildError> {
    static BUILT: OnceLock<Result<PathBuf, BuildError>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let built = built(&Layout::of_this_process(None)?, &[CLI])?;
        find(&built, CLI[1])
    });
    built.as_deref().map_err(Clone::clone)
}

/// The relevant fields of Cargo's messages.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

/// Builds everything; Cargo prints its progress.
pub fn build(layout: &Layout) -> Result<Binaries, BuildError> {
    chosen(&built(layout, &[INIT, STOP, AGENT, VPCBOX].map(|name| [name, name]))?)
}

/// Builds these packages with their binaries, and returns the path of each binary.
fn built(layout: &Layout, wanted: &[[&str; 2]]) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let name = cargo.to_string_lossy().into_owned();
    let failed = |e: io::Error| BuildError::Cargo { cargo: name.clone(), why: e.to_string() };
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(manifest()?)
        .args(layout.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    // Debug builds select the same packages, and so the same features, as `cargo test`: the AWS
    // SDK, which is most of a cold build, is built once for both.
    let entire_workspace = layout.profile() == "debug";
    if entire_workspace {
        command.arg("--workspace");
    }
    for [package, binary] in wanted {
        if !entire_workspace {
            command.args(["--package", package]);
        }
        command.args(["--bin", binary]);
    }
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_str().is_some_and(is_ours)) {
        command.env_remove(key);
    }
    let mut child = command.spawn().map_err(failed)?;
    let mut built = Vec::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            built.extend(executable(&line.map_err(failed)?));
        }
    }
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(BuildError::Failed { cargo: name, status: status.to_string() });
    }
    Ok(built)
}

/// A variable that Cargo sets for the calling package: build scripts that read it would run again.
fn is_ours(variable: &str) -> bool {
    const EXACT: [&str; 3] = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR"];
    const FAMILIES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    EXACT.contains(&variable) || FAMILIES.iter().any(|family| variable.starts_with(family))
}

/// The workspace of this crate.
fn manifest() -> Result<PathBuf, BuildError> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = here.ancestors().nth(2).unwrap_or(here).join("Cargo.toml");
    if manifest.is_file() { Ok(manifest) } else { Err(BuildError::NoSource(manifest)) }
}

fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Message = serde_json::from_str(line).ok()?;
    let wanted = message.reason == "compiler-artifact";
    Some((message.target?.name, message.executable?)).filter(|_| wanted)
}

fn find(built: &[(String, PathBuf)], wanted: &'static str) -> Result<PathBuf, BuildError> {
    let found = built.iter().find(|(name, _)| name == wanted);
    found.map(|(_, path)| path.clone()).ok_or(BuildError::NoArtifact(wanted))
}

fn chosen(built: &[(String, PathBuf)]) -> Result<Binaries, BuildError> {
    Ok(Binaries {
        init: find(built, INIT)?,
        stop: find(built, STOP)?,
        agent: find(built, AGENT)?,
        vpcbox: find(built, VPCBOX)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_artifacts_with_an_executable_are_used() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"vpcbox"},
            "executable":"/w/target/debug/vpcbox","fresh":true}"#;
        let found = ("vpcbox".to_owned(), PathBuf::from("/w/target/debug/vpcbox"));
        assert_eq!(executable(line), Some(found));
        let line = r#"{"reason":"compiler-artifact","target":{"name":"vpcbox"},"executable":null}"#;
        assert_eq!(executable(line), None);
        assert_eq!(executable("warning: not JSON"), None);
    }

    #[test]
    fn a_binary_that_cargo_did_not_report_is_an_error() {
        let error = chosen(&[]).unwrap_err().to_string();
        assert!(error.contains(INIT), "{error}");
    }

    #[test]
    fn cargo_variables_of_the_caller_are_not_inherited() {
        assert!(is_ours("CARGO_PKG_NAME") && is_ours("CARGO_MANIFEST_DIR"));
        assert!(!is_ours("CARGO_HOME") && !is_ours("CARGO_TARGET_DIR") && !is_ours("RUSTFLAGS"));
    }
}
