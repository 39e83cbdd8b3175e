//! What can go wrong in the demo itself.

use std::io;
use std::path::{Path, PathBuf};

use firecamp_core::contract::exit::Exit;
use thiserror::Error;

/// A failure of the demo. The text says what was attempted on what; the cause is the source.
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
    /// The binaries could not be built.
    #[error("build the binaries that the demo starts: {0}")]
    Build(String),
    /// This machine lacks something that the box needs; the doctor has said what.
    #[error("this machine lacks a kernel feature that the VPC in a box needs:\n{0}")]
    Kernel(String),
    /// The box refused or failed.
    #[error("the VPC in a box: {0}")]
    Box(String),
    /// The registry refused or holds something unexpected.
    #[error("the registry of the demo: {0}")]
    Registry(String),
    /// A container or the member did not do what it had to.
    #[error("{0}")]
    Story(String),
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
            Self::Kernel(_) => Exit::KernelRefused,
            Self::Process { .. }
            | Self::Build(_)
            | Self::Box(_)
            | Self::Registry(_)
            | Self::Story(_) => Exit::Internal,
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

impl From<vpcbox::failure::Failure> for Failure {
    fn from(failure: vpcbox::failure::Failure) -> Self {
        Self::Box(failure.chain())
    }
}
