//! Supervision of one child by a transparent parent: it forwards signals to the child, and exits as
//! the child does.

use std::io::{PipeWriter, Write};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::failure::{Failure, exit};

/// Signals that a parent forwards.
const FORWARDED: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// `si_code` of a signal that the kernel sent, for example for Ctrl-C at a terminal. The whole
/// foreground process group has already received it, including the command.
const FROM_KERNEL: i32 = 0x80;

/// How signals reach the child.
pub(crate) enum Forward {
    /// As a line in its control pipe: it is the first process of a box and forwards them.
    Pipe(PipeWriter),
    /// As the same signal.
    Kill,
}

/// Blocked and collected signals; create it before the child, so that no signal is lost.
pub(crate) struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Starts to collect. Children inherit the blocked set: see [`unblock`].
    pub(crate) fn collect() -> Result<Self, Failure> {
        let mut set: SigSet = FORWARDED.into_iter().collect();
        set.add(Signal::SIGCHLD);
        set.thread_block().map_err(|e| Failure::kernel("block", "signals", e))?;
        let fd = SignalFd::new(&set).map_err(|e| Failure::kernel("collect", "signals", e))?;
        Ok(Self { fd })
    }

    /// Waits until the child ends, and forwards signals meanwhile.
    pub(crate) fn wait_for(&self, child: Pid, mut forward: Forward) -> Result<WaitStatus, Failure> {
        loop {
            let status = waitpid(child, Some(WaitPidFlag::WNOHANG))
                .map_err(|e| Failure::kernel("wait for", format!("process {child}"), e))?;
            if status != WaitStatus::StillAlive {
                return Ok(status);
            }
            let info = self.fd.read_signal().map_err(|e| Failure::kernel("read", "signals", e))?;
            let Some(info) = info else { continue };
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            let Ok(signal) = Signal::try_from(number) else { continue };
            if signal != Signal::SIGCHLD && info.ssi_code != FROM_KERNEL {
                forward_signal(&mut forward, child, signal);
            }
        }
    }
}

fn forward_signal(forward: &mut Forward, child: Pid, signal: Signal) {
    // The next wait finds a child that has just ended.
    let outcome = match forward {
        Forward::Pipe(pipe) => writeln!(pipe, "{}", signal.as_str()).map_err(|e| e.to_string()),
        Forward::Kill => kill(child, signal).map_err(|e| e.to_string()),
    };
    if let Err(error) = outcome {
        tracing::debug!(%signal, %error, "the child has already ended");
    }
}

/// Resets the blocked set that a child of a supervisor inherits.
pub(crate) fn unblock() -> Result<(), Failure> {
    SigSet::all().thread_unblock().map_err(|e| Failure::kernel("unblock", "signals", e))
}

/// The exit code of a wait status, as in shells.
pub(crate) fn exit_code(status: WaitStatus) -> u8 {
    match status {
        WaitStatus::Exited(_, code) => u8::try_from(code).unwrap_or(exit::BOX),
        WaitStatus::Signaled(_, signal, _) => signal_code(signal),
        WaitStatus::Stopped(..)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(..)
        | WaitStatus::Continued(..)
        | WaitStatus::StillAlive => exit::BOX,
    }
}

fn signal_code(signal: Signal) -> u8 {
    u8::try_from(nix::libc::c_int::from(signal as i32)).map_or(exit::BOX, |n| exit::SIGNAL_BASE + n)
}
