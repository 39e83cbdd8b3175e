//! The controllers that every agent runs, as state machines without I/O, clock or randomness.
//!
//! * [`leader`]: what the leader does for the whole cluster.
//! * [`publish`]: what an agent publishes about its own node.

pub mod leader;
pub mod publish;
