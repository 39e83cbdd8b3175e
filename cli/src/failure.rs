//! What can go wrong in the command itself.

use std::io;
use std::path::{Path, PathBuf};

use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::RegistryFailure;
use thiserror::Error;

/// A failure of the command. The text says what was attempted on what; the cause is the source.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command line is wrong in a way that the parser cannot see.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{operation} {}", path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A process cannot be started, or its pipes fail.
    #[error("{operation} {object}")]
    Process {
        /// What was attempted.
        operation: &'static str,
        /// On which process.
        object: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The node's kernel or a lock of it refused.
    #[error("{why}: was it run as root, in the node's own network namespace?")]
    Node {
        /// What refused, and why.
        why: String,
    },
    /// What was to be looked at cannot be.
    #[error("{failure}: {next}")]
    Look {
        /// What was asked of what, and why there is no answer.
        failure: RegistryFailure,
        /// What to do.
        next: &'static str,
    },
    /// An agent does not tell what is on its node.
    #[error(
        "{what}: {why}: does an agent run on this machine? `firecamp node NODE` asks the cluster"
    )]
    Agent {
        /// What was asked of which agent.
        what: String,
        /// Why there is no answer.
        why: String,
    },
    /// What was found cannot be shown in the form that was asked for.
    #[error("show what was found: {why}")]
    Show {
        /// Why.
        why: String,
    },
    /// Nobody reads what is printed any more.
    #[error("write to standard output")]
    Output(#[source] io::Error),
}

impl Failure {
    /// A file cannot be read or written.
    pub fn file(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { operation, path: path.to_owned(), source }
    }

    /// A process cannot be started, or its pipes fail.
    pub fn process(
        operation: &'static str,
        object: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Process { operation, object: object.into(), source: source.into() }
    }

    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::File { .. } | Self::Output(_) => Exit::DiskRefused,
            Self::Node { .. } => Exit::KernelRefused,
            Self::Agent { .. } => Exit::RegistryUnavailable,
            Self::Look { failure, .. } => failure.kind.exit(),
            Self::Process { .. } | Self::Show { .. } => Exit::Internal,
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
