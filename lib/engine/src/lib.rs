//! The runner: performs the actions of a protocol machine, one at a time, on the outside systems.
//! It draws the random waits and bounds every call; all other decisions are the machine's.

mod crash;
mod input;
mod metadata_reads;
mod pacing;
mod perform;
mod preview;
mod progress;
mod rng;
mod runner;
mod stop_signal;
mod together;
mod trace;

pub use input::{Begin, EarlyLookUp, Prepared};
pub use pacing::Pacing;
pub use perform::{ClientsFile, NoFile, Systems};
pub use preview::preview;
pub use progress::ProgressEvent;
pub use rng::Rng;
pub use runner::{Ended, Run, run};
pub use stop_signal::Signal;
pub use together::{Queued, Queues, SharedCloud};
#[cfg(feature = "trace")]
pub use trace::{Event, Input};
