//! Failures of the demo itself.

use std::io;
use std::path::{Path, PathBuf};

use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::chain;
use thiserror::Error;

/// A failure of the demo. The text names operation and object; the cause is the source.
#[derive(Debug, Error)]
pub enum Failure {
    /// An invalid command line that the parser cannot detect.
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
    /// The binaries could not be built.
    #[error("build the binaries that the demo starts: {0}")]
    Build(String),
    /// This machine lacks a requirement of the box, as reported by `vpcbox doctor`.
    #[error("this machine lacks a kernel feature that the VPC in a box needs:\n{0}")]
    Kernel(String),
    /// The box reported a failure.
    #[error("the VPC in a box: {0}")]
    Box(String),
    /// The registry failed or has unexpected contents.
    #[error("the registry of the demo: {0}")]
    Registry(String),
    /// A container or the member behaved unexpectedly.
    #[error("{0}")]
    Story(String),
    /// Standard output cannot be written.
    #[error("failed to write to standard output")]
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

    /// The exit of the process.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::File { .. } | Self::Output(_) => Exit::DiskRefused,
            Self::Kernel(_) => Exit::KernelRefused,
            Self::Process { .. }
            | Self::Build(_)
            | Self::Box(_)
            | Self::Registry(_)
            | Self::Story(_) => Exit::Internal,
        }
    }

    /// The failure and all its causes on one line.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

impl From<vpcbox::failure::Failure> for Failure {
    fn from(failure: vpcbox::failure::Failure) -> Self {
        Self::Box(failure.chain())
    }
}
