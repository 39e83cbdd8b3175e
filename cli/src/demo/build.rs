//! Builds the binaries that the demo starts, so that none of them is ever a stale one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::orders::Tools;
use crate::failure::Failure;

/// The packages, each with a binary of the same name.
const INIT: &str = "firecamp-initcontainer";
const STOP: &str = "firecamp-stopcontainer";
const VPCBOX: &str = "vpcbox";

/// File that Cargo leaves in each target directory.
const TARGET_MARK: &str = "CACHEDIR.TAG";

/// Where this binary was built, and how the others are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    firecamp: PathBuf,
    target_dir: Option<PathBuf>,
    triple: Option<String>,
    profile: String,
}

impl Layout {
    /// Builds go where this binary came from, in the same profile unless another one is wanted.
    pub(crate) fn of_this_binary(release: bool) -> Result<Self, Failure> {
        let firecamp = std::env::current_exe()
            .map_err(|e| Failure::process("find the path of", "this binary", e))?;
        let is_target = |dir: &Path| dir.join(TARGET_MARK).is_file();
        Ok(Self::of(&firecamp, release, is_target))
    }

    /// `TARGET/[TRIPLE/]PROFILE/firecamp`; anything else is left to Cargo.
    fn of(firecamp: &Path, release: bool, is_target: impl Fn(&Path) -> bool) -> Self {
        let mut parents = firecamp.ancestors().skip(1);
        let name = |dir: Option<&Path>| Some(dir?.file_name()?.to_str()?.to_owned());
        let own = parents.next();
        let (first, second) = (parents.next(), parents.next());
        let (target_dir, triple) = if first.is_some_and(&is_target) {
            (first, None)
        } else if second.is_some_and(&is_target) {
            (second, name(first))
        } else {
            (None, None)
        };
        let own = name(own).filter(|_| target_dir.is_some());
        let profile = if release { Some("release".to_owned()) } else { own };
        Self {
            firecamp: firecamp.to_owned(),
            target_dir: target_dir.map(Path::to_owned),
            triple,
            profile: profile.unwrap_or_else(|| "debug".to_owned()),
        }
    }

    /// `debug`, `release` or the name of another profile.
    pub(crate) fn build_name(&self) -> String {
        self.profile.clone()
    }

    fn arguments(&self) -> Vec<String> {
        // Cargo's development profile is the one whose directory has another name.
        let profile = if self.profile == "debug" { "dev" } else { &self.profile };
        let mut arguments = vec!["--profile".to_owned(), profile.to_owned()];
        if let Some(dir) = &self.target_dir {
            arguments.extend(["--target-dir".to_owned(), dir.display().to_string()]);
        }
        if let Some(triple) = &self.triple {
            arguments.extend(["--target".to_owned(), triple.clone()]);
        }
        arguments
    }
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
pub(crate) fn build(layout: &Layout) -> Result<Tools, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = manifest()?;
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(&manifest)
        .args(layout.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    for package in [INIT, STOP, VPCBOX] {
        command.args(["--package", package, "--bin", package]);
    }
    let name = cargo.to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|e| Failure::process("start", &name, e))?;
    let mut built = Vec::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line.map_err(|e| Failure::process("hear from", &name, e))?;
            built.extend(executable(&line));
        }
    }
    let status = child.wait().map_err(|e| Failure::process("wait for", &name, e))?;
    if !status.success() {
        return Err(Failure::Build(format!("{name} build: {status}; its own words are above")));
    }
    tools(layout, &built)
}

/// The workspace that this binary was built from.
fn manifest() -> Result<PathBuf, Failure> {
    let cli = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = cli.parent().unwrap_or(cli).join("Cargo.toml");
    if manifest.is_file() {
        return Ok(manifest);
    }
    let path = manifest.display();
    Err(Failure::Build(format!("the demo needs its source, and {path} is not there")))
}

fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Message = serde_json::from_str(line).ok()?;
    let wanted = message.reason == "compiler-artifact";
    Some((message.target?.name, message.executable?)).filter(|_| wanted)
}

fn tools(layout: &Layout, built: &[(String, PathBuf)]) -> Result<Tools, Failure> {
    let find = |wanted: &str| {
        let found = built.iter().find(|(name, _)| name == wanted);
        found
            .map(|(_, path)| path.clone())
            .ok_or_else(|| Failure::Build(format!("cargo did not say where it put {wanted}")))
    };
    Ok(Tools {
        init: find(INIT)?,
        stop: find(STOP)?,
        vpcbox: find(VPCBOX)?,
        firecamp: layout.firecamp.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(path: &str, release: bool) -> Layout {
        Layout::of(Path::new(path), release, |dir| dir == Path::new("/w/target"))
    }

    #[test]
    fn the_others_are_built_where_this_binary_was_and_as_it_was() {
        let dev = layout("/w/target/debug/firecamp", false);
        assert_eq!(dev.arguments(), ["--profile", "dev", "--target-dir", "/w/target"]);
        assert_eq!(dev.build_name(), "debug");
        let release = layout("/w/target/release/firecamp", false);
        assert_eq!(release.arguments(), ["--profile", "release", "--target-dir", "/w/target"]);
    }

    #[test]
    fn a_target_triple_is_kept() {
        let layout = layout("/w/target/x86_64-unknown-linux-gnu/release/firecamp", false);
        let expected = ["--profile", "release", "--target-dir", "/w/target", "--target"];
        assert_eq!(layout.arguments()[..5], expected);
        assert_eq!(layout.arguments()[5], "x86_64-unknown-linux-gnu");
    }

    #[test]
    fn release_is_built_if_it_is_asked_for() {
        assert_eq!(layout("/w/target/debug/firecamp", true).build_name(), "release");
    }

    #[test]
    fn a_binary_from_elsewhere_leaves_the_place_to_cargo() {
        assert_eq!(layout("/usr/local/bin/firecamp", false).arguments(), ["--profile", "dev"]);
    }

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
        let layout = layout("/w/target/debug/firecamp", false);
        let error = tools(&layout, &[]).unwrap_err().to_string();
        assert!(error.contains(INIT), "{error}");
    }
}
