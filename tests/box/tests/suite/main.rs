//! The container binaries in a VPC in a box, with real netlink, the real SDK and real packets. The
//! tests run as root or as an ordinary user, and any number of them in parallel.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod agent;
mod agent_crashes;
mod agent_recovery;
mod bad_responses;
mod budget;
mod cluster;
mod drift;
mod dry_run;
mod exit_codes;
mod fencing;
mod frozen;
mod init_crashes;
mod leader;
mod migration;
mod minimal_image;
mod neighbours;
mod node_status;
mod repeat;
mod secondary;
mod stop_crashes;
mod support;
mod traces;
