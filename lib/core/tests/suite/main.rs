//! The core's tests, in one program: it is linked once for each mutant.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod adopt;
mod batches;
mod decisions;
mod endings;
mod exits;
mod machines;
mod names;
mod planner;
mod plans;
mod ports;
mod steps;
mod upkeep;
mod values;
#[cfg(debug_assertions)]
mod version;
