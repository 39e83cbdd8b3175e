//! The volumes of one node: what EC2 says of their attachments, what the kernel says of devices,
//! mounts and space, and what Kubernetes says of volumes and pods, joined into one [`Table`] with
//! what is wrong. It tracks and reports; it never formats, mounts or detaches.
//!
//! * [`seen`]: what was observed, as plain data.
//! * [`join`](mod@join): which of it belongs to which volume.
//! * [`judge`]: what is wrong with a volume at this moment.
//! * [`Tracker`]: what is wrong for long enough to be said, and numbers that stand still.
//! * [`pace`]: how often each side is looked at.
//! * [`PodVolumes`]: which of the pods have the volumes that they claim, and what keeps the others.
//! * [`Volumes`]: the node's side, as a trait, which `firecamp_host` implements.
//!   [`CloudVolumes`]: EC2's.

pub mod device;
#[cfg(test)]
mod fixture;
pub mod join;
pub mod judge;
mod known;
mod outside;
pub mod pace;
pub mod path;
mod pods;
pub mod reason;
pub mod seen;
mod steady;
mod table;
mod track;

pub use outside::{
    ASKED_AT_ONCE, Change, CloudVolumes, Volumes, VolumesFailure, VolumesKind, observe,
};
pub use pods::{Hindrance, PodVolumes, Served};
pub use reason::Reason;
pub use table::{
    MOUNTS_SHOWN, MountShown, News, PodShown, Problem, SpaceShown, Table, VolumeKind, VolumeRow,
    news,
};
pub use track::Tracker;
