//! `NodeAttachments`: what is attached to a node, in EC2, in the kernel and in Kubernetes.

use serde::{Deserialize, Serialize};

use super::Condition;

/// Empty: nobody asks for anything here. The agent of the node reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAttachmentsSpec {}

/// What the agent of the node sees. Nothing decides by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeAttachmentsStatus {
    /// The EC2 instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The availability zone of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The room for addresses on all ENIs that FireCamp may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Slots>,
    /// How many of the addresses are not as they should be.
    #[serde(default)]
    pub addresses_failing: u32,
    /// How many of the volumes are not as they should be.
    #[serde(default)]
    pub volumes_failing: u32,
    /// The network interfaces of the instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enis: Vec<EniStatus>,
    /// The static addresses that belong on this node, or still are on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressStatus>,
    /// The volumes that are attached or mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeStatus>,
    /// Kubernetes' conditions, at most one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Room for secondary addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Slots {
    /// How many the instance type allows.
    pub total: u32,
    /// How many of them carry no address.
    pub free: u32,
}

/// A network interface of the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EniStatus {
    /// Its id in EC2.
    pub id: String,
    /// Its MAC address.
    pub mac: String,
    /// Its place on the instance; 0 is the primary one.
    pub device_index: u32,
    /// Its EC2 subnet.
    pub subnet: String,
    /// The kernel's name of its link, if the kernel has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Its room for secondary addresses.
    pub slots: Slots,
    /// Who gives addresses to it.
    pub managed_by: EniManager,
}

/// Who gives addresses to a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EniManager {
    /// FireCamp may.
    FireCamp,
    /// The VPC CNI does, so FireCamp does not.
    VpcCni,
    /// Somebody else does, so FireCamp does not.
    Other,
}

/// A static address on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AddressStatus {
    /// The address, which is also the name of its StaticIP.
    pub address: String,
    /// The member that it belongs to, as NAMESPACE/NAME.
    pub member: String,
    /// The epoch of the attachment.
    pub epoch: u64,
    /// Where the attachment stands.
    pub state: super::AttachmentState,
    /// The ENI that has it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// EC2 has it on an ENI of this node.
    pub in_ec2: bool,
    /// The kernel of this node answers for it.
    pub in_kernel: bool,
    /// The static-IP file holds it. Unset where the agent cannot see the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_file: Option<bool>,
    /// What is wrong, for people. Unset when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A volume that is attached or mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// The EC2 volume id of an EBS volume, or what its kind is told apart by (portal and LUN,
    /// server and export, path).
    pub id: String,
    /// Of what kind it is.
    pub kind: VolumeKind,
    /// What EC2 says of the attachment (`attached`, `attaching`, ...); unset for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
    /// The block device, if the kernel has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<BlockDevice>,
    /// The file system on it, as far as a mount shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystem>,
    /// Where it is mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountStatus>,
    /// What Kubernetes uses it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<VolumeUser>,
    /// What is wrong, one CamelCase word each. Empty when nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The kind of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum VolumeKind {
    /// An EBS volume.
    Ebs,
    /// A disk over iSCSI.
    Iscsi,
    /// An NFS export.
    Nfs,
    /// A GlusterFS volume.
    Gluster,
    /// A disk or directory of the node itself.
    Local,
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
}

/// What Kubernetes uses a volume for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VolumeUser {
    /// The PersistentVolume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume: Option<String>,
    /// The PersistentVolumeClaim, as NAMESPACE/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The pod that mounts it, as NAMESPACE/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}
