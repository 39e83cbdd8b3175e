//! Checks of the repository: whether sources, tables, manifests and documents agree.
//!
//! * [`tidy`]: size limits, and which package may depend on which.
//! * [`cases`]: the table of failure cases and the tests that it names.
//! * [`deploy`]: the files under `deploy`, compared with code and documents.
//! * `trace` (a feature): the trace of a real process, compared with the core.

pub mod cases;
pub mod deploy;
pub mod tidy;
#[cfg(feature = "trace")]
pub mod trace;
