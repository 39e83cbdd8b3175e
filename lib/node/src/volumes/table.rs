//! The published table of a node's volumes. It does not change on an idle node: it has no ages and
//! no counters, and its numbers change in steps.

use std::collections::BTreeMap;

use firecamp_core::ids::{PodUid, VolumeId, Zone};

use crate::volumes::observation::AttachmentState;
use crate::volumes::reason::Reason;

/// How many mounts of one volume are listed; the others are counted.
pub const MOUNTS_SHOWN: usize = 16;

/// Derives serialization with the feature `serde`.
macro_rules! published {
    ($($item:item)*) => {
        $(
            #[derive(Debug, Clone, PartialEq, Eq)]
            #[cfg_attr(
                feature = "serde",
                derive(serde::Serialize, serde::Deserialize),
                serde(rename_all = "camelCase")
            )]
            $item
        )*
    };
}

published! {
    /// All volumes of a node, by name.
    #[derive(Default)]
    pub struct Table {
        /// One row for each.
        pub volumes: Vec<VolumeRow>,
    }

    /// One volume.
    pub struct VolumeRow {
        /// Its name in this table: the volume id, or the persistent volume, or what was mounted.
        pub name: String,
        /// What it is.
        pub kind: VolumeKind,
        /// The EBS volume.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub volume_id: Option<VolumeId>,
        /// The state of its attachment in EC2.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub attachment: Option<AttachmentState>,
        /// The device name requested at the attach.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub label: Option<String>,
        /// Whether EC2 deletes it with the instance.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub delete_on_termination: Option<bool>,
        /// Its zone.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub zone: Option<Zone>,
        /// The kernel's name of its disk.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub device: Option<String>,
        /// Its size in bytes, by the kernel or else by EC2.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub size: Option<u64>,
        /// What was mounted: an export, or an iSCSI target.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub source: Option<String>,
        /// The filesystem, if it is mounted.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub filesystem: Option<String>,
        /// Its usage.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub space: Option<SpaceShown>,
        /// The persistent volume.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub persistent_volume: Option<String>,
        /// Its claim, `NAMESPACE/NAME`.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub claim: Option<String>,
        /// The `VolumeAttachment`.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub volume_attachment: Option<String>,
        /// Where it is mounted; at most [`MOUNTS_SHOWN`].
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        pub mounts: Vec<MountShown>,
        /// How many mounts are not listed.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_zero"))]
        pub more_mounts: u32,
        /// What is wrong.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        pub problems: Vec<Problem>,
    }

    /// What a volume is.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub enum VolumeKind {
        /// An EBS volume.
        Ebs,
        /// A disk of the host.
        InstanceStore,
        /// A LUN of an iSCSI target.
        Iscsi,
        /// An NFS export.
        Nfs,
        /// A Gluster volume.
        Glusterfs,
        /// A directory or disk of this node.
        Local,
        /// Anything else that is mounted for pods, or from another machine.
        Other,
    }

    /// A mount of a volume.
    pub struct MountShown {
        /// The mount point.
        pub point: String,
        /// The pod that it is for.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub pod: Option<PodShown>,
        /// It refuses writes.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_false"))]
        pub read_only: bool,
    }

    /// A pod that has a volume mounted.
    pub struct PodShown {
        /// Its UID.
        pub uid: PodUid,
        /// `NAMESPACE/NAME`, if it is on this node.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        pub name: Option<String>,
    }

    /// The usage of a volume. Totals change in steps of 2 % and free amounts in steps of 5 % of the
    /// total, so that small changes publish nothing.
    #[derive(Copy, Default)]
    pub struct SpaceShown {
        /// Bytes of the filesystem.
        pub bytes_total: u64,
        /// Of them free.
        pub bytes_free: u64,
        /// Inodes of the filesystem, zero if it does not count them.
        pub inodes_total: u64,
        /// Of them free.
        pub inodes_free: u64,
    }

    /// A problem of a volume.
    #[derive(PartialOrd, Ord)]
    pub struct Problem {
        /// Its reason.
        pub reason: Reason,
        /// Its message.
        pub message: String,
    }
}

#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Table {
    /// The row of this name.
    pub fn row(&self, name: &str) -> Option<&VolumeRow> {
        self.volumes.iter().find(|row| row.name == name)
    }
}

/// The start or the end of a problem, for an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// The name of the volume.
    pub volume: String,
    /// The problem.
    pub problem: Problem,
    /// Whether it started; otherwise it ended.
    pub began: bool,
}

/// The problems that start and end from one table to the next. The problems of a removed volume
/// end.
pub fn problem_events(old: &Table, new: &Table) -> Vec<Events> {
    let (before, after) = (problems(old), problems(new));
    let reported = |problem: &(&str, Reason), message: &str, began| Events {
        volume: problem.0.to_owned(),
        problem: Problem { reason: problem.1, message: message.to_owned() },
        began,
    };
    let ended = before.iter().filter(|(key, _)| !after.contains_key(*key));
    let began = after.iter().filter(|(key, _)| !before.contains_key(*key));
    let ended = ended.map(|(key, message)| reported(key, message, false));
    ended.chain(began.map(|(key, message)| reported(key, message, true))).collect()
}

fn problems(table: &Table) -> BTreeMap<(&str, Reason), &str> {
    let all = table.volumes.iter().flat_map(|row| {
        let name = row.name.as_str();
        row.problems.iter().map(move |p| ((name, p.reason), p.message.as_str()))
    });
    all.collect()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
