//! The facts about a node.

mod foreign_rules_and_nat;
mod node_object;
mod subnet_reservations;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use firecamp_core::choose_interface::EniRule;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, EniId, Mac, SubnetId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::record::Pool;

pub use foreign_rules_and_nat::{Chain, ForeignRule, Nat};
pub use node_object::{InCluster, KubeNode, Snat};
pub use subnet_reservations::Reservation;
pub use volumes::AttachedVolumes;

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fact<T, E = String> {
    /// Not read.
    #[default]
    NotChecked,
    /// The read failed with this error.
    Failed(E),
    /// The value.
    Known(T),
}

impl<T, E> Fact<T, E> {
    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotChecked | Self::Failed(_) => None,
        }
    }
}

impl<T, E> From<Result<T, E>> for Fact<T, E> {
    fn from(found: Result<T, E>) -> Self {
        found.map_or_else(Self::Failed, Self::Known)
    }
}

/// All facts about a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The cluster and the pools that the node serves.
    pub purpose: Purpose,
    /// This instance, from the metadata service.
    pub identity: Fact<NodeIdentity, CloudFailure>,
    /// The instance's network interfaces, as EC2 describes them.
    pub interfaces: Fact<Vec<Interface>, CloudFailure>,
    /// The limits of the instance type.
    pub limits: Fact<TypeLimits, CloudFailure>,
    /// All interfaces in these subnets that carry the cluster's tag, on any instance.
    pub peers: Fact<Vec<Interface>, CloudFailure>,
    /// Which actions EC2 allows.
    pub rights: BTreeMap<Right, Fact<Permission, CloudFailure>>,
    /// The volumes attached to the instance, including the root volume.
    pub volumes: Fact<AttachedVolumes, CloudFailure>,
    /// The CIDR reservations of each subnet that was queried.
    pub reservations: BTreeMap<SubnetId, Fact<Vec<Reservation>, CloudFailure>>,
    /// This node's clock compared with other clocks.
    pub clocks: Vec<Reading>,
    /// Whether the agent has an endpoint for pods; failed if it cannot listen there.
    pub endpoint: Fact<bool>,
    /// Facts from the node's files and its kernel.
    pub node: NodeFacts,
    /// Facts from the Kubernetes API.
    pub in_cluster: InCluster,
}

/// A range of addresses of a pool: first and last address, inclusive.
pub type Range = (Ipv4Addr, Ipv4Addr);

/// The cluster and the pools that the node serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purpose {
    /// The cluster, if it is known.
    pub cluster: Option<ClusterName>,
    /// How members choose the interface.
    pub rule: EniRule,
    /// The subnets of all pools with their ranges; none if they are not known, and then every
    /// subnet counts.
    pub subnets: Option<BTreeMap<SubnetId, Vec<Range>>>,
    /// The interfaces that FireCamp made and that members may not get, and why.
    pub unusable: BTreeMap<EniId, Unusable>,
}

/// Why members may not get an interface that FireCamp made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// The `NodeInterface` of this name is being removed.
    Removing(String),
    /// A CNI plugin gives its addresses to pods; why.
    TakenByCni(String),
}

impl Purpose {
    /// The ranges of these pools, by subnet.
    pub fn of_pools<'a>(
        pools: impl IntoIterator<Item = &'a Pool>,
    ) -> BTreeMap<SubnetId, Vec<Range>> {
        let mut subnets: BTreeMap<SubnetId, Vec<Range>> = BTreeMap::new();
        for one in pools.into_iter().flat_map(|pool| &pool.subnets) {
            subnets.entry(one.subnet.clone()).or_default().extend(&one.ranges);
        }
        subnets
    }

    /// The ranges of all pools; empty if they are not known.
    pub fn ranges(&self) -> impl Iterator<Item = Range> {
        self.subnets.iter().flat_map(BTreeMap::values).flatten().copied()
    }

    /// Whether a range of a pool contains the address.
    pub fn hands_out(&self, address: Ipv4Addr) -> bool {
        self.ranges().any(|(first, last)| first <= address && address <= last)
    }
}

/// The EC2 actions that FireCamp uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// To find the owner of an address.
    DescribeNetworkInterfaces,
    /// To list attached volumes.
    DescribeVolumes,
    /// To read the limits of the instance type.
    DescribeInstanceTypes,
    /// To check that EC2 assigns no address of a pool by itself.
    GetSubnetCidrReservations,
    /// To assign an address.
    AssignPrivateIpAddresses,
    /// To unassign an address.
    UnassignPrivateIpAddresses,
}

impl Right {
    /// All actions.
    pub const ALL: [Self; 6] = [
        Self::DescribeNetworkInterfaces,
        Self::DescribeVolumes,
        Self::DescribeInstanceTypes,
        Self::GetSubnetCidrReservations,
        Self::AssignPrivateIpAddresses,
        Self::UnassignPrivateIpAddresses,
    ];

