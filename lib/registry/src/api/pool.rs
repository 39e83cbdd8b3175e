//! `StaticIPPool`: address ranges for each subnet, and the policies for their addresses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::ids::{PoolName, ResourceName, SubnetId, Zone, parse_address};
use firecamp_core::record;
use serde::{Deserialize, Serialize};

use super::AllowedNamespaces;
use super::problem::InvalidObject;
use super::static_ip::parse_cidr;
use super::{Condition, Metadata, StaticIPPool};
use crate::rules;

/// The address ranges of the pool, and the policies for their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticIPPoolSpec {
    /// What happens to an address in EC2 when its pod releases it.
    #[serde(default)]
    pub release_policy: ReleasePolicy,
    /// What happens to an address whose claim was deleted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reclaim_policy: ReclaimPolicy,
    /// What happens to a member's claim when its StatefulSet is deleted or scaled down.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claim_retention_policy: ClaimRetentionPolicy,
    /// What happens to an orphaned address: one in these ranges that EC2 has on an ENI of the
    /// cluster and that has no StaticIP.
    #[serde(default, skip_serializing_if = "is_default")]
    pub orphan_policy: OrphanPolicy,
    /// Lets FireCamp make the network interfaces that carry the addresses. Without it, FireCamp
    /// uses the interfaces that someone else has attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<PoolInterfaces>,
    /// The namespaces whose pods may allocate an address of this pool through the agents' endpoint.
    /// Without it, none; members that have an address keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// The extended resource that counts the slots for addresses of this pool; its members request
    /// 1 of it. If unset, `firecamp.io/static-ip`; other names begin with `firecamp.io/static-ip-`.
    /// Pools that share a subnet need the same resource, and pools that share none need different
    /// ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The EC2 subnets of the pool; at least one.
    pub subnets: Vec<PoolSubnetSpec>,
}

/// Which network interfaces FireCamp makes, in the subnets of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolInterfaces {
    /// The labels of the nodes that get interfaces; without labels, all nodes in the zones of the
    /// pool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// The IDs of the security groups of new interfaces; by default, those of the node's primary
    /// interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// The most interfaces that FireCamp makes for one node in one subnet. The first is made when
    /// the node joins, each further one when the others are almost full.
    #[serde(default = "one")]
    pub maximum: u32,
}

fn one() -> u32 {
    1
}

/// What happens to an address whose claim was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReclaimPolicy {
    /// The StaticIP and its address stay allocated until a user deletes the StaticIP.
    #[default]
    Retain,
    /// FireCamp deletes the StaticIP after EC2 has unassigned the address, which is then free.
    Delete,
}

/// What happens to an address that EC2 has on an ENI of the cluster and that has no StaticIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OrphanPolicy {
    /// FireCamp reports the address and leaves it unchanged. This is also the default.
    #[default]
    Report,
    /// FireCamp creates a StaticIP for the address, and the reclaim policy applies to it. Use this
    /// only for ranges that nothing else assigns from and that a CIDR reservation of type explicit
    /// covers.
    Adopt,
}

/// What happens to the claims of a StatefulSet's members, like
/// `persistentVolumeClaimRetentionPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRetentionPolicy {
    /// When the StatefulSet is deleted.
    #[serde(default)]
    pub when_deleted: ClaimRetention,
    /// When the StatefulSet is scaled down below the member.
    #[serde(default)]
    pub when_scaled: ClaimRetention,
}

/// What happens to the claim of a member that its StatefulSet no longer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ClaimRetention {
    /// The claim stays, and the member gets the same address when it returns.
    #[default]
    Retain,
    /// FireCamp deletes the claim, and the reclaim policy applies to its address.
    Delete,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl StaticIPPoolSpec {
    /// The path of the first field that has a value which only a cluster's agents can implement.
    pub fn needs_a_cluster(&self) -> Option<&'static str> {
        if !is_default(&self.reclaim_policy) {
            return Some("spec.reclaimPolicy");
        }
        if !is_default(&self.claim_retention_policy) {
            return Some("spec.claimRetentionPolicy");
        }
        if self.interfaces.is_some() {
            return Some("spec.interfaces");
        }
        if self.allowed_namespaces.is_some() {
            return Some("spec.allowedNamespaces");
        }
        (!is_default(&self.orphan_policy)).then_some("spec.orphanPolicy")
    }
}

/// The usage of the pool, and its problems. Informational; no component acts on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StaticIPPoolStatus {
    /// The number of addresses that the pool can allocate.
    #[serde(default)]
    pub total: u32,
    /// The number of those addresses that have a StaticIP.
    #[serde(default)]
    pub allocated: u32,
    /// The number of those addresses that have no StaticIP.
    #[serde(default)]
    pub free: u32,
    /// Conditions of the pool; at most one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What happens to an address in EC2 when its pod releases it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReleasePolicy {
    /// The address stays assigned to the ENI, reserved for its member.
    #[default]
    Keep,
    /// The address is unassigned and returns to the subnet.
    Unassign,
}

