//! What is in the container images, and the archives of them, made without an engine.
//!
//! An image is a root filesystem ([`root`]) and what a runtime has to know of it ([`spec`]). Both
//! are the same whoever packs them: [`archive`] here, or an engine by `images/Dockerfile`.

pub mod archive;
pub mod check;
pub mod make;
pub mod root;
pub mod sbom;
pub mod spec;

use std::path::PathBuf;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file or a program.
    #[error("{what}: {why}")]
    Io {
        /// What was to be read, written or run.
        what: String,
        /// Why it could not be.
        why: std::io::Error,
    },
    /// Cargo told something that is not understood.
    #[error("cargo: {0}")]
    Cargo(String),
    /// The program would need files that the image has not.
    #[error("{} is linked dynamically: an image has no libraries", .0.display())]
    Dynamic(PathBuf),
    /// An archive is not what it must be.
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
