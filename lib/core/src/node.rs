//! The node as the metadata service describes it, and the choice of the ENI for an address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::ids::{EniId, InstanceId, InvalidId, Mac, SubnetId, Zone, invalid};

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

/// Which ENI carries the addresses of members on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum EniRule {
    /// The interface with the lowest device index in the address's subnet.
    #[default]
    Auto,
    /// The primary interface.
    Primary,
    /// The interface with this device index.
    DeviceIndex(u32),
}

impl FromStr for EniRule {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "auto" => Ok(Self::Auto),
            "primary" => Ok(Self::Primary),
            index => index.parse().map(Self::DeviceIndex).map_err(|_source| {
                invalid("rule for an ENI", "auto, primary or a device index", text)
            }),
        }
    }
}

impl NodeIdentity {
    /// The ENI that the rule selects among those in a wanted subnet. The order of `enis` does not
    /// matter: the lowest (card, device index) wins.
    pub fn choose(&self, rule: EniRule, wanted: impl Fn(&SubnetId) -> bool) -> Option<&Eni> {
        let fits = |eni: &&Eni| {
            let by_rule = match rule {
                EniRule::Auto => true,
                EniRule::Primary => eni.device_index == 0 && eni.network_card == 0,
                EniRule::DeviceIndex(index) => eni.device_index == index,
            };
            by_rule && wanted(&eni.subnet)
        };
        self.enis.iter().filter(fits).min_by_key(|eni| (eni.network_card, eni.device_index))
    }
}