    /// Whether addresses can be attached and kept without it.
    pub fn is_optional(self) -> bool {
        match self {
            Self::DescribeVolumes | Self::GetSubnetCidrReservations => true,
            // Without DescribeInstanceTypes no node has capacity for a member.
            Self::DescribeNetworkInterfaces
            | Self::DescribeInstanceTypes
            | Self::AssignPrivateIpAddresses
            | Self::UnassignPrivateIpAddresses => false,
        }
    }

    /// Whether the preflight tests it by a dry run. EC2 has none for assigning and unassigning.
    pub fn has_dry_run(self) -> bool {
        match self {
            Self::DescribeNetworkInterfaces
            | Self::DescribeVolumes
            | Self::DescribeInstanceTypes => true,
            // Its dry run needs a subnet; listing the reservations shows as much.
            Self::GetSubnetCidrReservations
            | Self::AssignPrivateIpAddresses
            | Self::UnassignPrivateIpAddresses => false,
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self {
            Self::DescribeNetworkInterfaces => "DescribeNetworkInterfaces",
            Self::DescribeVolumes => "DescribeVolumes",
            Self::DescribeInstanceTypes => "DescribeInstanceTypes",
            Self::GetSubnetCidrReservations => "GetSubnetCidrReservations",
            Self::AssignPrivateIpAddresses => "AssignPrivateIpAddresses",
            Self::UnassignPrivateIpAddresses => "UnassignPrivateIpAddresses",
        };
        write!(f, "ec2:{action}")
    }
}

/// EC2's answer to an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// EC2 performed it, or would have.
    Allowed,
    /// EC2 denies it, with this message.
    Denied(String),
}

/// A clock to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clock {
    /// The clock of EC2.
    Ec2,
    /// The clock of the metadata service.
    Metadata,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ec2 => "EC2",
            Self::Metadata => "the metadata service",
        })
    }
}

/// The skew against another clock, from the date of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The other clock.
    pub clock: Clock,
    /// By how many seconds this node's clock is ahead of it.
    pub ahead: i64,
}

/// Facts from the node's files and its kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFacts {
    /// Whether `CAP_NET_ADMIN` is effective in this process.
    pub net_admin: Fact<bool>,
    /// The directory of the node-local locks.
    pub run_dir: Fact<RunDir>,
    /// The CNI plugin that may assign addresses of interfaces to pods; none if no configured plugin
    /// does.
    pub cni: Fact<Option<Cni>>,
    /// The active udev rule of amazon-ec2-net-utils, if any.
    pub net_utils: Fact<Option<String>>,
    /// The configuration of systemd-networkd; none if it does not run.
    pub networkd: Fact<Option<Networkd>>,
    /// The names of the links that NetworkManager manages.
    pub network_manager: Fact<BTreeSet<String>>,
    /// The kernel's links that have a MAC address.
    pub links: Fact<Vec<Link>>,
    /// The kernel's routing rules without our protocol.
    pub rules: Fact<Vec<ForeignRule>>,
    /// What applies source NAT.
    pub nat: Fact<Nat>,
}

impl NodeFacts {
    /// Facts of which none could be read, with this reason.
    pub fn unread(why: &str) -> Self {
        Self {
            net_admin: Fact::Failed(why.to_owned()),
            run_dir: Fact::Failed(why.to_owned()),
            cni: Fact::Failed(why.to_owned()),
            net_utils: Fact::Failed(why.to_owned()),
            networkd: Fact::Failed(why.to_owned()),
            network_manager: Fact::Failed(why.to_owned()),
            links: Fact::Failed(why.to_owned()),
            rules: Fact::Failed(why.to_owned()),
            nat: Fact::Failed(why.to_owned()),
        }
    }
}

/// A CNI plugin that may assign addresses of the node's interfaces to pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cni {
    /// Which one.
    pub plugin: CniPlugin,
    /// The file that configures it.
    pub file: String,
}

impl Cni {
    /// The Amazon VPC CNI, by this file.
    pub fn vpc(file: &str) -> Self {
        Self { plugin: CniPlugin::Vpc, file: file.to_owned() }
    }
}

/// Which CNI plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CniPlugin {
    /// The Amazon VPC CNI.
    Vpc,
    /// A plugin of this type, of which it is not known that it leaves the addresses of interfaces
    /// alone. Cilium is one: its IPAM mode is not in the file.
    Unknown(String),
}

/// The directory of the node-local locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    /// Its path.
    pub path: String,
    /// The type of its filesystem.
    pub filesystem: String,
    /// Whether this process may write to it.
    pub writable: bool,
}

/// What systemd-networkd does with rules and routes that it did not configure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Networkd {
    /// It removes foreign routes.
    pub manages_routes: bool,
    /// It removes foreign rules.
    pub manages_rules: bool,
}

/// A link of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: Mac,
    /// It is up.
    pub up: bool,
    /// What systemd-networkd does with it.
    pub networkd: LinkPolicy,
}

/// What systemd-networkd does with a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkPolicy {
    /// It does not manage the link.
    Unmanaged,
    /// It manages the link and keeps foreign addresses, by this file.
    Keeps(String),
    /// It manages the link and removes foreign addresses, by this file.
    Drops(String),
}
