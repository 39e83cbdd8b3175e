//! The controllers that every agent runs, as state machines without I/O, clock or randomness.
//!
//! * [`node`]: how an agent maintains the addresses of its own node.
//! * [`leader`]: leader election, and what the leader does for the whole cluster.
//! * [`publish`]: what an agent publishes about its own node.

mod controller;
pub mod leader;
pub mod node;
pub mod publish;

pub use controller::Controller;
