//! Constructors for the failures that the registries report.

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};

/// A failure of a request that changed nothing.
pub(crate) fn failed(kind: RegistryKind, detail: impl Into<String>) -> RegistryFailure {
    RegistryFailure { kind, effect: Effect::None, detail: detail.into() }
}

/// A failure of a request that may have changed something.
pub(crate) fn in_doubt(kind: RegistryKind, detail: impl Into<String>) -> RegistryFailure {
    RegistryFailure { kind, effect: Effect::Unknown, detail: detail.into() }
}
