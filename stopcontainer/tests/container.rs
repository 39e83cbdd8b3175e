//! Runs the stop container as a process: its configuration, its reports and its exit codes.

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
#[path = "../../lib/run/tests/support/http.rs"]
mod http;
#[path = "../../lib/run/tests/support/process.rs"]
mod process;
#[path = "../../lib/run/tests/support/records.rs"]
mod records;
#[path = "container/release.rs"]
mod release;
#[path = "container/signals.rs"]
mod signals;
#[path = "container/versions.rs"]
mod versions;

use process::Run;

const STOP: &str = env!("CARGO_BIN_EXE_firecamp-stopcontainer");

/// A stop container with a valid configuration and unreachable EC2 and IMDS.
fn stop() -> Run {
    Run::configured(STOP)
        .unset("FIRECAMP_CONF_DIR")
        .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .set("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:1")
        .set("AWS_REGION", "eu-west-1")
}
