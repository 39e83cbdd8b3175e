//! The oracle: what the code that decides was asked and what it answered, as data that outlives
//! the wiring around that code.
//!
//! [`mod@record`] plays seeded histories and writes every call of a machine, a planner or another
//! pure component, with its answer, as a line of JSON. Most histories are those of the packages
//! beside this one; [`drive`] has small ones for components that those leave half idle.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: what fails here fails the recording, and indices are its own"
)]

pub mod cli;
pub mod drive;
pub mod record;
