//! `firecamp verify-ec2` against the strict simulator, through the real SDK and the wire protocol.
//! This proves the program, not EC2.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod binary;
mod cleaned_up;
mod facts;
mod permissions;
mod vpc;
mod wrong_ec2;
