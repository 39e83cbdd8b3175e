//! What was found out about a node.

mod account;
mod cluster;
mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, Mac, SubnetId};
use firecamp_core::interface::Interface;
use firecamp_core::node::{EniRule, NodeIdentity, TypeLimits};
use firecamp_core::record::Pool;

pub use account::Reservation;
pub use cluster::{InCluster, KubeNode, Snat};
pub use rules::{Chain, ForeignRule, Nat};

/// One thing that can be found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fact<T, E = String> {
    /// Nobody has asked.
    #[default]
    NotAsked,
    /// It could not be found out, for this reason.
    Failed(E),
    /// It is so.
    Known(T),
}

impl<T, E> Fact<T, E> {
    /// What is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotAsked | Self::Failed(_) => None,
        }
    }
}

impl<T, E> From<Result<T, E>> for Fact<T, E> {
    fn from(found: Result<T, E>) -> Self {
        found.map_or_else(Self::Failed, Self::Known)
    }
}

/// Everything that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// What the node is for.
    pub purpose: Purpose,
    /// What the metadata service says of this instance.
    pub identity: Fact<NodeIdentity, CloudFailure>,
    /// The instance's network interfaces, as EC2 describes them.
    pub interfaces: Fact<Vec<Interface>, CloudFailure>,
    /// What the instance's type allows.
    pub limits: Fact<TypeLimits, CloudFailure>,
    /// All interfaces of these subnets that carry the cluster's tag, whoever's they are.
    pub peers: Fact<Vec<Interface>, CloudFailure>,
    /// What EC2 allows.
    pub rights: BTreeMap<Right, Fact<Permission, CloudFailure>>,
    /// How many volumes are attached to the instance, the root volume among them.
    pub volumes: Fact<u32, CloudFailure>,
    /// The CIDR reservations of each subnet that was asked for.
    pub reservations: BTreeMap<SubnetId, Fact<Vec<Reservation>, CloudFailure>>,
    /// What other clocks said.
    pub clocks: Vec<Reading>,
    /// What the node's files say.
    pub node: NodeFacts,
    /// What the cluster says.
    pub in_cluster: InCluster,
}

/// Addresses that a pool hands out, inclusive.
pub type Range = (Ipv4Addr, Ipv4Addr);

/// What the node is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purpose {
    /// The cluster, if it is known.
    pub cluster: Option<ClusterName>,
    /// How members choose the interface.
    pub rule: EniRule,
    /// The subnets of all pools with the ranges in them; none if they are not known, and then
    /// every subnet counts.
    pub subnets: Option<BTreeMap<SubnetId, Vec<Range>>>,
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

    /// The ranges of all pools; none if they are not known.
    pub fn ranges(&self) -> impl Iterator<Item = Range> {
        self.subnets.iter().flat_map(BTreeMap::values).flatten().copied()
    }

    /// Whether a pool hands the address out.
    pub fn hands_out(&self, address: Ipv4Addr) -> bool {
        self.ranges().any(|(first, last)| first <= address && address <= last)
    }
}

/// What FireCamp asks of EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// To find the owner of an address.
    DescribeNetworkInterfaces,
    /// To see what is attached.
    DescribeVolumes,
    /// To know how much room there is.
    DescribeInstanceTypes,
    /// To see whether the addresses of pools are kept from others.
    GetSubnetCidrReservations,
    /// To take an address.
    AssignPrivateIpAddresses,
    /// To give one back.
    UnassignPrivateIpAddresses,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DescribeNetworkInterfaces,
        Self::DescribeVolumes,
        Self::DescribeInstanceTypes,
        Self::GetSubnetCidrReservations,
        Self::AssignPrivateIpAddresses,
        Self::UnassignPrivateIpAddresses,
    ];

    /// Whether addresses are attached, kept and given room without it.
    pub fn is_optional(self) -> bool {
        match self {
            Self::DescribeVolumes | Self::GetSubnetCidrReservations => true,
            // Without the second one no node has room for a member.
            Self::DescribeNetworkInterfaces
            | Self::DescribeInstanceTypes
            | Self::AssignPrivateIpAddresses
            | Self::UnassignPrivateIpAddresses => false,
        }
    }

    /// Whether it is asked without doing it: EC2 has no dry run of what moves an address.
    pub fn has_dry_run(self) -> bool {
        match self {
            Self::DescribeNetworkInterfaces
            | Self::DescribeVolumes
            | Self::DescribeInstanceTypes => true,
            // It has one, of a subnet; the listing itself says as much.
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

/// What EC2 said to one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// It would have been done, or was.
    Allowed,
    /// It is denied; what EC2 said.
    Denied(String),
}

/// Whose clock was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clock {
    /// EC2's.
    Ec2,
    /// The metadata service's.
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

/// What another clock said, by the date of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Whose it is.
    pub clock: Clock,
    /// By how many seconds this node's clock was ahead of it.
    pub ahead: i64,
}

/// What the node's files say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFacts {
    /// Whether this process has `CAP_NET_ADMIN`, effectively.
    pub net_admin: Fact<bool>,
    /// The directory of the node-local locks.
    pub run_dir: Fact<RunDir>,
    /// The file by which the Amazon VPC CNI is known to be there; none if it is not.
    pub vpc_cni: Fact<Option<String>>,
    /// The udev rule of amazon-ec2-net-utils that is in force; none if there is none.
    pub net_utils: Fact<Option<String>>,
    /// What systemd-networkd is told; none if it does not run.
    pub networkd: Fact<Option<Networkd>>,
    /// The links of the kernel that have a MAC.
    pub links: Fact<Vec<Link>>,
    /// The kernel's routing rules that are not ours.
    pub rules: Fact<Vec<ForeignRule>>,
    /// Who rewrites sources.
    pub nat: Fact<Nat>,
}

impl NodeFacts {
    /// None of them could be read, for this reason.
    pub fn unread(why: &str) -> Self {
        Self {
            net_admin: Fact::Failed(why.to_owned()),
            run_dir: Fact::Failed(why.to_owned()),
            vpc_cni: Fact::Failed(why.to_owned()),
            net_utils: Fact::Failed(why.to_owned()),
            networkd: Fact::Failed(why.to_owned()),
            links: Fact::Failed(why.to_owned()),
            rules: Fact::Failed(why.to_owned()),
            nat: Fact::Failed(why.to_owned()),
        }
    }
}

/// The directory of the node-local locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    /// Its path.
    pub path: String,
    /// The type of the filesystem that it is on.
    pub filesystem: String,
    /// This process may write there.
    pub writable: bool,
}

/// What systemd-networkd is told about what it did not configure.
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
    /// Its MAC.
    pub mac: Mac,
    /// It is up.
    pub up: bool,
    /// What systemd-networkd does with it.
    pub networkd: LinkPolicy,
}

/// What systemd-networkd does with a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkPolicy {
    /// It leaves the link alone, or does not know it.
    Unmanaged,
    /// It manages the link and keeps foreign addresses, by this file.
    Keeps(String),
    /// It manages the link and drops foreign addresses, by this file.
    Drops(String),
}
