//! What holds the repository itself: its sources, tables and files against each other.
//!
//! * [`tidy`]: the house numbers, and which package may depend on which.
//! * [`cases`]: the table of failure cases, against the tests that it names.
//! * [`deploy`]: what is under `deploy`, against code and documents.
//! * `trace`, with the feature of this name: what a real binary did, against the core.

pub mod cases;
pub mod deploy;
pub mod tidy;
#[cfg(feature = "trace")]
pub mod trace;
