//! Checks the machine and becomes the box. Because this process itself becomes `vpcbox run`,
//! ending it by any signal ends everything.

use std::io::{Write, pipe};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::orders::Orders;
use super::world;
use crate::failure::Failure;

/// Directories that a box does not share with the machine.
const PRIVATE: [&str; 2] = ["/run", "/proc"];

/// Returns only if it fails.
pub(crate) fn become_the_box(orders: &Orders) -> Failure {
    match prepare(orders) {
        Ok(mut command) => {
            let source = command.exec();
            Failure::process("start", orders.tools.vpcbox.display().to_string(), source)
        }
        Err(failure) => failure,
    }
}

fn prepare(orders: &Orders) -> Result<Command, Failure> {
    let tools = &orders.tools;
    for path in [&tools.init, &tools.stop, &tools.agent, &tools.vpcbox, &tools.demo] {
        refuse_private_places(path)?;
    }
    examine(&tools.vpcbox)?;
    let failed = |e| Failure::process("hand the spec to", "the box", e);
    let (reader, mut writer) = pipe().map_err(failed)?;
    // It fits in a pipe, so nobody needs to read yet.
    writer.write_all(world::SPEC.as_bytes()).map_err(failed)?;
    drop(writer);
    let text = serde_json::to_string(orders).map_err(|e| failed(e.into()))?;
    let mut command = foreign_to_the_user(&tools.vpcbox);
    command
        .args(["run", "--spec", "-", "--profile", orders.profile.as_str(), "--seed"])
        .arg(orders.seed.to_string())
        .arg("--")
        .arg(&tools.demo)
        .arg("demo-inside")
        .arg(text)
        .stdin(Stdio::from(reader));
    Ok(command)
}

/// A command of `vpcbox` that no variable of the user's changes.
fn foreign_to_the_user(vpcbox: &Path) -> Command {
    let mut command = Command::new(vpcbox);
    for (key, _) in std::env::vars_os() {
        let text = key.to_string_lossy();
        if text.starts_with("VPCBOX_") && text != "VPCBOX_LOG" {
            command.env_remove(&key);
        }
    }
    command
}

/// Asks the doctor, who tries what a box needs.
fn examine(vpcbox: &Path) -> Result<(), Failure> {
    let output = foreign_to_the_user(vpcbox)
        .arg("doctor")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::process("start", vpcbox.display().to_string(), e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Failure::Kernel(String::from_utf8_lossy(&said).trim_end().to_owned()))
}

/// A file there would be invisible in the box, or lost with it.
pub(crate) fn refuse_private_places(path: &Path) -> Result<(), Failure> {
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
    fn a_place_that_the_box_has_for_itself_is_refused() {
        assert!(refuse_private_places(Path::new("/home/me/demo.html")).is_ok());
        assert!(refuse_private_places(Path::new("/running/demo.html")).is_ok());
        let error = refuse_private_places(Path::new("/run/user/1000/demo.html")).unwrap_err();
        assert!(error.to_string().contains("/run"), "{error}");
    }

    /// A doctor that says this and ends so.
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
    fn a_missing_kernel_feature_is_told_in_the_doctors_words() {
        let dir = tempfile::tempdir().unwrap();
        examine(&doctor(&dir, 0)).unwrap();
        let failure = examine(&doctor(&dir, 125)).unwrap_err();
        assert!(failure.to_string().contains("missing veth: modprobe veth"), "{failure}");
        assert_eq!(failure.exit().code(), 19);
    }

    #[test]
    fn the_spec_fits_in_a_pipe() {
        assert!(world::SPEC.len() < 4096);
    }
}
