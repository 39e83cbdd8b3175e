//! What both containers share at their edges: configuration, telemetry, signals, last words.
//!
//! A container's `main` reads its configuration ([`start`]), lives its life ([`process`]) and
//! ends with a [`report::Report`]. Nothing of the protocol is in here.
//!
//! With the feature `connect`, `connect` opens the registry that a URL names, a cluster's too;
//! [`redact`] takes secrets out of what any program of ours shows or packs.

mod args;
pub mod config;
#[cfg(feature = "connect")]
pub mod connect;
pub mod documents;
mod fault;
pub mod flags;
pub mod mount;
pub mod notice;
pub mod outcome;
pub mod parse;
pub mod pod;
pub mod preview;
pub mod process;
pub mod protocol;
pub mod recent;
pub mod redact;
pub mod report;
mod signals;
pub mod start;
mod telemetry;
#[cfg(debug_assertions)]
mod version;
