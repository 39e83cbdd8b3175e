//! `NodeAttachments`: what is attached to a node, in EC2, in the kernel and in Kubernetes.

mod report;
mod volume;

use serde::{Deserialize, Serialize};

use super::Condition;

pub use report::{NodeAttachments, NodeMetadata, NodeReport, Observation, Owner};
pub use volume::{
    BlockDevice, FileSystem, MountStatus, Space, VolumeKind, VolumeStatus, VolumeUser,
};

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
    /// The room for addresses on the ENIs that members get.
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
    /// Its room for secondary addresses. Unset while the limit is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Slots>,
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
    /// It is not known yet, so FireCamp does not.
    Unknown,
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
    /// The UID of the pod that holds it, or held it last.
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    /// The ENI that it belongs on, if it belongs on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// EC2 has it on that ENI. Unset while nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_ec2: Option<bool>,
    /// The kernel of this node has all that it needs for it. Unset while nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_kernel: Option<bool>,
    /// The static-IP file holds it. Unset where the agent cannot see the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_file: Option<bool>,
    /// What is wrong. Unset when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Something that is wrong with an address or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What, in one CamelCase word that never changes its meaning.
    pub reason: String,
    /// What, for people.
    #[serde(default)]
    pub message: String,
}
