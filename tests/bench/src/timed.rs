//! Runs a program to its end and tells when it ran and what it cost.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use vpcbox::clock::Clock;

use crate::args::TimedArguments;
use crate::counter;
use crate::failure::Failure;

/// A program's life. Times are microseconds of the machine's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRun {
    /// Just before it was started.
    pub(crate) began_us: u64,
    /// When it was gone.
    pub(crate) ended_us: u64,
    /// Its exit code; none after a signal.
    pub(crate) exit: Option<i32>,
    /// The most memory that it had.
    pub(crate) peak_kib: u64,
    /// The processor time that it took, in user and kernel mode.
    pub(crate) cpu_us: u64,
    /// The instructions that it retired in user mode, where they are counted.
    pub(crate) instructions: Option<u64>,
}

/// Prints the [`ProcessRun`] of the program and ends as it ended. What the program itself prints
/// on standard output is lost.
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
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Failure::of("ask what it cost"))?;
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
