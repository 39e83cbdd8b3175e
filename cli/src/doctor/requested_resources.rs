//! Checks that the pods of members request the extended resource of their pool. Pure.

use std::collections::BTreeMap;

use firecamp_core::agent::ResourceList;
use firecamp_core::contract::api::EXTENDED_RESOURCE;
use firecamp_registry::api::StaticIPClaimSpec;

use super::finding::{Finding, Level};
use super::gather::RegistrySnapshot;
use crate::common::known_or_unknown::Answer;
use crate::common::registry_reader::Found;

/// No pod of a member requests the resource of another pool. Without a request, the scheduler does
/// not count the member at all, and a file registry has no scheduler.
pub(super) fn members(seen: &RegistrySnapshot) -> Vec<Finding> {
    let (Some(cluster), Some(claims), Some(pools)) =
        (&seen.cluster, seen.claims.known(), seen.pools.known())
    else {
        return Vec::new();
    };
    let requests = match &cluster.requests {
        Answer::Known(requests) => requests,
        Answer::Unknown(why) => return vec![Finding::unknown("members", "pods", why)],
    };
    let mut resources = BTreeMap::new();
    for pool in &pools.found {
        let resource = pool.spec.resource.as_deref().unwrap_or(EXTENDED_RESOURCE);
        resources.insert(pool.metadata.name.as_str(), resource);
    }
    let finding = |claim: &Found<StaticIPClaimSpec>| {
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let member = format!("{namespace}/{}", claim.metadata.name);
        let (pool, requested) = (claim.spec.pool.as_str(), requests.get(&member)?);
        mismatch(member, (pool, resources.get(pool)?), requested)
    };
    claims.found.iter().filter_map(finding).collect()
}

fn mismatch(
    member: String,
    (pool, resource): (&str, &str),
    requested: &ResourceList,
) -> Option<Finding> {
    let other = requested.keys().find(|name| name.as_str() != resource)?;
    let words = format!("the pod requests {other}, but {resource} counts the slots of pool {pool}");
    let found = ("OtherResourceRequested", words);
    let finding = Finding::new("members", Level::Warning, member, found);
    Some(finding.advice(format!(
        "request {resource} in the pod template instead; otherwise the scheduler may place the \
         member on a node that has no interface for it"
    )))
}
