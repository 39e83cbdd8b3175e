//! The protocol in the simulator, one module per area of the failure cases.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod bounds;
mod calm;
mod crash;
mod ec2;
mod fencing;
mod iam;
mod init;
mod interface_permissions;
mod interfaces;
mod registry;
mod stop;
mod storm;
mod together;
mod zone_return;
