//! Reads the original's records, and the existing objects.

use std::collections::BTreeMap;

use firecamp_core::contract::original::{ADDRESS_PREFIX, IMPORT_RUN, MEMBER_PREFIX};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{InstanceId, Member, NodeName, RunId};
use firecamp_core::record::{Claim, Pool, StaticIp};
use firecamp_kube::Inventory;
use firecamp_registry::api::{
    InvalidObject, Kind, Metadata, Object, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};
use serde::de::DeserializeOwned;

use super::parse_original::OldRecords;
use super::plan::{Known, KnownPool, PodPhase};
use crate::common::progress;
use crate::common::registry_reader::{Cluster, Found, RegistryReader};
use crate::failure::Failure;

/// The phase of a pod whose init containers have not completed.
const PENDING: &str = "Pending";

/// The records of the original in a namespace.
pub async fn old_records(cluster: &Cluster, namespace: &str) -> Result<OldRecords, Failure> {
    let what = format!("read the original's ConfigMaps in namespace {namespace}");
    Ok(progress::during(&what, read_old(&cluster.inventory, namespace)).await?)
}

async fn read_old(from: &Inventory, namespace: &str) -> Result<OldRecords, RegistryFailure> {
    let mut old = OldRecords::default();
    for name in from.config_maps(namespace, &[ADDRESS_PREFIX, MEMBER_PREFIX]).await? {
        // A ConfigMap that was deleted since the list is ignored.
        if let Some(texts) = from.config_map(namespace, &name).await? {
            old.add(namespace, &name, &texts);
        }
    }
    Ok(old)
}

/// Reads the existing objects. An unreadable object is a failure, because it may claim any address.
pub async fn known(
    reader: &RegistryReader,
    cluster: &Cluster,
    old: &OldRecords,
) -> Result<Known, Failure> {
    let run = RunId::new(IMPORT_RUN).map_err(|wrong| Failure::Usage(wrong.to_string()))?;
    let mut known = Known {
        pools: pools(reader).await?,
        addresses: BTreeMap::new(),
        claims: BTreeMap::new(),
        nodes: nodes(reader).await?,
        pods: BTreeMap::new(),
        run,
    };
    for ip in records::<StaticIPSpec, StaticIp>(reader).await? {
        known.addresses.insert(ip.address, ip);
    }
    for claim in records::<StaticIPClaimSpec, Claim>(reader).await? {
        known.claims.insert(claim.member.clone(), claim);
    }
    let members = old.members.iter().filter(|one| one.address.is_some());
    let members: Vec<Member> = members.map(|one| one.member.clone()).collect();
    known.pods = progress::during("read the members' pods", pods(cluster, members)).await;
    let moved = moved(&cluster.inventory, old);
    for member in progress::during("read the addresses' ConfigMaps again", moved).await? {
        known.pods.insert(member, PodPhase::Starting);
    }
    Ok(known)
}

/// The members whose address record has changed since it was read: a pod that was running when pods
/// were read may have moved the address before.
async fn moved(from: &Inventory, old: &OldRecords) -> Result<Vec<Member>, RegistryFailure> {
    let mut moved = Vec::new();
    for one in &old.members {
        let Some(record) = one.address.and_then(|at| old.addresses.get(&at)) else { continue };
        let name = format!("{ADDRESS_PREFIX}{}", record.address);
        let mut now = OldRecords::default();
        if let Some(texts) = from.config_map(one.member.namespace(), &name).await? {
            now.add(one.member.namespace(), &name, &texts);
        }
        if now.addresses.get(&record.address) != Some(record) {
            moved.push(one.member.clone());
        }
    }
    Ok(moved)
}

async fn pods(cluster: &Cluster, members: Vec<Member>) -> BTreeMap<Member, PodPhase> {
    let mut pods = BTreeMap::new();
    for member in members {
        let look = match cluster.inventory.phase(&member).await {
            Ok(phase) if phase.as_deref() == Some(PENDING) => PodPhase::Starting,
            Ok(_settled) => PodPhase::Settled,
            Err(why) => PodPhase::Unknown(why.to_string()),
        };
        pods.insert(member, look);
    }
    pods
}

async fn pools(reader: &RegistryReader) -> Result<Vec<KnownPool>, Failure> {
    let mut pools = Vec::new();
    for found in all::<StaticIPPoolSpec>(reader).await? {
        let reclaim = found.spec.reclaim_policy;
        pools.push(KnownPool { pool: record::<_, Pool>(found)?, reclaim });
    }
    Ok(pools)
}

/// The nodes by instance ID, from the provider ID or from the report of the node's agent. An
/// unreadable report is a failure if it is needed: its node must not be taken for a lost machine.
async fn nodes(reader: &RegistryReader) -> Result<BTreeMap<InstanceId, NodeName>, Failure> {
    let all = reader.nodes().await?.unwrap_or_default();
    let (reports, unread) =
        reader.reports().await?.map(|listed| (listed.found, listed.unread)).unwrap_or_default();
    if let Some(unread) = unread.first()
        && all.values().any(|node| node.instance.is_none())
    {
        return Err(unreadable(format!("{}: {}", unread.what, unread.why)));
    }
    let reported = |name: &str| {
        let report = reports.iter().find(|report| report.metadata.name == name)?;
        report.status.instance.clone()
    };
    let named = all.into_iter().filter_map(|(name, node)| {
        let instance = node.instance.or_else(|| reported(&name))?;
        Some((InstanceId::new(&instance).ok()?, NodeName::new(&name).ok()?))
    });
    Ok(named.collect())
}

async fn records<S, T>(reader: &RegistryReader) -> Result<Vec<T>, Failure>
where
    S: Kind + DeserializeOwned + Send + 'static,
    for<'a> T: TryFrom<&'a Object<S>, Error = InvalidObject>,
{
    all::<S>(reader).await?.into_iter().map(record::<S, T>).collect()
}

async fn all<S>(reader: &RegistryReader) -> Result<Vec<Found<S>>, Failure>
where
    S: Kind + DeserializeOwned + Send + 'static,
{
    let listed = reader.all::<S>().await?;
    match listed.unread.first() {
        Some(unread) => Err(unreadable(format!("{}: {}", unread.what, unread.why))),
        None => Ok(listed.found),
    }
}

fn record<S, T>(found: Found<S>) -> Result<T, Failure>
where
    S: Kind,
    for<'a> T: TryFrom<&'a Object<S>, Error = InvalidObject>,
{
    let metadata = Metadata {
        name: found.metadata.name,
        namespace: found.metadata.namespace,
        ..Metadata::default()
    };
    let object = Object::new(metadata, found.spec);
    T::try_from(&object).map_err(|wrong| unreadable(wrong.to_string()))
}

fn unreadable(detail: String) -> Failure {
    RegistryFailure { kind: RegistryKind::Invalid, effect: Effect::None, detail }.into()
}
