//! The `firecamp` command.
//!
//! What looks at a registry, a cluster or a node, for people and their programs: [`status`],
//! [`node`], [`explain`], [`doctor`], [`bundle`] and [`wait`], over what they share in [`look`].
//! `docs/cli.md` is generated from their help. Those that change something are [`cleanup`] and
//! [`import`].
//!
//! The demo, which shows a member that keeps its address in a VPC in a box: `docs/demo.md` says
//! what it shows and how it measures. What follows a client, times processes and takes their time
//! apart is shared with the benchmark (`tests/bench`).

pub mod args;
pub mod bundle;
pub mod cleanup;
mod demo;
mod dispatch;
pub mod doctor;
pub mod documents;
pub mod event;
pub mod explain;
pub mod failure;
pub mod import;
pub mod look;
pub mod measure;
mod member;
pub mod node;
pub mod process;
mod reasons;
pub mod render;
pub mod status;
pub mod verdict;
pub mod wait;
pub mod watch;

pub use dispatch::{main, main_of};
pub use member::READY;
