//! The specification of a simulation, in TOML.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

mod build;
mod check;

pub(crate) use build::{build, mac_of};

/// A spec that does not describe a possible VPC. The message names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The text is not TOML, or has an unknown, missing or mistyped field.
    #[error("failed to parse the spec: {0}")]
    Toml(String),
    /// A field has an impossible value.
    #[error("{field}: {problem}")]
    Field {
        /// The field, for example `nodes[1].enis[0].address`.
        field: String,
        /// The problem.
        problem: String,
    },
}

/// A VPC with its nodes, its clients and the foreign resources in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The seed of all randomness: IDs, times, probabilities.
    #[serde(default = "defaults::seed")]
    pub seed: u64,
    /// The timing profile; a driver may override it.
    #[serde(default)]
    pub profile: ProfileName,
    /// The AWS account ID, 12 digits.
    #[serde(default = "defaults::account")]
    pub account: String,
    /// The region, for example `us-east-1`.
    #[serde(default = "defaults::region")]
    pub region: String,
    /// The cluster's name: the value of `cluster_tag` on every ENI of a node.
    #[serde(default = "defaults::cluster")]
    pub cluster: String,
    /// The tag that names the cluster of an ENI.
    #[serde(default = "defaults::cluster_tag")]
    pub cluster_tag: String,
    /// The VPC.
    pub vpc: VpcSpec,
    /// The subnets.
    pub subnets: Vec<SubnetSpec>,
    /// The worker nodes.
    #[serde(default)]
    pub nodes: Vec<NodeSpec>,
    /// Clients of the members, in the VPC or outside of it.
    #[serde(default)]
    pub clients: Vec<ClientSpec>,
    /// Private hosted zones of Route 53 that are associated with the VPC, by name.
    #[serde(default)]
    pub zones: Vec<String>,
    /// ENIs outside the cluster.
    #[serde(default)]
    pub foreign: Vec<ForeignSpec>,
    /// Volumes, in addition to the root volume of every instance.
    #[serde(default)]
    pub volumes: Vec<VolumeSpec>,
}

/// A named timing profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// A few milliseconds for everything.
    Fast,
    /// Durations observed on AWS.
    #[default]
    Realistic,
}

/// The VPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcSpec {
    /// Its ID; generated if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Its CIDR, /16 to /28.
    pub cidr: Ipv4Net,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetSpec {
    /// Its name in this spec.
    pub name: String,
    /// Its ID; generated if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Its CIDR, /16 to /28, within the VPC's.
    pub cidr: Ipv4Net,
    /// Its availability zone, for example `us-east-1a`.
    pub zone: String,
    /// Explicit CIDR reservations: automatic assignment skips them.
    #[serde(default)]
    pub reservations: Vec<Ipv4Net>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A worker node: a running instance with its primary ENI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Its name.
    pub name: String,
    /// Its instance ID; generated if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// The ID of its primary ENI; generated if absent.
    #[serde(default)]
    pub eni: Option<String>,
    /// The MAC address of its primary ENI; generated if absent.
    #[serde(default)]
    pub mac: Option<String>,
    /// The subnet of its primary ENI, by name.
    pub subnet: String,
    /// Its instance type, which must be in the table of types.
    pub instance_type: String,
    /// The primary address; if absent, the next free one.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
    /// Secondary addresses of its primary ENI at the start.
    #[serde(default)]
    pub secondary: Vec<Ipv4Addr>,
    /// The cluster in the tag of its ENIs, if not the spec's; empty: no tag.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Tags of the instance.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Additional ENIs.
    #[serde(default)]
    pub enis: Vec<EniSpec>,
}

/// An additional ENI of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EniSpec {
    /// Its ID; generated if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Its MAC address; generated if absent.
    #[serde(default)]
    pub mac: Option<String>,
    /// Its subnet, by name, in the node's zone.
    pub subnet: String,
    /// Its device index, from 1.
    pub device_index: u32,
    /// Its primary address; if absent, the next free one.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
    /// Secondary addresses at the start.
    #[serde(default)]
    pub secondary: Vec<Ipv4Addr>,
    /// /28 prefixes at the start.
    #[serde(default)]
    pub prefixes: Vec<Ipv4Net>,
    /// Whether EC2 deletes it with its instance.
    #[serde(default)]
    pub delete_on_termination: bool,
    /// The cluster in its tag, if not the node's; empty: no tag.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Its other tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A client. In a subnet it has an ENI outside the cluster; with an address outside the VPC and no
/// subnet it represents a machine on premises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    /// Its name.
    pub name: String,
    /// Its subnet, by name.
    #[serde(default)]
    pub subnet: Option<String>,
    /// Its address; if absent, the next free one of the subnet.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
}

/// An ENI outside the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignSpec {
    /// Its name in this spec.
    pub name: String,
    /// Its ID; generated if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Its subnet, by name.
    pub subnet: String,
    /// The type of an instance that it is attached to; if absent, it is not attached.
    #[serde(default)]
    pub instance_type: Option<String>,
    /// Its primary address; if absent, the next free one.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
    /// Its secondary addresses.
    #[serde(default)]
    pub secondary: Vec<Ipv4Addr>,
    /// Its /28 prefixes.
    #[serde(default)]
    pub prefixes: Vec<Ipv4Net>,
    /// Its description.
    #[serde(default)]
    pub description: String,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The service that operates it.
    #[serde(default)]
    pub operator: Option<Operator>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeSpec {
    /// Its name in this spec.
    pub name: String,
    /// Its ID; generated if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Its availability zone; if absent, that of the node it is attached to.
    #[serde(default)]
    pub zone: Option<String>,
    /// Its size.
    #[serde(default = "defaults::size_gib")]
    pub size_gib: u32,
    /// Its type, for example `gp3`.
    #[serde(default = "defaults::volume_type")]
    pub volume_type: String,
    /// Whether it is encrypted.
    #[serde(default)]
    pub encrypted: bool,
    /// Whether it can be attached to several instances (multi-attach).
    #[serde(default)]
    pub multi_attach: bool,
    /// The node that it is attached to, if any.
    #[serde(default)]
    pub node: Option<String>,
    /// The device name; if absent, a free one.
    #[serde(default)]
    pub device: Option<String>,
    /// Whether EC2 deletes it with its instance.
    #[serde(default)]
    pub delete_on_termination: bool,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// The service that manages an ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The service principal, for example `eks.amazonaws.com`.
    pub principal: String,
    /// Describe omits the ENI unless the request includes managed resources.
    #[serde(default)]
    pub hidden: bool,
}

/// The largest spec, in bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

impl Spec {
    /// Parses and validates a spec.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        if text.len() > MAX_BYTES {
            return Err(SpecError::Toml(format!("it has more than {MAX_BYTES} bytes")));
        }
        let spec: Self =
            toml::from_str(text).map_err(|error| SpecError::Toml(error.to_string()))?;
        // Placing all addresses once finds conflicts.
        build(&spec, crate::rng::SeededRng::new(spec.seed))?;
        Ok(spec)
    }
}

mod defaults {
    pub(super) fn seed() -> u64 {
        1
    }

    pub(super) fn account() -> String {
        "123456789012".to_owned()
    }

    pub(super) fn region() -> String {
        "us-east-1".to_owned()
    }

    pub(super) fn size_gib() -> u32 {
        8
    }

    pub(super) fn volume_type() -> String {
        "gp3".to_owned()
    }

    pub(super) fn cluster() -> String {
        "demo".to_owned()
    }

    pub(super) fn cluster_tag() -> String {
        "firecamp.io/cluster".to_owned()
    }
}
