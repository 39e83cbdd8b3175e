//! Failures of a box: what was attempted, on which object, why it failed, what to do.

use std::ffi::OsStr;
use std::io;

use thiserror::Error;

/// A failure of `vpcbox`. The message states the attempt and the object; the cause is the source.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command line, the spec or a value in them is wrong.
    #[error("{what}")]
    Usage {
        /// What is wrong, with the offending text.
        what: String,
        /// What to do.
        next: &'static str,
    },
    /// The kernel refused a system call.
    #[error("failed to {operation} {object}")]
    Kernel {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        object: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// Netlink refused a request.
    #[error("failed to {operation} {object}")]
    Netlink {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        object: String,
        /// The kernel's error.
        #[source]
        source: Box<rtnetlink::Error>,
    },
    /// The command could not be started in the box.
    #[error("failed to start {program:?}")]
    Command {
        /// The program, as given.
        program: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// The box refused a request.
    #[error("the box refused {request}: {reason}")]
    Refused {
        /// The request.
        request: String,
        /// The reason.
        reason: String,
    },
    /// The box is unreachable or does not speak the admin protocol.
    #[error("failed to reach the box at {socket}")]
    Unreachable {
        /// The admin socket.
        socket: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A condition did not become true in time.
    #[error("{what}: timed out after {seconds:.3} s; last observation: {last}")]
    TimedOut {
        /// The condition.
        what: String,
        /// The timeout.
        seconds: f64,
        /// The last observation.
        last: String,
    },
    /// A process of the box ended unexpectedly.
    #[error("{what}")]
    Died {
        /// Which process, and how it ended.
        what: String,
    },
}

impl Failure {
    /// Wraps the error of a system call.
    pub(crate) fn kernel(
        operation: &'static str,
        object: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Kernel { operation, object: object.into(), source: source.into() }
    }

    /// Wraps the error of a netlink request.
    pub(crate) fn netlink(
        operation: &'static str,
        object: impl Into<String>,
        source: rtnetlink::Error,
    ) -> Self {
        Self::Netlink { operation, object: object.into(), source: Box::new(source) }
    }

    /// A command that could not be started. If a directory of PATH is unreadable, the kernel
    /// reports "permission denied" for a program that does not exist: this reports "not found".
    pub(crate) fn command(program: &OsStr, source: io::Error) -> Self {
        let name = program.to_string_lossy().into_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let nowhere = || !std::env::split_paths(&path).any(|dir| dir.join(program).exists());
        let hidden =
            source.kind() == io::ErrorKind::PermissionDenied && !name.contains('/') && nowhere();
        let source = if hidden { io::ErrorKind::NotFound.into() } else { source };
        Self::Command { program: name, source }
    }

    /// The exit code, as documented in `vpcbox --help`.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage { .. } => exit::USAGE,
            Self::Refused { .. } => exit::REFUSED,
            Self::TimedOut { .. } => exit::TIMED_OUT,
            Self::Kernel { .. }
            | Self::Netlink { .. }
            | Self::Unreachable { .. }
            | Self::Died { .. } => exit::BOX,
            Self::Command { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                exit::NOT_FOUND
            }
            Self::Command { .. } => exit::CANNOT_EXECUTE,
        }
    }

    /// What the user can do next.
    pub fn next(&self) -> &str {
        match self {
            Self::Usage { next, .. } => next,
            Self::Kernel { .. } | Self::Netlink { .. } => {
                "run `vpcbox doctor`: it tests each kernel feature that a box needs and explains \
                 how to get a missing one"
            }
            Self::Command { .. } => "check the program's name, its PATH and its permissions",
            Self::Refused { .. } => {
                "`vpcbox truth` lists the nodes, clients, ENIs and addresses of the box; \
                 `vpcbox fault set --help` describes the faults"
            }
            Self::Unreachable { .. } => {
                "run this inside a box (`vpcbox run --spec FILE -- CMD`), or name a running box \
                 with --box PID, the process ID of its `vpcbox run`"
            }
            Self::TimedOut { .. } => {
                "check `vpcbox truth` and `vpcbox calls`, or increase the timeout"
            }
            Self::Died { .. } => "read what it printed before, then run it again",
        }
    }

    /// The error chain on one line, down to the root cause.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text
    }
}

/// Exit codes. Codes below 124 and above 127 may also come from the command.
pub mod exit {
    /// The box refused the request (no such node, address or fault).
    pub const REFUSED: u8 = 1;
    /// A flag, a variable or the spec is wrong.
    pub const USAGE: u8 = 2;
    /// `vpcbox wait`: the condition did not become true in time.
    pub const TIMED_OUT: u8 = 124;
    /// The box could not be started, reached or kept up.
    pub const BOX: u8 = 125;
    /// The command was found but could not be executed.
    pub const CANNOT_EXECUTE: u8 = 126;
    /// The command was not found.
    pub const NOT_FOUND: u8 = 127;
    /// Added to the number of the signal that ended the command.
    pub const SIGNAL_BASE: u8 = 128;
}
