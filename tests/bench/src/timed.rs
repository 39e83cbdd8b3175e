//! Runs a program and prints its time span and resource usage.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};

use nix::sys::ptrace::{self, Options};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use vpcbox::clock::Clock;

use crate::args::TimedArguments;
use crate::counter;
use crate::failure::Failure;
use crate::machine::field;

/// The memory of a process, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Its peak so far.
    pub(crate) peak: u64,
    /// What it has now that are not pages of files.
    pub(crate) anonymous: u64,
}

/// One run of a program. Times are microseconds of the machine's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRun {
    /// The time just before its start.
    pub(crate) began_us: u64,
    /// The time after its end.
    pub(crate) ended_us: u64,
    /// Its exit code; `None` after a signal.
    pub(crate) exit: Option<i32>,
    /// Its memory at its end; `None` if it may not be traced.
    pub(crate) memory: Option<Memory>,
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
    let child = command.spawn().map_err(Failure::of(&what))?;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let (exit, memory) = watch(pid).map_err(Failure::of(what))?;
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
        exit,
        memory,
        cpu_us: micros(usage.user_time()).saturating_add(micros(usage.system_time())),
        instructions,
    };
    let text = serde_json::to_string(&run).map_err(Failure::of("print"))?;
    writeln!(io::stdout(), "{text}").map_err(Failure::of("print"))?;
    let code = exit.and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Waits for a process; returns its exit code and its memory. That is read just before its end,
/// because the kernel's accounting after its end includes the program that executed it, which is
/// this one.
fn watch(pid: Pid) -> nix::Result<(Option<i32>, Option<Memory>)> {
    // It may have ended already.
    ptrace::seize(pid, Options::PTRACE_O_TRACEEXIT).ok();
    let mut at_end = None;
    loop {
        match waitpid(pid, None)? {
            WaitStatus::Exited(_, code) => return Ok((Some(code), at_end)),
            WaitStatus::Signaled(..) => return Ok((None, at_end)),
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal)?,
            WaitStatus::PtraceEvent(..) => {
                at_end = memory(pid);
                ptrace::cont(pid, None)?;
            }
            WaitStatus::PtraceSyscall(_) | WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
        }
    }
}

/// The memory of a process so far.
pub(crate) fn memory(pid: Pid) -> Option<Memory> {
    let kib = |name: &str| {
        let text = field(&format!("/proc/{pid}/status"), name)?;
        text.split_whitespace().next()?.parse().ok()
    };
    Some(Memory { peak: kib("VmHWM")?, anonymous: kib("RssAnon")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_that_of_the_program_and_not_of_the_one_that_started_it() {
        // The memory of this process is its own peak.
        let own = vec![1_u8; 64 << 20];
        let mut child = Command::new("sleep").arg("0.2").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let (exit, memory) = watch(pid).unwrap();
        assert_eq!((exit, own.len()), (Some(0), 64 << 20));
        assert!(child.wait().is_err(), "it has been waited for");
        let Memory { peak, anonymous } = memory.unwrap();
        assert!((100..32 << 10).contains(&peak), "{peak} KiB");
        assert!((1..peak).contains(&anonymous), "{anonymous} of {peak} KiB");
    }
}
