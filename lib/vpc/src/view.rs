//! Views of the simulation for drivers and tests.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::log::Violation;

/// The state of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It runs.
    Running,
    /// It is stopped and keeps its ENIs and addresses.
    Stopped,
    /// It is terminated.
    Terminated,
}

/// A node, with the data to build its network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeView {
    /// Its name in the spec.
    pub name: String,
    /// Its instance ID.
    pub instance: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its availability zone.
    pub zone: String,
    /// Its current state.
    pub state: NodeState,
    /// How often it booted since the start of the simulation.
    pub boots: u64,
    /// Its attached ENIs in any stage, by device index.
    pub enis: Vec<EniView>,
}

/// An ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EniView {
    /// Its ID.
    pub id: String,
    /// Its MAC address, lower case with colons.
    pub mac: String,
    /// Its device index.
    pub device_index: u32,
    /// Whether the kernel of its instance, if it runs, has the link: from some time after the start
    /// of the attachment until the middle of a detachment.
    pub plugged: bool,
    /// Whether EC2 drops packets that neither come from nor go to an address of the ENI.
    pub source_dest_check: bool,
    /// Its subnet's ID.
    pub subnet: String,
    /// Its subnet's CIDR.
    pub cidr: Ipv4Net,
    /// The subnet's router: the base address plus one.
    pub gateway: Ipv4Addr,
    /// Its primary address.
    pub primary: Ipv4Addr,
    /// Its secondary addresses, in the order of assignment.
    pub secondary: Vec<Ipv4Addr>,
    /// Its /28 prefixes.
    pub prefixes: Vec<Ipv4Net>,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientView {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its ENI, if it is in the VPC.
    pub eni: Option<EniView>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubnetView {
    /// Its name in the spec.
    pub name: String,
    /// Its ID.
    pub id: String,
    /// Its CIDR.
    pub cidr: Ipv4Net,
    /// Its availability zone.
    pub zone: String,
    /// Its router's address.
    pub gateway: Ipv4Addr,
}

/// Credentials that the simulator accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// The access key ID.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// The session token of an instance role; long-lived keys have none.
    pub session_token: Option<String>,
    /// When they expire, in seconds since 1970.
    pub expires_unix: Option<u64>,
}

/// How an ENI holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldAs {
    /// As its primary address, for life.
    Primary,
    /// As a secondary address.
    Secondary,
    /// As part of a /28 prefix.
    Prefix,
}

/// A previous or current owner of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviousOwner {
    /// Since when, in microseconds since the start of the simulation.
    pub since_us: u64,
    /// The ENI; `None`: unassigned.
    pub eni: Option<String>,
    /// The author of the change.
    pub by: String,
    /// When the data path switched or will switch.
    pub data_path_at_us: u64,
    /// When the metadata service of the new owner's instance shows it.
    pub imds_added_at_us: Option<u64>,
}

/// A metadata service that lists an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImdsListing {
    /// The node.
    pub node: String,
    /// The ENI that it lists it for.
    pub eni: String,
}

/// The state of one address in all views.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressTruth {
    /// The address.
    pub address: Ipv4Addr,
    /// Its subnet's ID.
    pub subnet: String,
    /// The ENI that owns it.
    pub owner: Option<String>,
    /// How the ENI holds it.
    pub held_as: Option<HeldAs>,
    /// The node, client or foreign instance of the owner, by its name.
    pub node: Option<String>,
    /// The ENI that receives its packets now.
    pub data_path: Option<String>,
    /// The ENI that Describe shows to an ordinary reader now.
    pub describe: Option<String>,
    /// Where the metadata service lists it now.
    pub imds: Vec<ImdsListing>,
    /// Its owners so far, oldest first.
    pub history: Vec<PreviousOwner>,
}

/// The attachment of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeAttachmentView {
    /// The node, client or foreign instance, by its name.
    pub node: Option<String>,
    /// The instance ID.
    pub instance: String,
    /// The device name in EC2.
    pub device: String,
    /// `attaching`, `attached`, `detaching` or `busy`.
    pub state: String,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeView {
    /// Its ID.
    pub id: String,
    /// Its name in the spec; a root volume has the name of its instance and `/root`.
    pub name: Option<String>,
    /// Its availability zone.
    pub zone: String,
    /// Its size.
    pub size_gib: u32,
    /// `available`, `in-use` or `error`.
    pub state: String,
    /// Its attachments.
    pub attachments: Vec<VolumeAttachmentView>,
}

/// The state of a token bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BucketTruth {
    /// The remaining whole tokens.
    pub tokens: u64,
    /// Its capacity.
    pub capacity: u64,
    /// The number of refused calls.
    pub refused: u64,
}

/// The complete actual state, which no EC2 caller sees. Its JSON is stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// When, in microseconds since the start of the simulation.
    pub now_us: u64,
    /// Every address that an ENI holds or held, receives or lists, except the single addresses of a
    /// prefix.
    pub addresses: Vec<AddressTruth>,
    /// The nodes.
    pub nodes: Vec<NodeView>,
    /// The clients.
    pub clients: Vec<ClientView>,
    /// The subnets.
    pub subnets: Vec<SubnetView>,
    /// The volumes.
    pub volumes: Vec<VolumeView>,
    /// The token buckets in use.
    pub buckets: BTreeMap<String, BucketTruth>,
    /// Violated invariants; always empty.
    pub violations: Vec<Violation>,
}
