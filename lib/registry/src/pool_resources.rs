//! The rule for the extended resources of pools. Pools that share a subnet need the same resource:
//! a slot is a slot of an interface, and each interface is in one subnet. Pools that share none
//! need different ones: otherwise the scheduler would place a member where only interfaces of the
//! other pool have a free slot.

use std::collections::BTreeMap;

use firecamp_core::contract::api::EXTENDED_RESOURCE;
use firecamp_core::contract::cluster::reason;
use firecamp_core::ids::{PoolName, ResourceName};
use firecamp_core::record::Pool;
use thiserror::Error;

/// What is wrong with the resource of a pool, and which value is right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResourceFault {
    /// It differs from that of an earlier pool with which the pool shares a subnet.
    #[error(
        "spec.resource is {has}, but {resource} counts the slots in its subnets, because of pool \
         {other}: set spec.resource to {resource}"
    )]
    Differs {
        /// The resource of the pool.
        has: ResourceName,
        /// The earlier pool.
        other: PoolName,
        /// Its resource.
        resource: ResourceName,
    },
    /// It is that of an earlier pool with which the pool shares no subnet.
    #[error(
        "spec.resource is {has}, which counts the slots in the subnets of pool {other}, and these \
         are others: set spec.resource to {wanted}"
    )]
    NotUnique {
        /// The resource of both pools.
        has: ResourceName,
        /// The earlier pool.
        other: PoolName,
        /// A value that is right.
        wanted: String,
    },
}

impl ResourceFault {
    /// Its stable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Differs { .. } => reason::RESOURCE_DIFFERS,
            Self::NotUnique { .. } => reason::RESOURCE_NOT_UNIQUE,
        }
    }
}

/// The pools whose resource is wrong. `pools` with the time of their creation, as text in RFC 3339
/// and UTC, which sorts like the time: of two pools, the later one is wrong.
pub fn resource_faults<'a>(
    pools: impl IntoIterator<Item = (Option<&'a str>, &'a Pool)>,
) -> BTreeMap<PoolName, ResourceFault> {
    let mut pools: Vec<_> = pools.into_iter().collect();
    pools.sort_by_key(|(created, pool)| (*created, &pool.name));
    let mut faults = BTreeMap::new();
    // The pool to which each resource belongs.
    let mut owners: BTreeMap<&ResourceName, &PoolName> = BTreeMap::new();
    for set in sets(pools.into_iter().map(|(_created, pool)| pool)) {
        let owner = set.iter().find(|pool| !owners.contains_key(&pool.resource));
        for pool in &set {
            let name = pool.name.clone();
            if let Some(other) = owners.get(&pool.resource) {
                let wanted = owner.map_or_else(|| own_name(&set), |it| it.resource.to_string());
                let (has, other) = (pool.resource.clone(), PoolName::clone(other));
                faults.insert(name, ResourceFault::NotUnique { has, other, wanted });
            } else if let Some(owner) = owner.filter(|owner| owner.resource != pool.resource) {
                let (other, resource) = (owner.name.clone(), owner.resource.clone());
                let has = pool.resource.clone();
                faults.insert(name, ResourceFault::Differs { has, other, resource });
            }
        }
        owners.extend(owner.map(|pool| (&pool.resource, &pool.name)));
    }
    faults
}

/// The pools that share subnets, directly or through others, in the order of their first pools.
fn sets<'a>(pools: impl Iterator<Item = &'a Pool>) -> Vec<Vec<&'a Pool>> {
    let mut sets: Vec<Vec<(usize, &Pool)>> = Vec::new();
    for (at, pool) in pools.enumerate() {
        let touches = |set: &Vec<(usize, &Pool)>| set.iter().any(|(_, one)| share(one, pool));
        let (joined, mut others): (Vec<_>, Vec<_>) = sets.into_iter().partition(touches);
        let mut set: Vec<_> = joined.into_iter().flatten().chain([(at, pool)]).collect();
        set.sort_by_key(|(at, _)| *at);
        others.push(set);
        sets = others;
    }
    sets.sort_by_key(|set| set.first().map(|(at, _)| *at));
    sets.into_iter().map(|set| set.into_iter().map(|(_, pool)| pool).collect()).collect()
}

fn share(one: &Pool, two: &Pool) -> bool {
    one.subnets.iter().any(|a| two.subnets.iter().any(|b| a.subnet == b.subnet))
}

/// A name of its own for these pools: that of the first one, if it fits.
fn own_name(set: &[&Pool]) -> String {
    let name = set.first().map(|pool| format!("{EXTENDED_RESOURCE}-{}", pool.name));
    let valid = name.filter(|name| ResourceName::new(name).is_ok());
    valid.unwrap_or_else(|| format!("a name of its own, {EXTENDED_RESOURCE}-SUFFIX"))
}

#[cfg(test)]
#[path = "pool_resources_tests.rs"]
mod tests;
