//! Builds binaries of this workspace for programs that start them (the demo, tests with real
//! binaries): `cargo run` and `cargo test` build no binaries of sibling packages, and one that
//! lies about may be stale. Cargo's own lock on its target directory makes builds side by side
//! wait for each other, and what is fresh is not built again.

mod layout;

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

pub use layout::Layout;

/// The packages that are built, each with a binary of the same name.
const INIT: &str = "firecamp-initcontainer";
const STOP: &str = "firecamp-stopcontainer";
const AGENT: &str = "firecamp-agent";
const VPCBOX: &str = "vpcbox";
/// The package of the command, and its binary.
const CLI: [&str; 2] = ["firecamp-cli", "firecamp"];

/// Why there are no binaries.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BuildError {
    /// The calling process does not know where it is.
    #[error("find the path of this program: {0}")]
    Ourselves(String),
    /// There is no workspace to build from.
    #[error("building needs the source, and {} is not there", .0.display())]
    NoSource(PathBuf),
    /// Cargo could not be run.
    #[error("run {cargo}: {why}")]
    Cargo {
        /// What was run.
        cargo: String,
        /// Why it failed.
        why: String,
    },
    /// Cargo refused; its own words were on standard error.
    #[error("{cargo} build ended with {status}; its own words are above")]
    Failed {
        /// What was run.
        cargo: String,
        /// How it ended.
        status: String,
    },
    /// Cargo built, and did not tell what.
    #[error("cargo did not say where it put {0}")]
    Unnamed(&'static str),
}

/// Binaries that were just found fresh or built.
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

/// The binaries in the place and profile of the calling program, built once in its life.
pub fn binaries() -> Result<&'static Binaries, BuildError> {
    static BUILT: OnceLock<Result<Binaries, BuildError>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(&Layout::of_this_process(None)?));
    built.as_ref().map_err(Clone::clone)
}

/// The `firecamp` command, in the place and profile of the calling program, built once in its life.
pub fn command() -> Result<&'static Path, BuildError> {
    static BUILT: OnceLock<Result<PathBuf, BuildError>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let built = built(&Layout::of_this_process(None)?, &[CLI])?;
        find(&built, CLI[1])
    });
    built.as_deref().map_err(Clone::clone)
}

/// The fields of Cargo's messages that matter here.
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

/// Builds everything; Cargo shows its progress itself.
pub fn build(layout: &Layout) -> Result<Binaries, BuildError> {
    chosen(&built(layout, &[INIT, STOP, AGENT, VPCBOX].map(|name| [name, name]))?)
}

/// Builds these, each a package and its binary, and says where each binary is.
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
    // In debug builds the same selection of packages, and so of features, as `cargo test`: the
    // AWS SDK, which is most of a cold build, is built once for both.
    let whole = layout.profile() == "debug";
    if whole {
        command.arg("--workspace");
    }
    for [package, binary] in wanted {
        if !whole {
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

/// What Cargo told us about our own package: build scripts that look at it would run again.
fn is_ours(variable: &str) -> bool {
    const EXACT: [&str; 3] = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR"];
    const FAMILIES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    EXACT.contains(&variable) || FAMILIES.iter().any(|family| variable.starts_with(family))
}

/// The workspace that this crate was built from.
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
    found.map(|(_, path)| path.clone()).ok_or(BuildError::Unnamed(wanted))
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
    fn only_artifacts_with_an_executable_count() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"vpcbox"},
            "executable":"/w/target/debug/vpcbox","fresh":true}"#;
        let found = ("vpcbox".to_owned(), PathBuf::from("/w/target/debug/vpcbox"));
        assert_eq!(executable(line), Some(found));
        let line = r#"{"reason":"compiler-artifact","target":{"name":"vpcbox"},"executable":null}"#;
        assert_eq!(executable(line), None);
        assert_eq!(executable("warning: not JSON"), None);
    }

    #[test]
    fn a_binary_that_cargo_did_not_name_is_an_error_and_no_guess() {
        let error = chosen(&[]).unwrap_err().to_string();
        assert!(error.contains(INIT), "{error}");
    }

    #[test]
    fn what_cargo_said_about_the_caller_is_not_passed_on() {
        assert!(is_ours("CARGO_PKG_NAME") && is_ours("CARGO_MANIFEST_DIR"));
        assert!(!is_ours("CARGO_HOME") && !is_ours("CARGO_TARGET_DIR") && !is_ours("RUSTFLAGS"));
    }
}
