//! Conformance of the simulator with EC2 and IMDS, tested with the real AWS SDK.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

#[path = "conformance/assign.rs"]
mod assign;
#[path = "conformance/clock.rs"]
mod clock;
#[path = "conformance/creation.rs"]
mod creation;
#[path = "conformance/describe.rs"]
mod describe;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/harness.rs"]
mod harness;
#[path = "conformance/metadata.rs"]
mod metadata;
#[path = "conformance/modify.rs"]
mod modify;
#[path = "conformance/protocol.rs"]
mod protocol;
#[path = "conformance/table.rs"]
mod table;
#[path = "conformance/timing.rs"]
mod timing;
#[path = "conformance/unassign.rs"]
mod unassign;
#[path = "conformance/verbs.rs"]
mod verbs;
