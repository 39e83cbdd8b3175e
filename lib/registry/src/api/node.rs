//! `NodeAttachments`: what is attached to a node in EC2, in the kernel and in Kubernetes.

mod report;
mod volume;

use serde::{Deserialize, Serialize};

use super::Condition;

pub use report::{NodeAttachments, NodeMetadata, NodeReport, Observation, Owner};
pub use volume::{
    BlockDevice, FileSystem, MountStatus, Space, VolumeKind, VolumeStatus, VolumeUser,
};

/// Always empty. The agent of the node reports in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAttachmentsSpec {}

/// The state of the node as its agent observes it. Informational; no component acts on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeAttachmentsStatus {
    /// The EC2 instance ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The availability zone of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The slots for secondary addresses on the ENIs that FireCamp uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Slots>,
    /// The number of addresses with a problem.
    #[serde(default)]
    pub addresses_failing: u32,
    /// The number of volumes with a problem.
    #[serde(default)]
    pub volumes_failing: u32,
    /// The network interfaces (ENIs) of the instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enis: Vec<EniStatus>,
    /// The static addresses that belong on this node, or that are still configured on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressStatus>,
    /// The volumes that are attached or mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeStatus>,
    /// Conditions of the node; at most one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Slots for secondary private addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Slots {
    /// The number of slots that the instance type provides.
    pub total: u32,
    /// The number of slots without an address.
    pub free: u32,
}

/// A network interface (ENI) of the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EniStatus {
    /// The ENI ID.
    pub id: String,
    /// The MAC address.
    pub mac: String,
    /// The device index on the instance; 0 is the primary interface.
    pub device_index: u32,
    /// The EC2 subnet ID.
    pub subnet: String,
    /// The name of the kernel's network device. Unset while the kernel has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The slots for secondary addresses. Unset while the limit is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Slots>,
    /// What assigns addresses to this interface.
    pub managed_by: EniManager,
}

/// What assigns addresses to this interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EniManager {
    /// FireCamp may assign static addresses.
    FireCamp,
    /// The VPC CNI plugin manages the interface; FireCamp does not use it.
    VpcCni,
    /// Another system manages the interface; FireCamp does not use it.
    Other,
    /// Not determined yet; FireCamp does not use it.
    Unknown,
}

/// A static address on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AddressStatus {
    /// The IP address, which is also the name of its StaticIP.
    pub address: String,
    /// The member that owns the address, as NAMESPACE/NAME.
    pub member: String,
    /// The epoch of the attachment.
    pub epoch: u64,
    /// The state of the attachment.
    pub state: super::AttachmentState,
    /// The UID of the pod that holds the address, or that held it last.
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    /// The ENI that the address belongs on. Unset if it belongs on none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// Whether EC2 has the address on that ENI. Unset while this is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_ec2: Option<bool>,
    /// Whether this node's kernel has the address and its routing. Unset while this is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_kernel: Option<bool>,
    /// Whether the static-IP file lists the address. Unset if the agent cannot read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_file: Option<bool>,
    /// The problem with this address. Unset if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// A problem with an address or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The reason as one CamelCase word, stable across releases.
    pub reason: String,
    /// A description for people.
    #[serde(default)]
    pub message: String,
}
