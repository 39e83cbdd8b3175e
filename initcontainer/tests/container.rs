//! Runs the init container as a process: its configuration, its reports and its exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot run its process or read its report has failed"
)]

#[path = "../../lib/run/tests/support/agent.rs"]
mod agent;
#[path = "container/configuration.rs"]
mod configuration;
#[path = "container/endpoint.rs"]
mod endpoint;
#[path = "container/ends.rs"]
mod ends;
#[path = "../../lib/run/tests/support/http.rs"]
mod http;
#[path = "container/node.rs"]
mod node;
#[path = "../../lib/run/tests/support/process.rs"]
mod process;
#[path = "../../lib/run/tests/support/records.rs"]
mod records;
#[path = "container/versions.rs"]
mod versions;

const INIT: &str = env!("CARGO_BIN_EXE_firecamp-initcontainer");
