//! Shared by init container, stop container and agent: configuration, log, signals, termination
//! messages.
//!
//! A `main` reads the configuration ([`start`]), runs the process ([`process`]) and ends with a
//! [`report::Report`]. This crate contains no protocol logic.
//!
//! With the feature `connect`, the module `connect` opens the registry of a URL. [`redact`] removes
//! secrets from the output of any FireCamp program.

pub mod agent_compatibility;
pub mod config;
mod config_errors;
#[cfg(feature = "connect")]
pub mod connect;
pub mod container_events;
pub mod documents;
pub mod endpoint;
pub mod flags;
mod go_flags;
pub mod outcome;
pub mod parse;
pub mod pod_identity;
pub mod preview;
pub mod process;
pub mod recent_log;
pub mod redact;
pub mod report;
pub mod require_mount;
mod signals;
pub mod start;
mod telemetry;
#[cfg(debug_assertions)]
mod version;
