//! Crash enumeration over the simulated cluster of `firecamp-histories`. Each scenario of a
//! [`catalogue`] runs once to count its boundaries (before each action, between a call and its
//! effect, between an effect and its answer). Then it runs with a crash at each boundary and at
//! each pair of boundaries, with each recovery. The invariants hold after every step, and
//! everything converges.
#![expect(clippy::expect_used, reason = "test support: a failure here fails the enumeration")]

pub mod catalogue;
pub mod cli;
pub mod enumerate;
pub mod page;
