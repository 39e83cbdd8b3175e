//! Failures of the command itself.

use std::io;
use std::path::{Path, PathBuf};

use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{CloudFailure, RegistryFailure, chain};
use thiserror::Error;

/// A failure of the command. The text names operation and object; the cause is the source.
#[derive(Debug, Error)]
pub enum Failure {
    /// An invalid command line that the parser cannot detect.
    #[error("{0}")]
    Usage(String),
    /// A file operation failed.
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
    /// A process operation failed.
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
    /// The node's kernel or a node-local lock rejected an operation.
    #[error("{why}: run this command as root, in the node's own network namespace")]
    Node {
        /// Operation and cause.
        why: String,
    },
    /// The registry could not be read or written.
    #[error("{failure}: {next}")]
    CheckExit {
        /// The failed request.
        failure: RegistryFailure,
        /// What to do.
        next: &'static str,
    },
    /// EC2 or the metadata service did not do what the command cannot do without.
    #[error("{failure}: {next}")]
    Cloud {
        /// The failed call.
        failure: CloudFailure,
        /// What to do.
        next: &'static str,
    },
    /// An agent's page could not be read.
    #[error(
        "{what}: {why}: check that an agent runs on this machine; `firecamp node NODE` shows what \
         the agent of NODE has published in the cluster"
    )]
    Agent {
        /// The request and the agent.
        what: String,
        /// Why it failed.
        why: String,
    },
    /// The result cannot be printed in the requested format.
    #[error("failed to print the result as JSON or YAML: {why}")]
    Show {
        /// Why.
        why: String,
    },
    /// Standard output cannot be written.
    #[error("failed to write to standard output")]
    Output(#[source] io::Error),
}

impl Failure {
    /// A failed file operation.
    pub fn file(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { operation, path: path.to_owned(), source }
    }

    /// A failed process operation.
    pub fn process(
        operation: &'static str,
        object: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Process { operation, object: object.into(), source: source.into() }
    }

    /// The exit of the process.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::File { .. } | Self::Output(_) => Exit::DiskRefused,
            Self::Node { .. } => Exit::KernelRefused,
            Self::Agent { .. } => Exit::RegistryUnavailable,
            Self::CheckExit { failure, .. } => failure.kind.exit(),
            Self::Cloud { .. } => Exit::CloudRefused,
            Self::Process { .. } | Self::Show { .. } => Exit::Internal,
        }
    }

    /// The failure and all its causes on one line.
    pub fn chain(&self) -> String {
        chain(self)
    }
}
