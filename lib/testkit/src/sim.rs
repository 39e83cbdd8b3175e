//! The outside systems in memory, stateful and strict, and wrappers around any implementation
//! that break it on purpose: before its effect, after it (the answer is lost), late, or never.
//! No release binary links this crate.

mod board;
mod checks;
mod faulty_board;
mod faulty_checks;
mod faulty_cloud;
mod faulty_file;
mod faulty_host;
mod faulty_registry;
mod faulty_volumes;
mod file;
mod host;
mod kernel;
mod script;
mod volumes;

pub use board::{Posted, SimBoard};
pub use checks::{Account, SimChecks};
pub use faulty_board::FaultyBoard;
pub use faulty_checks::FaultyChecks;
pub use faulty_cloud::FaultyCloud;
pub use faulty_file::FaultyFile;
pub use faulty_host::FaultyHost;
pub use faulty_registry::FaultyRegistry;
pub use faulty_volumes::FaultyVolumes;
pub use file::{Disk, SimFile};
pub use host::SimHost;
pub use kernel::{Kernel, Tag};
pub use script::{Break, Op, Script};
pub use volumes::SimVolumes;
