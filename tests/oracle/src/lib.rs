//! The oracle: a recording of what the decision code does, as data that does not depend on how that
//! code is wired, and a replay of it against later code.
//!
//! A recording has one line of JSON for each event that a machine, a planner or another pure
//! component was given, with the effect. The recorder of the pinned commit makes them: of seeded
//! histories, of crashes, and of small histories of single components, of which [`mod@record`] and
//! [`drive`] still have some.
//! [`mod@replay`] feeds the recorded events into the code of this tree and requires the same
//! effects; [`renames`] maps names that have changed since the recording.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: what fails here fails the recording, and indices are its own"
)]

pub mod cli;
pub mod compare;
pub mod drive;
pub mod record;
pub mod renames;
pub mod replay;
