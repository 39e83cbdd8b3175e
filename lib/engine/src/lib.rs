//! The runner: executes the actions that a protocol machine names, one at a time, over the
//! outside systems. It decides nothing but how long to wait at random, and it bounds every call.

mod begin;
mod crash;
mod dice;
mod perform;
mod preview;
mod progress;
mod runner;
mod trace;

pub use begin::Begin;
pub use dice::Dice;
pub use perform::{NoFile, Systems};
pub use preview::preview;
pub use runner::{Ended, Run, Signal, run};
#[cfg(feature = "trace")]
pub use trace::{Event, Input};
