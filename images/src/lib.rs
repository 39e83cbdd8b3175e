//! Builds the contents and the archives of the container images without a container engine.
//!
//! An image is a root filesystem ([`root_filesystem`]) with metadata ([`spec`]). Both are the same
//! whether [`archive`] or an engine with `images/Dockerfile` packs them.

pub mod archive;
pub mod make;
pub mod root_filesystem;
pub mod sbom;
pub mod spec;
mod static_binary;
pub mod verify;

use std::path::PathBuf;

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file or a program failed.
    #[error("{what}: {why}")]
    Io {
        /// The file or program.
        what: String,
        /// The cause.
        why: std::io::Error,
    },
    /// Unexpected output of cargo.
    #[error("cargo: {0}")]
    Cargo(String),
    /// The program needs libraries that are not in the image.
    #[error("{} is linked dynamically, but the image contains no libraries", .0.display())]
    Dynamic(PathBuf),
    /// An archive is invalid.
    #[error("{0}")]
    Malformed(String),
}

impl Fault {
    pub(crate) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |why| Self::Io { what: what.to_string(), why }
    }

    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}
