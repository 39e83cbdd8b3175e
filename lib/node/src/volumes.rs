//! The volumes of one node: their attachments in EC2, the kernel's devices, mounts and usage, and
//! the volumes and pods of Kubernetes, joined into one [`Table`] with their problems. This module
//! tracks and reports; it never formats, mounts or detaches.
//!
//! * [`observation`]: what was observed, as plain data.
//! * [`assign_to_volume`]: assigns attachments, devices, mounts and objects to volumes.
//! * [`detect_problem`]: checks a volume at one moment.
//! * [`Tracker`]: reports problems that last, and rounds numbers so that they stay stable.
//! * [`intervals`]: how often each source is read.
//! * [`PodVolumes`]: which pods have the volumes that they claim, and why the others do not.
//! * [`Volumes`]: the reads from the node, a trait that `firecamp_host` implements;
//!   [`CloudVolumes`]: the reads from EC2.

pub mod assign_to_volume;
pub mod detect_problem;
#[cfg(test)]
mod fixture;
pub mod identify_device;
pub mod intervals;
mod latest_observation;
pub mod observation;
pub mod path;
mod pod_volumes;
mod ports;
mod problem_debounce;
pub mod reason;
mod recheck;
mod space_steps;
mod table;
mod tracker;

pub use pod_volumes::{Blocker, PodVolumes, Served};
pub use ports::{
    ASKED_AT_ONCE, Change, CloudVolumes, Volumes, VolumesFailure, VolumesKind, observe,
};
pub use reason::Reason;
pub use recheck::Recheck;
pub use table::{
    Events, MOUNTS_SHOWN, MountShown, PodShown, Problem, SpaceShown, Table, VolumeKind, VolumeRow,
    problem_events,
};
pub use tracker::Tracker;
