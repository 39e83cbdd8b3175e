//! The core's machines, one by one, as the model uses them.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod canonical;
mod chaos;
#[expect(dead_code, reason = "the core's tests use more of it")]
mod steps;
mod transitions;
