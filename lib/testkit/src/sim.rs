//! The outside systems in memory, stateful and strict, and wrappers that inject faults into any
//! implementation: before its effect, after it (the answer is lost), late, or never.
//!
//! No release binary links this crate.

mod ec2;
mod faulty_checks;
mod faulty_cloud;
mod faulty_file;
mod faulty_host;
mod faulty_registry;
mod faulty_status_writer;
mod faulty_volumes;
mod file;
mod host;
mod kernel;
mod script;
mod status_writer;
mod volumes;

pub use ec2::{Account, Calls, CreatedInterfaces, Faults, Instance, SimEc2, interface};
pub use faulty_checks::FaultyChecks;
pub use faulty_cloud::FaultyCloud;
pub use faulty_file::FaultyFile;
pub use faulty_host::FaultyHost;
pub use faulty_registry::FaultyRegistry;
pub use faulty_status_writer::FaultyStatusWriter;
pub use faulty_volumes::FaultyVolumes;
pub use file::{Disk, SimFile};
pub use host::SimHost;
pub use kernel::{Kernel, Tag};
pub use script::{Break, Op, Script};
pub use status_writer::{Posted, SimStatusWriter};
pub use volumes::SimVolumes;
