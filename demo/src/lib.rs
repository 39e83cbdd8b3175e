//! The demo: a member that keeps its address, in a VPC in a box, with real packets.
//! `docs/development/demo.md` explains what it shows and how it measures.
//!
//! The benchmark (`tests/bench`) shares the code that observes a client, measures processes and
//! analyzes the times. None of this is part of the `firecamp` command.

mod agents;
mod agreement;
pub mod api_in_box;
pub mod args;
mod build;
mod cluster;
mod config;
mod dispatch;
mod environment;
pub mod event;
pub mod failure;
mod fixture;
pub mod format;
pub mod goals;
pub mod measurements;
mod member;
pub mod observe_client;
mod pod;
pub mod process;
mod records;
pub mod render;
mod replay;
mod run_inside_box;
mod run_outside_box;
mod steps;

pub use dispatch::{main, main_of};
pub use member::READY;
