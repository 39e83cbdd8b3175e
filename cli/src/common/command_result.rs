//! Results of read-only commands.

use firecamp_core::contract::exit::CheckExit;
use firecamp_core::failure::{RegistryFailure, RegistryKind};

use crate::failure::Failure;

/// The exit code of a read-only command.
pub type CheckResult = Result<CheckExit, Failure>;

/// An object that could not be read. It counts as unknown, never as absent or broken.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UnreadableObject {
    /// The object or query.
    pub what: String,
    /// Why it could not be read.
    pub why: String,
}

impl UnreadableObject {
    /// An object that could not be read, with the cause.
    pub fn new(what: impl Into<String>, why: &impl ToString) -> Self {
        Self { what: what.into(), why: why.to_string() }
    }
}

impl From<RegistryFailure> for Failure {
    fn from(failure: RegistryFailure) -> Self {
        let next = match failure.kind {
            RegistryKind::Unavailable => "check that you can reach it from here, then retry",
            RegistryKind::Refused => "check your permissions",
            RegistryKind::NotFound => {
                "check that --registry, --kubeconfig and --context select the right registry"
            }
            RegistryKind::Invalid => "repair the named object",
            RegistryKind::Conflict | RegistryKind::AlreadyExists => "retry",
        };
        Self::CheckExit { failure, next }
    }
}
