//! The containers as they are shipped, in a VPC in a box: real binaries, real netlink, the real
//! SDK and real packets. Tests work as root and as an ordinary user, any number side by side.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod again;
mod agent;
mod alone;
mod budget;
mod cluster;
mod crashes;
mod dry;
mod ends;
mod executions;
mod fencing;
mod frozen;
mod hostile;
mod jailed;
mod leader;
mod migration;
mod published;
mod releases;
mod robbed;
mod secondary;
mod support;
mod traces;
