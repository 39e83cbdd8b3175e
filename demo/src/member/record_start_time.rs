//! Records the time and executes another program, so that the time to start a container does not
//! count as the container's time.

use std::os::unix::process::CommandExt;
use std::process::Command;

use vpcbox::clock::Clock;

use crate::args::StartArguments;
use crate::failure::Failure;

/// Returns only if it fails.
pub(crate) fn run(arguments: &StartArguments) -> Failure {
    let StartArguments { mark, command } = arguments;
    let Some((program, rest)) = command.split_first() else {
        return Failure::Usage("no command was given".to_owned());
    };
    let mut command = Command::new(program);
    command.args(rest);
    let now_us = Clock::with_origin_ns(0).now_us();
    if let Err(source) = std::fs::write(mark, now_us.to_string()) {
        return Failure::file("write", mark, source);
    }
    let source = command.exec();
    Failure::process("start", program.to_string_lossy(), source)
}
