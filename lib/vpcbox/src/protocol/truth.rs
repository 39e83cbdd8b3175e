//! The truth, typed.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::Hello;

/// The truth, as far as a client of this crate needs it typed. `vpcbox truth --json` prints more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// When, in microseconds since the start of the world.
    pub now_us: u64,
    /// The box itself.
    pub hello: Hello,
    /// Every address that somebody holds or held.
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
    /// States that EC2 never gets into; always empty.
    pub violations: Vec<serde_json::Value>,
}

/// The truth about an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: Ipv4Addr,
    /// The ENI that owns it, as EC2 knows.
    pub owner: Option<String>,
    /// The node, client or foreign instance of that ENI.
    pub node: Option<String>,
    /// `primary`, `secondary` or `prefix`.
    pub held_as: Option<String>,
    /// The ENI that should receive its packets now.
    pub data_path: Option<String>,
    /// The ENI that the router delivers it to.
    #[serde(default)]
    pub routed: Option<String>,
    /// The node or client of that ENI.
    #[serde(default)]
    pub routed_node: Option<String>,
    /// Where the metadata service lists it now.
    pub imds: Vec<Listing>,
    /// Its owners so far, the oldest first.
    pub history: Vec<Past>,
}

/// A metadata service that lists an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The node.
    pub node: String,
    /// The ENI.
    pub eni: String,
}

/// A former or present owner of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// From when.
    pub since_us: u64,
    /// The ENI; `None`: nobody.
    pub eni: Option<String>,
    /// Who did it.
    pub by: String,
    /// When the data path follows.
    pub data_path_at_us: u64,
    /// When the metadata service of the owner's instance shows it.
    pub imds_added_at_us: Option<u64>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its instance id.
    pub instance: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// `running`, `stopped` or `terminated`.
    pub state: String,
    /// How often it was booted since the box was made.
    #[serde(default)]
    pub boots: u64,
    /// Its ENIs by device index.
    pub enis: Vec<Eni>,
}

/// An ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    /// Its id.
    pub id: String,
    /// Its MAC.
    pub mac: String,
    /// Its device index.
    pub device_index: u32,
    /// Whether the kernel of the node, if it runs, is to have its link.
    #[serde(default)]
    pub plugged: bool,
    /// Its subnet's id.
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
    /// Its id.
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
    /// The instance id.
    pub instance: String,
    /// The device name, as EC2 has it.
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
    /// Its id.
    pub id: String,
    /// Its CIDR.
    pub cidr: String,
    /// Its zone.
    pub zone: String,
    /// Its router.
    pub gateway: Ipv4Addr,
}
