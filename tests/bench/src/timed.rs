//! Runs a program and prints its time span and resource usage.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use vpcbox::clock::Clock;

use crate::args::TimedArguments;
use crate::counter;
use crate::failure::Failure;

/// One run of a program. Times are microseconds of the machine's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRun {
    /// The time just before its start.
    pub(crate) began_us: u64,
    /// The time after its end.
    pub(crate) ended_us: u64,
    /// Its exit code; `None` after a signal.
    pub(crate) exit: Option<i32>,
    /// Its peak memory.
    pub(crate) peak_kib: u64,
    /// Its CPU time in user and kernel mode.
    pub(crate) cpu_us: u64,
    /// Its instructions in user mode, if the machine counts them.
    pub(crate) instructions: Option<u64>,
}

/// Prints the [`ProcessRun`] of the program and exits with its code. Discards the program's
/// standard output.
pub(crate) fn run(arguments: &TimedArguments) -> Result<ExitCode, Failure> {
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::new("no program was given"));
    };
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).stdout(Stdio::null());
    let clock = Clock::with_origin_ns(0);
    let counter = counter::start();
    let began_us = clock.now_us();
    let what = format!("run {}", program.to_string_lossy());
    let status = command.status().map_err(Failure::of(what))?;
    let ended_us = clock.now_us();
    let instructions = counter.and_then(counter::read);
    let usage =
        getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Failure::of("read its resource usage"))?;
    let micros = |time: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_usec()).unwrap_or(0))
    };
    let run = ProcessRun {
        began_us,
        ended_us,
        exit: status.code(),
        peak_kib: u64::try_from(usage.max_rss()).unwrap_or(0),
        cpu_us: micros(usage.user_time()).saturating_add(micros(usage.system_time())),
        instructions,
    };
    let text = serde_json::to_string(&run).map_err(Failure::of("print"))?;
    writeln!(io::stdout(), "{text}").map_err(Failure::of("print"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
