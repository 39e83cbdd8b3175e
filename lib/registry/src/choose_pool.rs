//! The pool of a new member, in every registry.

use std::collections::BTreeSet;

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName};

use crate::failure::failed;

/// The number of pools that a message lists.
const LISTED_POOLS: usize = 10;

/// The pool of a member that has no claim and specifies no pool.
pub fn only_pool(member: &Member, names: &BTreeSet<PoolName>) -> Result<PoolName, RegistryFailure> {
    let mut each = names.iter();
    match (each.next(), each.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => {
            let detail = format!(
                "failed to choose a pool for member {member}: no StaticIPPool exists: create a \
                 StaticIPPool with the subnets and address ranges that members may use"
            );
            Err(failed(RegistryKind::NotFound, detail))
        }
        (Some(_), Some(_)) => {
            let count = names.len();
            let listed: Vec<&str> = names.iter().take(LISTED_POOLS).map(PoolName::as_str).collect();
            let more = if count > LISTED_POOLS { ", ..." } else { "" };
            let detail = format!(
                "failed to choose a pool for member {member}: there are {count} pools: specify one \
                 of {}{more} with --pool or FIRECAMP_POOL",
                listed.join(", ")
            );
            Err(failed(RegistryKind::Refused, detail))
        }
    }
}

/// The failure for a pool that does not exist.
pub fn no_such_pool(name: &PoolName, place: &str) -> RegistryFailure {
    let detail = format!("failed to read StaticIPPool {name}: not found {place}; create it");
    failed(RegistryKind::NotFound, detail)
}
