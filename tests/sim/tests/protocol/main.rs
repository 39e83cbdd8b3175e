//! The protocol in the simulator, one module per area of the failure cases.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod bounds;
mod calm;
mod crash;
mod ec2;
mod fencing;
mod iam;
mod init;
mod registry;
mod stop;
mod storm;
