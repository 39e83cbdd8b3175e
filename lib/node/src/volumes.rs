//! The volumes of one node: their attachments in EC2, the kernel's devices, mounts and usage, and
//! the volumes and pods of Kubernetes, joined into one [`Table`] with their problems. This module
//! tracks and reports; it never formats, mounts or detaches.
//!
//! * [`observation`]: what was observed, as plain data.
//! * [`join`](mod@join): assigns attachments, devices, mounts and objects to volumes.
//! * [`judge`]: checks a volume at one moment.
//! * [`Tracker`]: reports problems that last, and rounds numbers so that they stay stable.
//! * [`intervals`]: how often each source is read.
//! * [`PodVolumes`]: which pods have the volumes that they claim, and why the others do not.
//! * [`Volumes`]: the reads from the node, a trait that `firecamp_host` implements;
//!   [`CloudVolumes`]: the reads from EC2.

mod debounce;
#[cfg(test)]
mod fixture;
pub mod identify_device;
pub mod intervals;
pub mod join;
pub mod judge;
mod merge;
pub mod observation;
pub mod path;
mod pods;
mod ports;
pub mod reason;
mod table;
mod tracker;

pub use pods::{Blocker, PodVolumes, Served};
pub use ports::{
    ASKED_AT_ONCE, Change, CloudVolumes, Volumes, VolumesFailure, VolumesKind, observe,
};
pub use reason::Reason;
pub use table::{
    Events, MOUNTS_SHOWN, MountShown, PodShown, Problem, SpaceShown, Table, VolumeKind, VolumeRow,
    problem_events,
};
pub use tracker::Tracker;
