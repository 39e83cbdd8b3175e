//! Records the time and executes another program, so that the time to start a container does not
//! count as the container's time.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use vpcbox::clock::Clock;

use super::drop_privileges::drop_privileges;
use crate::args::StartArguments;
use crate::failure::Failure;

/// Returns only if it fails.
pub(crate) fn run(arguments: &StartArguments) -> Failure {
    let StartArguments { mark, unprivileged, gate, command } = arguments;
    let Some((program, rest)) = command.split_first() else {
        return Failure::Usage("no command was given".to_owned());
    };
    let failed = |source| Failure::process("start", program.to_string_lossy(), source);
    // Opened as root: another user may not reach their directories.
    let mut written = match File::create(mark) {
        Ok(file) => file,
        Err(source) => return Failure::file("create", mark, source),
    };
    let open = || Ok((File::open(program)?, gate.as_ref().map(File::open).transpose()?));
    let (file, gate) = match open() {
        Ok(opened) => opened,
        Err(source) => return failed(source),
    };
    let mut command = Command::new(program);
    if *unprivileged {
        if let Err(failure) = drop_privileges() {
            return failure;
        }
        command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        command.arg0(program);
        // The box sets them for programs that use AWS.
        let of_aws = |key: &OsString| key.to_string_lossy().starts_with("AWS_");
        for key in std::env::vars_os().map(|(key, _)| key).filter(of_aws) {
            command.env_remove(key);
        }
    }
    if let Some(Err(source)) = gate.map(|gate| gate.lock_shared()) {
        return failed(source);
    }
    let now_us = Clock::with_origin_ns(0).now_us();
    if let Err(source) = write!(written, "{now_us}") {
        return Failure::file("write", mark, source);
    }
    failed(command.args(rest).exec())
}
