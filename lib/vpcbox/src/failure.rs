//! What can go wrong in a box, for people: what was tried, on what, why it failed, what to do.

use std::ffi::OsStr;
use std::io;

use thiserror::Error;

/// Every failure of `vpcbox`. The text says what was attempted on what; the cause is the source.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command line, the spec or a value in them is wrong.
    #[error("{what}")]
    Usage {
        /// What is wrong, with the offending text.
        what: String,
        /// What to do about it.
        next: &'static str,
    },
    /// The kernel refused something that the box is made of.
    #[error("{operation} {object}")]
    Kernel {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        object: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Netlink refused a link, an address, a neighbour or a route.
    #[error("{operation} {object}")]
    Netlink {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        object: String,
        /// What the kernel said.
        #[source]
        source: Box<rtnetlink::Error>,
    },
    /// The command that was to run in the box could not be started.
    #[error("start {program:?}")]
    Command {
        /// The program as it was given.
        program: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The box understood the question and says no.
    #[error("the box refused {request}: {reason}")]
    Refused {
        /// What was asked.
        request: String,
        /// Why it says no.
        reason: String,
    },
    /// The box cannot be reached or does not speak our protocol.
    #[error("talk to the box at {socket}")]
    Unreachable {
        /// The admin socket.
        socket: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A condition did not come true in time.
    #[error("{what}: not within {seconds:.3} s; at last: {last}")]
    TimedOut {
        /// The condition.
        what: String,
        /// How long it was waited for.
        seconds: f64,
        /// What was seen last.
        last: String,
    },
    /// A process of the box ended on its own.
    #[error("{what}")]
    Died {
        /// Which one, and how.
        what: String,
    },
}

impl Failure {
    /// Wraps what the kernel said to a system call.
    pub(crate) fn kernel(
        operation: &'static str,
        object: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Kernel { operation, object: object.into(), source: source.into() }
    }

    /// Wraps what the kernel said to a netlink request.
    pub(crate) fn netlink(
        operation: &'static str,
        object: impl Into<String>,
        source: rtnetlink::Error,
    ) -> Self {
        Self::Netlink { operation, object: object.into(), source: Box::new(source) }
    }

    /// A command that could not be started. A directory of PATH that may not be read makes the
    /// kernel say "permission denied" for a program that is nowhere: that is "not found".
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

    /// What a person can do next.
    pub fn next(&self) -> &str {
        match self {
            Self::Usage { next, .. } => next,
            Self::Kernel { .. } | Self::Netlink { .. } => {
                "run `vpcbox doctor`: it tries each kernel feature that a box needs and says how \
                 to get a missing one"
            }
            Self::Command { .. } => "check the program's name, its PATH and its permissions",
            Self::Refused { .. } => {
                "`vpcbox truth` lists the nodes, clients, ENIs and addresses of the box; \
                 `vpcbox fault set --help` the faults"
            }
            Self::Unreachable { .. } => {
                "run this inside a box (`vpcbox run --spec FILE -- CMD`), or name a running box \
                 with --box PID, PID being that of its `vpcbox run`"
            }
            Self::TimedOut { .. } => "look at `vpcbox truth` and `vpcbox calls`, or wait longer",
            Self::Died { .. } => "look at what it printed before; run it again",
        }
    }

    /// The whole chain on one line, from what was attempted to the last cause.
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

/// Exit codes. Below 124 and above 127 they may also be those of the command that was run.
pub mod exit {
    /// The box refused the question (no such node, address or fault).
    pub const REFUSED: u8 = 1;
    /// A flag, a variable or the spec is wrong.
    pub const USAGE: u8 = 2;
    /// `vpcbox wait`: the condition did not come true in time.
    pub const TIMED_OUT: u8 = 124;
    /// The box could not be made, reached or kept up.
    pub const BOX: u8 = 125;
    /// The command was found but could not be executed.
    pub const CANNOT_EXECUTE: u8 = 126;
    /// The command was not found.
    pub const NOT_FOUND: u8 = 127;
    /// Added to the number of the signal that ended the command.
    pub const SIGNAL_BASE: u8 = 128;
}
