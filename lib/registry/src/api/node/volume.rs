//! The volumes of a node, as its agent observes them.

use serde::{Deserialize, Serialize};

use super::Problem;

/// A volume that is attached or mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// The EBS volume ID, or what identifies a volume of another kind: persistent volume, portal
    /// and LUN, server and export, or path.
    pub id: String,
    /// The kind of the volume.
    pub kind: VolumeKind,
    /// The attachment state in EC2 (`attached`, `attaching`, ...). Unset for other kinds than EBS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
    /// The device name that was requested when the volume was attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The availability zone of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whether EC2 deletes the volume when the instance is terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_on_termination: Option<bool>,
    /// The size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The block device. Unset if the kernel has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<BlockDevice>,
    /// The source of the mount: an export, or an iSCSI target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The file system on the volume. Unset if the volume is not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystem>,
    /// Where the volume is mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountStatus>,
    /// The number of mounts that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_mounts: u32,
    /// The Kubernetes objects that use the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<VolumeUser>,
    /// The problems with this volume. Empty if there are none.
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
    /// An instance store disk; its data is lost when the instance stops.
    InstanceStore,
    /// A disk over iSCSI.
    Iscsi,
    /// An NFS export.
    Nfs,
    /// A Gluster volume.
    Glusterfs,
    /// A disk or directory of the node itself.
    Local,
    /// Any other volume that is mounted for pods or from another machine.
    Other,
}

/// A block device of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BlockDevice {
    /// The path of the device, for example `/dev/nvme1n1`.
    pub path: String,
    /// The size in bytes.
    pub bytes: u64,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileSystem {
    /// The type of the file system, for example `ext4`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The size and free space. Unset until the file system has responded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
}

/// The size and free space of a file system. The values are rounded, so that small changes do
/// not update the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Space {
    /// The size in bytes.
    pub bytes: u64,
    /// The number of free bytes.
    pub bytes_free: u64,
    /// The number of inodes; 0 if the file system creates inodes on demand.
    pub inodes: u64,
    /// The number of free inodes.
    pub inodes_free: u64,
}

/// A mount of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MountStatus {
    /// The mount point on the node.
    pub path: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
    /// The UID of the pod that the volume is mounted for.
    #[serde(rename = "podUID", default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// That pod, as NAMESPACE/NAME. Unset if the pod is not on this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

/// The Kubernetes objects that use a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VolumeUser {
    /// The name of the PersistentVolume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume: Option<String>,
    /// The PersistentVolumeClaim, as NAMESPACE/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The name of the VolumeAttachment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_attachment: Option<String>,
    /// The first pod that mounts the volume, as NAMESPACE/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}
