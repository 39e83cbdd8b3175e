//! The controllers that every agent runs, as state machines without I/O, clock or randomness.
//!
//! * [`node`]: how an agent maintains the addresses of its own node.
//! * [`leader`]: leader election, and what the leader does for the whole cluster.
//! * [`volumes`]: how an agent observes the volumes of its own node.
//! * [`publish`]: what an agent publishes about its own node.

mod controller;
#[cfg(test)]
mod interface_life_tests;
pub mod leader;
pub mod node;
pub mod publish;
pub mod volumes;

pub use controller::Controller;
