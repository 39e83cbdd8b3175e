//! The volumes of a node, as its agent sees them.

use serde::{Deserialize, Serialize};

use super::Problem;

/// A volume that is attached or mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// The EC2 volume id of an EBS volume, or what its kind is told apart by: persistent volume,
    /// portal and LUN, server and export, path.
    pub id: String,
    /// Of what kind it is.
    pub kind: VolumeKind,
    /// What EC2 says of the attachment (`attached`, `attaching`, ...); unset for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
    /// The device name that was asked for when it was attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The availability zone that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// It goes with the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_on_termination: Option<bool>,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The block device, if the kernel has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<BlockDevice>,
    /// What was mounted: an export, or an iSCSI target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The file system on it, as far as a mount shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystem>,
    /// Where it is mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountStatus>,
    /// How many mounts are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_mounts: u32,
    /// What Kubernetes uses it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<VolumeUser>,
    /// What is wrong. Empty when nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The kind of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum VolumeKind {
    /// An EBS volume.
    Ebs,
    /// A disk of the host, which does not outlive the instance.
    InstanceStore,
    /// A disk over iSCSI.
    Iscsi,
    /// An NFS export.
    Nfs,
    /// A Gluster volume.
    Glusterfs,
    /// A disk or directory of the node itself.
    Local,
    /// Anything else that is mounted for pods, or from another machine.
    Other,
}

/// A block device of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BlockDevice {
    /// Its path, as `/dev/nvme1n1`.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A file system, as its mount shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileSystem {
    /// Its type, as `ext4`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The room on it. Unset where it did not answer yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
}

/// The room on a file system, in steps, so that what is in use may change a little without
/// anybody being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Space {
    /// Its size in bytes.
    pub bytes: u64,
    /// How many bytes are free.
    pub bytes_free: u64,
    /// How many inodes it has; 0 where it makes them as it needs them.
    pub inodes: u64,
    /// How many inodes are free.
    pub inodes_free: u64,
}

/// Where a volume is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MountStatus {
    /// The directory, on the node.
    pub path: String,
    /// It cannot be written to.
    pub read_only: bool,
    /// The UID of the pod that it is mounted for.
    #[serde(rename = "podUID", default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// That pod, as NAMESPACE/NAME, if it is on this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

/// What Kubernetes uses a volume for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VolumeUser {
    /// The PersistentVolume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume: Option<String>,
    /// The PersistentVolumeClaim, as NAMESPACE/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The VolumeAttachment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_attachment: Option<String>,
    /// The first pod that mounts it, as NAMESPACE/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}
