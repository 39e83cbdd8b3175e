//! Measures the performance of the containers and the agent, and compares it with goals.
//!
//! *Guarantees.* The release binaries have just been built; packets are real, in the benchmark's
//! own namespaces; figures are medians with spread and count; kinds of runs alternate; nothing is
//! left behind. *Assumptions.* Other work on the machine makes figures worse, never better, so each
//! result contains the load average.

mod args;
mod boxed;
mod catalogue;
mod counter;
mod dispatch;
mod failure;
mod figures;
mod history;
mod machine;
mod netlink;
pub mod page;
mod pieces;
mod plan;
mod samples;
mod scale;
mod shipped;
mod startup;
mod stats;
mod table;
mod timed;

pub use dispatch::main;