/// One EC2 subnet and the ranges that the pool allocates from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolSubnetSpec {
    /// The EC2 subnet ID.
    pub subnet: String,
    /// The IPv4 CIDR block of the subnet, as EC2 shows it.
    pub cidr: String,
    /// The availability zone of the subnet.
    pub zone: String,
    /// The address ranges that the pool allocates from; at least one. Reserve them in EC2 with a
    /// CIDR reservation of type `explicit`; otherwise EC2 may assign them to other interfaces.
    pub ranges: Vec<AddressRange>,
}

/// The addresses from `start` to `end`, inclusive. A range may include the five addresses that
/// AWS reserves in each subnet; the pool never allocates them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressRange {
    /// The first address.
    pub start: String,
    /// The last address; equal to `start` for a single address.
    pub end: String,
}

impl From<&record::Pool> for StaticIPPool {
    fn from(pool: &record::Pool) -> Self {
        let subnets = pool.subnets.iter().map(PoolSubnetSpec::from).collect();
        let release_policy = match pool.release_policy {
            record::ReleasePolicy::Keep => ReleasePolicy::Keep,
            record::ReleasePolicy::Unassign => ReleasePolicy::Unassign,
        };
        let orphan_policy = match pool.orphaned {
            record::OrphanPolicy::Report => OrphanPolicy::Report,
            record::OrphanPolicy::Adopt => OrphanPolicy::Adopt,
        };
        let spec = StaticIPPoolSpec {
            orphan_policy,
            release_policy,
            reclaim_policy: ReclaimPolicy::default(),
            claim_retention_policy: ClaimRetentionPolicy::default(),
            interfaces: None,
            allowed_namespaces: None,
            resource: (!pool.resource.is_default()).then(|| pool.resource.to_string()),
            subnets,
        };
        Self::new(Metadata::cluster(pool.name.as_str()), spec)
    }
}

impl From<&record::PoolSubnet> for PoolSubnetSpec {
    fn from(entry: &record::PoolSubnet) -> Self {
        let range = |(start, end): &(Ipv4Addr, Ipv4Addr)| AddressRange {
            start: start.to_string(),
            end: end.to_string(),
        };
        Self {
            subnet: entry.subnet.to_string(),
            cidr: entry.cidr.to_string(),
            zone: entry.zone.to_string(),
            ranges: entry.ranges.iter().map(range).collect(),
        }
    }
}

impl TryFrom<&StaticIPPool> for record::Pool {
    type Error = InvalidObject;

    fn try_from(object: &StaticIPPool) -> Result<Self, InvalidObject> {
        object.check_header()?;
        let name = PoolName::new(&object.metadata.name)
            .map_err(|wrong| object.invalid("metadata.name", wrong))?;
        let release_policy = match object.spec.release_policy {
            ReleasePolicy::Keep => record::ReleasePolicy::Keep,
            ReleasePolicy::Unassign => record::ReleasePolicy::Unassign,
        };
        let orphaned = match object.spec.orphan_policy {
            OrphanPolicy::Report => record::OrphanPolicy::Report,
            OrphanPolicy::Adopt => record::OrphanPolicy::Adopt,
        };
        let resource = object.spec.resource.as_deref().map(ResourceName::new).transpose();
        let resource = resource.map_err(|wrong| object.invalid("spec.resource", wrong))?;
        let entry = |(index, entry)| subnet_record(object, index, entry);
        let subnets = object.spec.subnets.iter().enumerate().map(entry);
        let subnets = subnets.collect::<Result<_, _>>()?;
        let resource = resource.unwrap_or_default();
        let pool = Self { name, release_policy, orphaned, resource, subnets };
        rules::check_pool(&pool).map_err(|(field, problem)| object.invalid(&field, problem))?;
        Ok(pool)
    }
}

fn subnet_record(
    object: &StaticIPPool,
    index: usize,
    entry: &PoolSubnetSpec,
) -> Result<record::PoolSubnet, InvalidObject> {
    let field = |name: &str| format!("spec.subnets[{index}].{name}");
    let range = |(at, range): (usize, &AddressRange)| {
        let parse = |end: &str, text: &str| {
            parse_address(text)
                .map_err(|wrong| object.invalid(&field(&format!("ranges[{at}].{end}")), wrong))
        };
        Ok((parse("start", &range.start)?, parse("end", &range.end)?))
    };
    Ok(record::PoolSubnet {
        subnet: SubnetId::new(&entry.subnet)
            .map_err(|wrong| object.invalid(&field("subnet"), wrong))?,
        cidr: parse_cidr(&entry.cidr).map_err(|wrong| object.invalid(&field("cidr"), wrong))?,
        zone: Zone::new(&entry.zone).map_err(|wrong| object.invalid(&field("zone"), wrong))?,
        ranges: entry.ranges.iter().enumerate().map(range).collect::<Result<_, _>>()?,
    })
}
