//! The figures: what the containers cost, beside what was aimed at.
//!
//! *Guarantees.* Release binaries that were just built; real packets in namespaces of its own;
//! medians with their spread and count, kinds of runs in turn; nothing is left behind.
//! *Assumptions.* Whoever reads a figure reads the machine's load beside it: other work on the
//! machine makes figures worse, never better.

mod alone;
mod args;
mod boxed;
mod catalogue;
mod counter;
mod dispatch;
mod failure;
mod figures;
mod history;
mod machine;
pub mod page;
mod pieces;
mod plan;
mod samples;
mod shipped;
mod startup;
mod stats;
mod table;
mod timed;

pub use dispatch::main;
