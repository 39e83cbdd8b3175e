//! The part of the demo outside the box: builds the binaries, checks the machine, and becomes the
//! box: this process itself becomes `vpcbox run`, so any signal that terminates it terminates
//! everything.

use std::io::{Write, pipe};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::args::DemoArguments;
use crate::config::DemoConfig;
use crate::failure::Failure;
use crate::{build, fixture, replay};

/// Directories that a box does not share with the machine.
const PRIVATE: [&str; 2] = ["/run", "/proc"];

/// Runs or replays a demo. Returns the exit code of the run.
pub(crate) fn run(arguments: &DemoArguments) -> Result<u8, Failure> {
    let report = arguments.report.as_deref().map(report_file).transpose()?;
    if let Some(recorded) = &arguments.replay {
        return replay::run(recorded, arguments, report.as_deref());
    }
    let (build, tools) = build::build(arguments.release)?;
    let keep = arguments
        .keep
        .then(|| std::env::temp_dir().join(format!("firecamp-demo-{}", std::process::id())));
    let config = DemoConfig {
        profile: arguments.profile,
        seed: arguments.seed,
        json: arguments.json,
        no_color: arguments.no_color,
        report,
        keep,
        build,
        tools,
    };
    Err(become_the_box(&config))
}

/// Checks before the run whether the report can be written.
fn report_file(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path).map_err(|source| Failure::file("find", path, source))?;
    refuse_private_places(&path)?;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|source| Failure::file("write", &path, source))?;
    Ok(path)
}

/// Returns only if it fails.
fn become_the_box(config: &DemoConfig) -> Failure {
    match prepare(config) {
        Ok(mut command) => {
            let source = command.exec();
            Failure::process("start", config.tools.vpcbox.display().to_string(), source)
        }
        Err(failure) => failure,
    }
}

fn prepare(config: &DemoConfig) -> Result<Command, Failure> {
    let tools = &config.tools;
    for path in [&tools.init, &tools.stop, &tools.agent, &tools.vpcbox, &tools.demo] {
        refuse_private_places(path)?;
    }
    examine(&tools.vpcbox)?;
    let failed = |e| Failure::process("hand the spec to", "the box", e);
    let (reader, mut writer) = pipe().map_err(failed)?;
    // The spec fits in a pipe buffer, so the write does not block.
    writer.write_all(fixture::SPEC.as_bytes()).map_err(failed)?;
    drop(writer);
    let text = serde_json::to_string(config).map_err(|e| failed(e.into()))?;
    let mut command = vpcbox_command(&tools.vpcbox);
    command
        .args(["run", "--spec", "-", "--profile", config.profile.as_str(), "--seed"])
        .arg(config.seed.to_string())
        .arg("--")
        .arg(&tools.demo)
        .arg("demo-inside")
        .arg(text)
        .stdin(Stdio::from(reader));
    Ok(command)
}

/// A `vpcbox` command without the user's `VPCBOX_` variables.
fn vpcbox_command(vpcbox: &Path) -> Command {
    let mut command = Command::new(vpcbox);
    for (key, _) in std::env::vars_os() {
        let text = key.to_string_lossy();
        if text.starts_with("VPCBOX_") && text != "VPCBOX_LOG" {
            command.env_remove(&key);
        }
    }
    command
}

/// Runs `vpcbox doctor`, which checks the requirements of a box.
fn examine(vpcbox: &Path) -> Result<(), Failure> {
    let output = vpcbox_command(vpcbox)
        .arg("doctor")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::process("start", vpcbox.display().to_string(), e))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Failure::Kernel(String::from_utf8_lossy(&text).trim_end().to_owned()))
}

/// Rejects directories that the box does not share: files there are invisible in the box or lost.
fn refuse_private_places(path: &Path) -> Result<(), Failure> {
    match PRIVATE.iter().find(|dir| path.starts_with(dir)) {
        None => Ok(()),
        Some(dir) => Err(Failure::Usage(format!(
            "{} cannot be used: a VPC in a box has its own {dir}; choose another directory",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_the_box_does_not_share_is_rejected() {
        assert!(refuse_private_places(Path::new("/home/me/demo.html")).is_ok());
        assert!(refuse_private_places(Path::new("/running/demo.html")).is_ok());
        let error = refuse_private_places(Path::new("/run/user/1000/demo.html")).unwrap_err();
        assert!(error.to_string().contains("/run"), "{error}");
    }

    /// A `vpcbox doctor` with this exit code.
    fn doctor(dir: &tempfile::TempDir, code: u8) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;

        let path = dir.path().join("vpcbox");
        std::fs::write(
            &path,
            format!("#!/bin/sh\necho missing veth: modprobe veth\nexit {code}\n"),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_missing_kernel_feature_is_reported_as_by_the_doctor() {
        let dir = tempfile::tempdir().unwrap();
        examine(&doctor(&dir, 0)).unwrap();
        let failure = examine(&doctor(&dir, 125)).unwrap_err();
        assert!(failure.to_string().contains("missing veth: modprobe veth"), "{failure}");
        assert_eq!(failure.exit().code(), 19);
    }

    #[test]
    fn the_spec_fits_in_a_pipe() {
        assert!(fixture::SPEC.len() < 4096);
    }
}
