//! The typed actual state.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::Hello;

/// The fields of the actual state that clients of this crate need. `vpcbox truth --json` prints
/// more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// When, in microseconds since the start of the simulation.
    pub now_us: u64,
    /// The box itself.
    pub hello: Hello,
    /// Every address that an ENI holds or held.
    pub addresses: Vec<Address>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The clients.
    pub clients: Vec<Client>,
    /// The subnets.
    pub subnets: Vec<Subnet>,
    /// The volumes.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Violated invariants; always empty.
    pub violations: Vec<serde_json::Value>,
}

/// The state of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: Ipv4Addr,
    /// The owning ENI in EC2's state.
    pub owner: Option<String>,
    /// The node, client or foreign instance of that ENI.
    pub node: Option<String>,
    /// `primary`, `secondary` or `prefix`.
    pub held_as: Option<String>,
    /// The ENI that should receive its packets now.
    pub data_path: Option<String>,
    /// The ENI to which the router delivers it.
    #[serde(default)]
    pub routed: Option<String>,
    /// The node or client of that ENI.
    #[serde(default)]
    pub routed_node: Option<String>,
    /// Where the metadata service lists it now.
    pub imds: Vec<Listing>,
    /// Its owners so far, oldest first.
    pub history: Vec<PreviousOwner>,
}

/// A metadata service that lists an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The node.
    pub node: String,
    /// The ENI.
    pub eni: String,
}

/// A previous or current owner of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousOwner {
    /// Since when.
    pub since_us: u64,
    /// The ENI; `None`: unassigned.
    pub eni: Option<String>,
    /// The author of the change.
    pub by: String,
    /// When the data path switches.
    pub data_path_at_us: u64,
    /// When the metadata service of the owner's instance shows it.
    pub imds_added_at_us: Option<u64>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its instance ID.
    pub instance: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// `running`, `stopped` or `terminated`.
    pub state: String,
    /// How often it booted since the start of the box.
    #[serde(default)]
    pub boots: u64,
    /// Its ENIs by device index.
    pub enis: Vec<Eni>,
}

/// An ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    /// Its ID.
    pub id: String,
    /// Its MAC.
    pub mac: String,
    /// Its device index.
    pub device_index: u32,
    /// Whether the kernel of the node, if it runs, should have its link.
    #[serde(default)]
    pub plugged: bool,
    /// Its subnet's ID.
    pub subnet: String,
    /// Its subnet's CIDR.
    pub cidr: String,
    /// The subnet's router.
    pub gateway: Ipv4Addr,
    /// Its primary address.
    pub primary: Ipv4Addr,
    /// Its secondary addresses.
    pub secondary: Vec<Ipv4Addr>,
    /// The name of its link in the node.
    #[serde(default)]
    pub link: Option<String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its ID.
    pub id: String,
    /// Its name in the spec; `NODE/root` of a root volume.
    pub name: Option<String>,
    /// Its zone.
    pub zone: String,
    /// Its size.
    pub size_gib: u32,
    /// `available`, `in-use` or `error`.
    pub state: String,
    /// Its attachments.
    pub attachments: Vec<VolumeAttachment>,
}

/// The attachment of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeAttachment {
    /// The node.
    pub node: Option<String>,
    /// The instance ID.
    pub instance: String,
    /// The device name in EC2.
    pub device: String,
    /// `attaching`, `attached`, `detaching` or `busy`.
    pub state: String,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its name in the spec.
    pub name: String,
    /// Its ID.
    pub id: String,
    /// Its CIDR.
    pub cidr: String,
    /// Its zone.
    pub zone: String,
    /// Its router.
    pub gateway: Ipv4Addr,
}
