//! How a look ends.

use firecamp_core::contract::exit::Look;
use firecamp_core::failure::{RegistryFailure, RegistryKind};

use crate::failure::Failure;

/// What a look has found: its exit code.
pub type Ended = Result<Look, Failure>;

/// Something that could not be asked. It is unknown, never absent and never broken.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unread {
    /// Which object or question.
    pub what: String,
    /// Why there is no answer.
    pub why: String,
}

impl Unread {
    /// Something that could not be asked.
    pub fn new(what: impl Into<String>, why: &impl ToString) -> Self {
        Self { what: what.into(), why: why.to_string() }
    }
}

impl From<RegistryFailure> for Failure {
    fn from(failure: RegistryFailure) -> Self {
        let next = match failure.kind {
            RegistryKind::Unavailable => "check that it can be reached from here, then try again",
            RegistryKind::Refused => "check your rights",
            RegistryKind::NotFound => {
                "check --registry, --kubeconfig and --context: is it the right directory or cluster?"
            }
            RegistryKind::Invalid => "repair the object that is named",
            RegistryKind::Conflict | RegistryKind::AlreadyExists => "try again",
        };
        Self::Look { failure, next }
    }
}
