//! Listings of a subnet's interfaces page by page, and the subnet: for `firecamp verify-ec2`, which
//! looks at more of EC2's answers than the protocol does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use aws_sdk_ec2::types::{Filter, NetworkInterface, Subnet};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{EniId, SubnetId, parse_address};
use ipnet::Ipv4Net;

use crate::ec2::filter;
use crate::sdk_error;

/// Which interfaces of a subnet to list, with filters alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfacesBy {
    /// All of them.
    Subnet,
    /// Those with these IDs; an unknown one is left out.
    Ids(BTreeSet<EniId>),
    /// Those that have this address, as primary or as secondary one.
    Address(Ipv4Addr),
    /// Those that have a tag with this key.
    TagKey(String),
    /// Those of all subnets that have this tag: as the leader lists the interfaces of a cluster.
    Tag {
        /// The key of the tag.
        key: String,
        /// Its value.
        value: String,
    },
}

impl InterfacesBy {
    /// The filters of the request.
    pub(crate) fn filters(&self, subnet: &SubnetId) -> Vec<Filter> {
        let own = match self {
            Self::Subnet => None,
            Self::Ids(ids) => {
                let ids: Vec<&EniId> = ids.iter().collect();
                Some(filter("network-interface-id", &ids))
            }
            Self::Address(address) => Some(filter("addresses.private-ip-address", &[address])),
            Self::TagKey(key) => Some(filter("tag-key", &[key])),
            Self::Tag { key, value } => return vec![filter(&format!("tag:{key}"), &[value])],
        };
        let in_subnet = filter("subnet-id", std::slice::from_ref(subnet));
        std::iter::once(in_subnet).chain(own).collect()
    }
}

impl fmt::Display for InterfacesBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subnet => f.write_str("by subnet"),
            Self::Ids(ids) => write!(f, "by {} IDs", ids.len()),
            Self::Address(address) => write!(f, "by address {address}"),
            Self::TagKey(key) => write!(f, "by tag {key}"),
            Self::Tag { key, value } => write!(f, "by tag {key}={value}"),
        }
    }
}

/// An interface as DescribeNetworkInterfaces lists it. The listing may be stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedInterface {
    /// Its ID.
    pub id: EniId,
    /// Its primary private address; none without IPv4.
    pub primary: Option<Ipv4Addr>,
    /// Its secondary private addresses.
    pub secondary: BTreeSet<Ipv4Addr>,
    /// Its /28 prefixes, whose addresses EC2 does not list one by one.
    pub prefixes: Vec<Ipv4Net>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl ListedInterface {
    /// Whether it has this address, as primary or as secondary one.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        self.primary == Some(address) || self.secondary.contains(&address)
    }
}

/// A subnet as DescribeSubnets and GetSubnetCidrReservations report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSubnet {
    /// Its IPv4 CIDR block.
    pub cidr: Ipv4Net,
    /// How many addresses are free, which lags.
    pub available: u32,
    /// The blocks of its CIDR reservations of either type.
    pub reservations: Vec<Ipv4Net>,
}

/// Parses an interface.
pub(crate) fn listed(what: &str, one: &NetworkInterface) -> Result<ListedInterface, CloudFailure> {
    let named = one.network_interface_id().unwrap_or_default();
    let wrong = |problem: &dyn fmt::Display| unreadable(what, named, problem);
    let address = |text: &str| parse_address(text).map_err(|why| wrong(&why));
    let primary = one.private_ip_address().map(address).transpose()?;
    let entries = one.private_ip_addresses().iter().filter_map(|one| one.private_ip_address());
    let all = entries.map(address).collect::<Result<BTreeSet<Ipv4Addr>, _>>()?;
    let prefix = |text: &str| text.parse::<Ipv4Net>().map_err(|why| wrong(&why));
    let prefixes = one.ipv4_prefixes().iter();
    let prefixes = prefixes.map(|one| prefix(one.ipv4_prefix().unwrap_or_default()));
    let text = |text: Option<&str>| sdk_error::clean(text.unwrap_or_default());
    let tags = one.tag_set().iter().map(|tag| (text(tag.key()), text(tag.value())));
    Ok(ListedInterface {
        id: EniId::new(named).map_err(|why| wrong(&why))?,
        primary,
        secondary: all.into_iter().filter(|address| Some(*address) != primary).collect(),
        prefixes: prefixes.collect::<Result<_, _>>()?,
        tags: tags.collect(),
    })
}

/// Parses the CIDR block and the number of free addresses of the subnet among these.
pub(crate) fn subnet(
    what: &str,
    wanted: &SubnetId,
    found: &[Subnet],
) -> Result<ListedSubnet, CloudFailure> {
    let named = |one: &&Subnet| one.subnet_id() == Some(wanted.as_str());
    let Some(one) = found.iter().find(named) else {
        let detail = format!("{what}: this region has no such subnet");
        return Err(sdk_error::read_failure(CloudKind::NotFound, detail));
    };
    let cidr = one.cidr_block().unwrap_or_default().parse::<Ipv4Net>();
    let cidr = cidr.map_err(|why| unreadable(what, wanted.as_str(), &why))?;
    let available = one.available_ip_address_count().and_then(|count| u32::try_from(count).ok());
    Ok(ListedSubnet { cidr, available: available.unwrap_or(0), reservations: Vec::new() })
}

fn unreadable(what: &str, named: &str, problem: &dyn fmt::Display) -> CloudFailure {
    let detail = format!("{what}: failed to parse {:?}: {problem}", sdk_error::clean(named));
    sdk_error::read_failure(CloudKind::Transient, detail)
}
