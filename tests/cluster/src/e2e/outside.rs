//! Other programs.

use std::process::Command;

use crate::{Outcome, failed};

/// What a program prints that succeeds.
pub(super) fn said(command: &mut Command) -> Outcome<String> {
    let what = format!("{command:?}");
    let ended = command.output().map_err(failed(&what))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    Err(format!("{what}: {}", String::from_utf8_lossy(&ended.stderr)))
}
