//! Checks that apply to every registry: pools, claims and addresses. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::allocate::candidates;
use firecamp_core::contract::cluster::reason;
use firecamp_core::ids::{PoolName, SubnetId};
use firecamp_core::record::{Pool, PoolSubnet};
use firecamp_node::preflight::facts::{Purpose, Range};
use firecamp_registry::api::{Kind, Metadata, Problem, StaticIPPool, StaticIPPoolSpec};
use firecamp_registry::{ResourceFault, resource_faults};
use jiff::Timestamp;

use super::finding::{Finding, Level};
use super::gather::RegistrySnapshot;
use super::requested_resources;
use crate::common::command_result::UnreadableObject;
use crate::common::known_or_unknown::Answer;
use crate::common::registry_reader::Found;
use crate::status::rows::{self, MemberStatus};

/// A pool with less free addresses than this percentage is nearly full.
const NEARLY_FULL: usize = 10;

/// Seconds after which an unbound claim is a failure; an init container binds its claim within
/// seconds.
const UNBOUND_FOR: i64 = 5 * 60;

/// Pools are readable and valid, do not conflict, and have free addresses.
pub(super) fn pools(seen: &RegistrySnapshot) -> Vec<Finding> {
    let listing = match &seen.pools {
        Answer::Known(listing) => listing,
        Answer::Unknown(why) => return vec![Finding::unknown("pools", "all pools", why)],
    };
    let mut findings = unread("pools", &listing.unread);
    if listing.found.is_empty() && findings.is_empty() {
        let found = ("NoPool", "members get no address without a StaticIPPool".to_owned());
        let finding = Finding::new("pools", Level::Failed, StaticIPPoolSpec::KIND, found);
        return vec![
            finding.advice("create a StaticIPPool; deploy/examples/pool.yaml is an example"),
        ];
    }
    let (mut valid, mut created) = (Vec::new(), Vec::new());
    for pool in &listing.found {
        match record(pool, seen.cluster.is_some()) {
            Ok(record) => {
                valid.push(record);
                created.push(pool.metadata.creation_timestamp.as_deref());
            }
            Err(finding) => findings.push(finding),
        }
    }
    if seen.cluster.is_some() {
        let faults = resource_faults(created.into_iter().zip(&valid)).into_iter();
        findings.extend(faults.map(|(pool, fault)| wrong_resource(&pool, &fault)));
    }
    for (index, pool) in valid.iter().enumerate() {
        let others = valid.iter().take(index);
        findings.extend(others.flat_map(|other| conflicts(other, pool)));
        findings.push(capacity(seen, pool));
    }
    findings
}

fn label(pool: &str) -> String {
    format!("StaticIPPool {pool}")
}

/// The leader reports the same in the pool's condition `Ready`.
fn wrong_resource(pool: &PoolName, fault: &ResourceFault) -> Finding {
    let found = (fault.reason(), fault.to_string());
    let finding = Finding::new("pools", Level::Failed, label(pool.as_str()), found);
    finding.advice("set the field as the message says, and the same name in the members' requests")
}

fn record(pool: &Found<StaticIPPoolSpec>, in_cluster: bool) -> Result<Pool, Finding> {
    let name = &pool.metadata.name;
    let wrong = |why: String| {
        let finding = Finding::new("pools", Level::Failed, label(name), ("PoolInvalid", why));
        finding.advice("correct the field; until then, members of the pool get no address")
    };
    if let Some(field) = pool.spec.needs_a_cluster().filter(|_| !in_cluster) {
        return Err(wrong(format!("{field}: only supported in a cluster")));
    }
    let object = StaticIPPool::new(Metadata::cluster(name), pool.spec.clone());
    Pool::try_from(&object).map_err(|why| wrong(why.to_string()))
}

/// Conflicts between two pools about one subnet.
fn conflicts(one: &Pool, two: &Pool) -> Vec<Finding> {
    let object = format!("{} and {}", label(one.name.as_str()), two.name);
    let mut findings = Vec::new();
    for (a, b) in pairs(one, two) {
        if (a.cidr, &a.zone) != (b.cidr, &b.zone) {
            let words = format!(
                "conflicting definitions of {}: {} in {}, and {} in {}",
                a.subnet, a.cidr, a.zone, b.cidr, b.zone
            );
            let found = ("PoolsConflict", words);
            let finding = Finding::new("pools", Level::Failed, &object, found);
            findings
                .push(finding.advice(
                    "in both pools, use the CIDR and the zone that EC2 has for the subnet",
                ));
        }
        if let Some((start, end)) = shared(a, b) {
            let words = format!("both contain {start} to {end} of {}", a.subnet);
            let finding = Finding::new("pools", Level::Warning, &object, ("PoolsOverlap", words));
            let advice = "use separate ranges: no address is assigned twice, but the number of \
                          free addresses is overstated";
            findings.push(finding.advice(advice));
        }
    }
    findings
}

fn pairs<'a>(
    one: &'a Pool,
    two: &'a Pool,
) -> impl Iterator<Item = (&'a PoolSubnet, &'a PoolSubnet)> {
    one.subnets
        .iter()
        .flat_map(|a| two.subnets.iter().filter(|b| b.subnet == a.subnet).map(move |b| (a, b)))
}

