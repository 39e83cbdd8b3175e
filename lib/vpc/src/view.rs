//! What a driver and a test may see of the world.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::log::Violation;

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It runs.
    Running,
    /// It is stopped; it keeps its ENIs and addresses.
    Stopped,
    /// It is gone for good.
    Terminated,
}

/// A node, for building its network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeView {
    /// Its name in the spec.
    pub name: String,
    /// Its instance id.
    pub instance: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its availability zone.
    pub zone: String,
    /// Its state now.
    pub state: NodeState,
    /// How often it was booted since the start of the world.
    pub boots: u64,
    /// Its ENIs that are attached now, in whatever stage, by device index.
    pub enis: Vec<EniView>,
}

/// An ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EniView {
    /// Its id.
    pub id: String,
    /// Its MAC, lower case with colons.
    pub mac: String,
    /// Its device index.
    pub device_index: u32,
    /// Whether the kernel of its instance, if it runs, has the link: some time after the
    /// attachment, and no longer from the middle of a detachment on.
    pub plugged: bool,
    /// Its subnet's id.
    pub subnet: String,
    /// Its subnet's CIDR.
    pub cidr: Ipv4Net,
    /// The subnet's router: the base address plus one.
    pub gateway: Ipv4Addr,
    /// Its primary address.
    pub primary: Ipv4Addr,
    /// Its secondary addresses, in the order in which they came.
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
    /// Its id.
    pub id: String,
    /// Its CIDR.
    pub cidr: Ipv4Net,
    /// Its availability zone.
    pub zone: String,
    /// Its router.
    pub gateway: Ipv4Addr,
}

/// Credentials that the world accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// The access key id.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// The session token of an instance role; long-lived keys have none.
    pub session_token: Option<String>,
    /// When they expire, in seconds since 1970.
    pub expires_unix: Option<u64>,
}

/// As what an ENI holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldAs {
    /// As its primary address, for life.
    Primary,
    /// As a secondary address.
    Secondary,
    /// As a part of a /28 prefix.
    Prefix,
}

/// A former or present owner of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastOwner {
    /// From when, in microseconds since the start of the world.
    pub since_us: u64,
    /// The ENI; `None`: nobody.
    pub eni: Option<String>,
    /// Who did it.
    pub by: String,
    /// When the data path followed, or will follow.
    pub data_path_at_us: u64,
    /// When the metadata service shows it: on the new owner's instance that it came.
    pub imds_added_at_us: Option<u64>,
}

/// A metadata service that lists an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImdsListing {
    /// The node.
    pub node: String,
    /// The ENI under which it lists it.
    pub eni: String,
}

/// Everything about one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressTruth {
    /// The address.
    pub address: Ipv4Addr,
    /// Its subnet's id.
    pub subnet: String,
    /// The ENI that owns it.
    pub owner: Option<String>,
    /// As what.
    pub held_as: Option<HeldAs>,
    /// The node, client or foreign instance that the owner is attached to, by its name.
    pub node: Option<String>,
    /// The ENI that receives its packets now.
    pub data_path: Option<String>,
    /// The ENI that Describe shows to an ordinary reader now.
    pub describe: Option<String>,
    /// Where the metadata service lists it now.
    pub imds: Vec<ImdsListing>,
    /// Its owners so far, the oldest first.
    pub history: Vec<PastOwner>,
}

/// The attachment of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeAttachmentView {
    /// The node, client or foreign instance, by its name.
    pub node: Option<String>,
    /// The instance id.
    pub instance: String,
    /// The device name, as EC2 has it.
    pub device: String,
    /// `attaching`, `attached`, `detaching` or `busy`.
    pub state: String,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeView {
    /// Its id.
    pub id: String,
    /// Its name in the spec; root volumes have that of their instance and `/root`.
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

/// The state of one token bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BucketTruth {
    /// The whole tokens left.
    pub tokens: u64,
    /// How many it holds.
    pub capacity: u64,
    /// How many calls it refused.
    pub refused: u64,
}

/// The truth about the whole world, which no caller of EC2 ever sees. Stable JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// When, in microseconds since the start of the world.
    pub now_us: u64,
    /// Every address that somebody holds or held, receives or lists, but for the single addresses
    /// of a prefix.
    pub addresses: Vec<AddressTruth>,
    /// The nodes.
    pub nodes: Vec<NodeView>,
    /// The clients.
    pub clients: Vec<ClientView>,
    /// The subnets.
    pub subnets: Vec<SubnetView>,
    /// The volumes.
    pub volumes: Vec<VolumeView>,
    /// The token buckets that were used.
    pub buckets: BTreeMap<String, BucketTruth>,
    /// States that EC2 never gets into; always empty.
    pub violations: Vec<Violation>,
}
