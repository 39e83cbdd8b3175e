//! Crash enumeration over the simulated cluster of `firecamp-histories`: each scenario of a
//! [`catalogue`] is run once to count its boundaries (before each action, between a call and its
//! effect, between an effect and its answer), then with a crash at each single one and at each
//! pair, with each recovery. The audits hold after every step, and everything converges.
#![expect(clippy::expect_used, reason = "test support: what fails here fails the enumeration")]

pub mod catalogue;
pub mod cli;
pub mod enumerate;
pub mod page;
pub mod record;