/// The first range of addresses that both contain.
fn shared(a: &PoolSubnet, b: &PoolSubnet) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let both = a.ranges.iter().flat_map(|one| b.ranges.iter().map(move |two| (one, two)));
    both.map(|((s, e), (t, f))| (*s.max(t), *e.min(f))).find(|(start, end)| start <= end)
}

fn capacity(seen: &RegistrySnapshot, pool: &Pool) -> Finding {
    let object = label(pool.name.as_str());
    let addresses = match &seen.addresses {
        Answer::Known(listing) => listing,
        Answer::Unknown(why) => return Finding::unknown("pools", object, why),
    };
    let taken = addresses.found.iter().filter_map(|ip| ip.metadata.name.parse().ok());
    let taken: BTreeSet<Ipv4Addr> = taken.collect();
    let none = BTreeSet::new();
    let count = |taken: &BTreeSet<Ipv4Addr>| {
        pool.subnets.iter().map(|subnet| candidates(subnet, taken, &none).count()).sum::<usize>()
    };
    let (all, free) = (count(&none), count(&taken));
    let words = format!("{free} of {all} addresses are free");
    let full: Vec<&PoolSubnet> = pool
        .subnets
        .iter()
        .filter(|subnet| candidates(subnet, &taken, &none).next().is_none())
        .collect();
    let advice = "add a range or a subnet, or delete StaticIPs that are no longer needed";
    if free == 0 {
        return Finding::new("pools", Level::Failed, object, ("PoolFull", words)).advice(advice);
    }
    if let Some(subnet) = full.first() {
        let words = format!("{words}, but none in {} ({})", subnet.subnet, subnet.zone);
        return Finding::new("pools", Level::Warning, object, ("SubnetFull", words)).advice(advice);
    }
    if free.saturating_mul(100) <= all.saturating_mul(NEARLY_FULL) {
        let found = ("PoolNearlyFull", words);
        return Finding::new("pools", Level::Warning, object, found).advice(advice);
    }
    Finding::ok("pools", object, words)
}

/// The subnets of all pools, if there are any and all could be read.
pub(super) fn subnets(seen: &RegistrySnapshot) -> Option<BTreeMap<SubnetId, Vec<Range>>> {
    let pools = seen.pools.known().filter(|pools| pools.unread.is_empty())?;
    let in_cluster = seen.cluster.is_some();
    let all: Option<Vec<Pool>> =
        pools.found.iter().map(|pool| record(pool, in_cluster).ok()).collect();
    Some(Purpose::of_pools(&all?)).filter(|subnets| !subnets.is_empty())
}

/// Claims have addresses, and addresses have claims.
pub(super) fn members(seen: &RegistrySnapshot, now: Timestamp) -> Vec<Finding> {
    let (claims, addresses) = match (&seen.claims, &seen.addresses) {
        (Answer::Known(claims), Answer::Known(addresses)) => (claims.clone(), addresses.clone()),
        (Answer::Unknown(why), _) | (_, Answer::Unknown(why)) => {
            return vec![Finding::unknown("members", "all members", why)];
        }
    };
    let reports = seen.cluster.as_ref().and_then(|cluster| cluster.reports.known());
    let reports = reports.map(|listing| listing.found.clone()).unwrap_or_default();
    let read = rows::RegistryObjects { claims, addresses, reports, unread: Vec::new() };
    let report = rows::report(&read, String::new());
    let mut findings = unread("members", &report.unread);
    findings.extend(report.members.iter().filter_map(|row| of_member(row, now)));
    let pools = seen.pools.known().filter(|listing| listing.unread.is_empty());
    if let Some(pools) = pools {
        let known: BTreeSet<&str> =
            pools.found.iter().map(|pool| pool.metadata.name.as_str()).collect();
        let lost = report.members.iter().filter(|row| !known.contains(row.pool.as_str()));
        findings.extend(lost.map(pool_missing));
    }
    findings.extend(requested_resources::members(seen));
    if findings.is_empty() {
        let words = format!("{} members; no problems found", report.members.len());
        findings.push(Finding::ok("members", "all members", words));
    }
    findings
}

fn pool_missing(row: &MemberStatus) -> Finding {
    let words = format!("StaticIPPool {} does not exist", row.pool);
    let finding =
        Finding::new("members", Level::Warning, &row.member, (reason::POOL_NOT_FOUND, words));
    finding.advice("create the pool again; the member keeps its address but cannot get another one")
}

fn of_member(row: &MemberStatus, now: Timestamp) -> Option<Finding> {
    let Problem { reason, message } = row.problem.as_ref()?;
    let created = row.created.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
    let old = created.is_none_or(|time| now.as_second() - time.as_second() > UNBOUND_FOR);
    let level = match reason.as_str() {
        "ClaimUnbound" if !old => Level::Warning,
        "Attaching" | "Releasing" | "CallInFlight" | reason::CLAIM_NOT_FOUND => Level::Warning,
        "ClaimUnreadable" => Level::Unknown,
        _ => Level::Failed,
    };
    let finding = Finding::new("members", level, &row.member, (reason.as_str(), message.clone()));
    Some(finding.advice(format!("firecamp explain {}", row.member)))
}

fn unread(check: &'static str, unread: &[UnreadableObject]) -> Vec<Finding> {
    unread.iter().map(|one| Finding::unknown(check, &one.what, &one.why)).collect()
}
