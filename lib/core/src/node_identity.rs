//! The node as the metadata service describes it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::ids::{EniId, InstanceId, Mac, SubnetId, Zone};

/// One network interface of this instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Eni {
    /// Its id.
    pub id: EniId,
    /// Its MAC address, which identifies its link.
    pub mac: Mac,
    /// Its device index; 0 is the primary interface.
    pub device_index: u32,
    /// Its network card; 0 on types with one card.
    pub network_card: u32,
    /// Its subnet.
    pub subnet: SubnetId,
    /// The IPv4 CIDR block of the subnet.
    pub cidr: Ipv4Net,
    /// Its primary private address.
    pub primary_address: Ipv4Addr,
    /// Its secondary private addresses as IMDS lists them: a listed address is there, but a missing
    /// one may be there, too.
    pub listed: BTreeSet<Ipv4Addr>,
    /// How many /28 prefixes it has; each takes one address slot.
    pub prefixes: u32,
}

/// What the metadata service reports about this instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeIdentity {
    /// The instance.
    pub instance: InstanceId,
    /// Its type, as EC2 spells it.
    pub instance_type: String,
    /// Its availability zone.
    pub zone: Zone,
    /// Its region.
    pub region: String,
    /// Its network interfaces.
    pub enis: Vec<Eni>,
}

/// What an instance type allows, as EC2 describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeLimits {
    /// The type, as EC2 spells it.
    pub name: String,
    /// How many network interfaces it takes, the primary one included.
    pub enis: u32,
    /// How many IPv4 addresses each of them takes, its primary one and its prefixes included.
    pub addresses: u32,
    /// How many EBS volumes it takes; none if EC2 does not say.
    pub volumes: Option<VolumeLimit>,
}

/// How many EBS volumes an instance type takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeLimit {
    /// All of them, the root volume included.
    pub count: u32,
    /// Network interfaces, including the primary one, use the same slots.
    pub shared: bool,
}
