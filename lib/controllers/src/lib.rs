//! The controllers that every agent runs, as decisions without I/O, clock or chance.
//!
//! * [`leader`]: what the holder of the Lease does for the whole cluster.
//! * [`publish`]: what an agent tells the cluster of its own node.

pub mod leader;
pub mod publish;
