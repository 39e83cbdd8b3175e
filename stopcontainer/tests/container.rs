//! The stop container as a process: its configuration, its last words, its end.

#![expect(clippy::unwrap_used, reason = "a test that cannot run its process has failed")]

#[path = "container/configuration.rs"]
mod configuration;
#[path = "../../lib/run/tests/support/process.rs"]
mod process;
#[path = "container/signals.rs"]
mod signals;

const STOP: &str = env!("CARGO_BIN_EXE_firecamp-stopcontainer");
