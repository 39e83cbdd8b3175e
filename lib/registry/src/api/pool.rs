//! `StaticIPPool`: address ranges per subnet, and what a release does.

use std::net::Ipv4Addr;

use firecamp_core::ids::{PoolName, SubnetId, Zone, parse_address};
use firecamp_core::record;
use serde::{Deserialize, Serialize};

use super::problem::InvalidObject;
use super::static_ip::parse_cidr;
use super::{Condition, Metadata, StaticIPPool};
use crate::rules;

/// What decides about a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticIPPoolSpec {
    /// What a release does in EC2.
    #[serde(default)]
    pub release_policy: ReleasePolicy,
    /// What becomes of an address whose claim is gone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reclaim_policy: ReclaimPolicy,
    /// What becomes of a claim whose StatefulSet no longer wants the member.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claim_retention_policy: ClaimRetentionPolicy,
    /// What becomes of an address of these ranges that EC2 has on an ENI of the cluster and
    /// nobody claims.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unclaimed_policy: UnclaimedPolicy,
    /// One entry per EC2 subnet, at least one.
    pub subnets: Vec<PoolSubnetSpec>,
}

/// What becomes of an address whose claim is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReclaimPolicy {
    /// The StaticIP stays, and with it the address, until a person removes it.
    #[default]
    Retain,
    /// The StaticIP is removed once the address has left EC2, and may be handed out again.
    Delete,
}

/// What becomes of an address that EC2 has on an ENI of the cluster and nobody claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum UnclaimedPolicy {
    /// It is told and left as it is, also where the field is not set.
    #[default]
    Report,
    /// It gets a StaticIP, and the reclaim policy decides. Only for ranges that are FireCamp's
    /// alone: a CIDR reservation of type explicit covers them, and nobody else assigns theirs.
    Adopt,
}

/// What becomes of the claims of a StatefulSet's members, as with
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

/// What becomes of a claim whose member is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ClaimRetention {
    /// The claim stays, and the member finds its address again when it comes back.
    #[default]
    Retain,
    /// The claim is removed, and the reclaim policy decides about its address.
    Delete,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl StaticIPPoolSpec {
    /// The field, if any, that asks for what only the agents of a cluster can do.
    pub fn needs_a_cluster(&self) -> Option<&'static str> {
        if !is_default(&self.reclaim_policy) {
            return Some("spec.reclaimPolicy");
        }
        if !is_default(&self.claim_retention_policy) {
            return Some("spec.claimRetentionPolicy");
        }
        (!is_default(&self.unclaimed_policy)).then_some("spec.unclaimedPolicy")
    }
}

/// How much of a pool is in use, and what is wrong with it. Nothing decides by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StaticIPPoolStatus {
    /// How many addresses it may hand out.
    #[serde(default)]
    pub total: u32,
    /// How many of them have a StaticIP.
    #[serde(default)]
    pub allocated: u32,
    /// How many of them have none.
    #[serde(default)]
    pub free: u32,
    /// Kubernetes' conditions, at most one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What a release of an address does in EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReleasePolicy {
    /// The address stays on the ENI as a reservation.
    #[default]
    Keep,
    /// The address goes back to the subnet.
    Unassign,
}

/// The addresses of one subnet that the pool hands out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolSubnetSpec {
    /// The id of the EC2 subnet.
    pub subnet: String,
    /// Its IPv4 CIDR block, as EC2 shows it.
    pub cidr: String,
    /// Its availability zone.
    pub zone: String,
    /// Which of its addresses, at least one range. Reserve them in EC2 (a CIDR reservation of
    /// type `explicit`), or EC2 may give them to somebody else.
    pub ranges: Vec<AddressRange>,
}

/// Addresses from `start` to `end`, both included. The five addresses that EC2 keeps in each
/// subnet may lie inside; they are never handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressRange {
    /// The first address.
    pub start: String,
    /// The last address; equal to `start` for a single one.
    pub end: String,
}

impl From<&record::Pool> for StaticIPPool {
    fn from(pool: &record::Pool) -> Self {
        let subnets = pool.subnets.iter().map(PoolSubnetSpec::from).collect();
        let release_policy = match pool.release_policy {
            record::ReleasePolicy::Keep => ReleasePolicy::Keep,
            record::ReleasePolicy::Unassign => ReleasePolicy::Unassign,
        };
        let unclaimed_policy = match pool.unclaimed {
            record::UnclaimedPolicy::Report => UnclaimedPolicy::Report,
            record::UnclaimedPolicy::Adopt => UnclaimedPolicy::Adopt,
        };
        let spec = StaticIPPoolSpec {
            unclaimed_policy,
            release_policy,
            reclaim_policy: ReclaimPolicy::default(),
            claim_retention_policy: ClaimRetentionPolicy::default(),
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
        let unclaimed = match object.spec.unclaimed_policy {
            UnclaimedPolicy::Report => record::UnclaimedPolicy::Report,
            UnclaimedPolicy::Adopt => record::UnclaimedPolicy::Adopt,
        };
        let entry = |(index, entry)| subnet_record(object, index, entry);
        let subnets = object.spec.subnets.iter().enumerate().map(entry);
        let subnets = subnets.collect::<Result<_, _>>()?;
        let pool = Self { name, release_policy, unclaimed, subnets };
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
