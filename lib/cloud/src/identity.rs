//! This instance and its ENIs, according to the metadata service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, InstanceId, Mac, SubnetId, Zone, parse_address};
use firecamp_core::node_identity::{Eni, NodeIdentity};
use futures_util::future::{join_all, try_join_all};
use ipnet::Ipv4Net;

use crate::classify::classify_metadata;
use crate::config::is_region;
use crate::metadata::Metadata;
use crate::sdk_error;

/// No instance type has this many ENIs; a longer list is invalid.
const ENIS_MAX: usize = 128;

const MACS: &str = "network/interfaces/macs/";

/// Interfaces that are left out, and why. The metadata service is read every few seconds: only a
/// new reason is logged.
#[derive(Debug, Default)]
pub(crate) struct SkippedInterfaces(Mutex<BTreeMap<Mac, &'static str>>);

impl SkippedInterfaces {
    /// Replaces those of the last read, and returns the new ones.
    fn note(&self, skipped: BTreeMap<Mac, &'static str>) -> Vec<(Mac, &'static str)> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, skipped.clone());
        drop(last);
        skipped.into_iter().filter(|(mac, why)| before.get(mac) != Some(why)).collect()
    }
}

/// The constant values of a running instance, read once.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    id: InstanceId,
    kind: String,
    zone: Zone,
    region: String,
    primary: Mac,
}

pub(crate) async fn instance(metadata: &Metadata) -> Result<Instance, CloudFailure> {
    let (id, kind, zone, region, primary) = tokio::try_join!(
        metadata.get("instance-id"),
        metadata.get("instance-type"),
        metadata.get("placement/availability-zone"),
        region(metadata),
        metadata.get("mac"),
    )?;
    Ok(Instance {
        id: value("instance-id", &id, InstanceId::from_str)?,
        kind: value("instance-type", &kind, instance_type)?,
        zone: value("placement/availability-zone", &zone, Zone::from_str)?,
        region,
        primary: value("mac", &primary, Mac::from_str)?,
    })
}

/// The region's own key: a region derived from the zone's name is wrong in Local Zones.
pub(crate) async fn region(metadata: &Metadata) -> Result<String, CloudFailure> {
    let text = metadata.get("placement/region").await?;
    value("placement/region", &text, |text| {
        if is_region(text) { Ok(text.to_owned()) } else { Err("not the name of a region") }
    })
}

/// The interfaces of an identity.
pub(crate) type Known = BTreeMap<Mac, Eni>;

/// One interface, or why it is left out.
type EniRead = Result<Result<Eni, &'static str>, CloudFailure>;

/// The answers about interfaces that are read before it is known whether they are still listed.
pub(crate) type Early = BTreeMap<Mac, EniRead>;

/// Reads these interfaces: all of their keys or, with `unused`, what changes of the others.
pub(crate) async fn early(
    metadata: &Metadata,
    known: Known,
    unused: Option<&BTreeSet<Mac>>,
) -> Early {
    let read = async |(mac, known): (Mac, Eni)| {
        let read = match unused {
            None => Box::pin(eni(metadata, mac)).await,
            Some(unused) if unused.contains(&mac) => Ok(Ok(known)),
            Some(_) => Box::pin(again(metadata, known)).await,
        };
        (mac, read)
    };
    join_all(known.into_iter().map(read)).await.into_iter().collect()
}

/// A known ENI with its present addresses. One that has none or another primary address is not the
/// same any more, and all of its keys are read.
async fn again(metadata: &Metadata, known: Eni) -> EniRead {
    let path = key(known.mac, "local-ipv4s");
    let found = metadata.find(&path).await?.map(|text| lines(&path, &text, parse_address));
    match found.transpose()? {
        Some(all) if all.first() == Some(&known.primary_address) => {
            let listed = all.into_iter().filter(|one| *one != known.primary_address).collect();
            Ok(Ok(Eni { listed, ..known }))
        }
        Some(_) | None => Box::pin(eni(metadata, known.mac)).await,
    }
}

/// The instance with the listed ENIs that the metadata service shows completely, ordered by network
/// card and device index.
pub(crate) async fn identity(
    metadata: &Metadata,
    skipped: &SkippedInterfaces,
    instance: &Instance,
    (macs, mut early): (BTreeSet<Mac>, Early),
) -> Result<NodeIdentity, CloudFailure> {
    let Instance { id, kind, zone, region, primary } = instance.clone();
    let shown = macs.iter().map(|mac| {
        let known = early.remove(mac);
        async move {
            match known {
                Some(read) => read,
                None => Box::pin(eni(metadata, *mac)).await,
            }
        }
    });
    let found = try_join_all(shown).await?;
    let left_out =
        macs.iter().zip(&found).filter_map(|(mac, eni)| Some((*mac, *eni.as_ref().err()?)));
    for (mac, why) in skipped.note(left_out.collect()) {
        tracing::warn!(%mac, why, "interface skipped");
    }
    let enis = plausible(found.into_iter().flatten().collect(), primary);
    if !enis.iter().any(|eni| eni.mac == primary) {
        return Err(malformed(&format!("the primary interface {primary} of {id} is incomplete")));
    }
    Ok(NodeIdentity { instance: id, instance_type: kind, zone, region, enis })
}

/// One MAC per line, in lower case with a trailing slash.
pub(crate) async fn macs(metadata: &Metadata) -> Result<BTreeSet<Mac>, CloudFailure> {
    let text = metadata.get(MACS).await?;
    let parse = |line: &str| Mac::from_str(line.trim_end_matches('/'));
    let macs: BTreeSet<Mac> = lines(MACS, &text, parse)?.into_iter().collect();
    if macs.len() > ENIS_MAX {
        return Err(malformed(&format!("{MACS} lists {} interfaces", macs.len())));
    }
    Ok(macs)
}

/// The addresses of the ENI with this MAC, the primary one first.
pub(crate) async fn addresses(
    metadata: &Metadata,
    mac: Mac,
) -> Result<Vec<Ipv4Addr>, CloudFailure> {
    let path = key(mac, "local-ipv4s");
    lines(&path, &metadata.get(&path).await?, parse_address)
}

/// One ENI, or why it is left out because a key is missing: a ghost that EC2 no longer has, an ENI
/// that is being attached, or one without IPv4 (IPv6-only or EFA-only).
async fn eni(metadata: &Metadata, mac: Mac) -> EniRead {
    let find = async |name: &'static str| metadata.find(&key(mac, name)).await;
    let (id, device, card, subnet, cidr, addresses, prefixes) = tokio::try_join!(
        find("interface-id"),
        find("device-number"),
        find("network-card"),
        find("subnet-id"),
        find("subnet-ipv4-cidr-block"),
        find("local-ipv4s"),
        find("ipv4-prefix"),
    )?;
    let why = match (&id, &device, &subnet, &addresses) {
        (Some(_), Some(_), Some(_), None) => "it has no IPv4 address in the metadata service",
        _ => "it is incomplete in the metadata service",
    };
    let (Some(id), Some(device), Some(subnet), Some(cidr), Some(addresses)) =
        (id, device, subnet, cidr, addresses)
    else {
        return Ok(Err(why));
    };
    let mut addresses = lines(&key(mac, "local-ipv4s"), &addresses, parse_address)?.into_iter();
    let primary_address = addresses.next().ok_or_else(|| malformed("no address at all"))?;
    let network_card = match card {
        Some(card) => value(&key(mac, "network-card"), &card, u32::from_str)?,
        None => 0,
    };
    let prefixes = match prefixes {
        Some(text) => lines(&key(mac, "ipv4-prefix"), &text, Ipv4Net::from_str)?.len(),
        None => 0,
    };
    Ok(Ok(Eni {
        id: value(&key(mac, "interface-id"), &id, EniId::from_str)?,
        mac,
        device_index: value(&key(mac, "device-number"), &device, u32::from_str)?,
        network_card,
        subnet: value(&key(mac, "subnet-id"), &subnet, SubnetId::from_str)?,
        cidr: value(&key(mac, "subnet-ipv4-cidr-block"), &cidr, Ipv4Net::from_str)?,
        primary_address,
        listed: addresses.filter(|address| *address != primary_address).collect(),
        prefixes: u32::try_from(prefixes).unwrap_or(u32::MAX),
    }))
}

/// Drops ENIs whose position is not theirs: a hot-plugged ENI reads device number 0 until its own
/// has propagated, and no network card on a type that has several.
fn plausible(enis: Vec<Eni>, primary: Mac) -> Vec<Eni> {
    let mut places: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for eni in &enis {
        let sharers = places.entry((eni.network_card, eni.device_index)).or_default();
        *sharers = sharers.saturating_add(1);
    }
    let fits = |eni: &Eni| {
        let place = (eni.network_card, eni.device_index);
        let own = if eni.mac == primary {
            eni.device_index == 0
        } else {
            eni.device_index != 0 && places.get(&place) == Some(&1)
        };
        if !own {
            let (mac, device) = (eni.mac, eni.device_index);
            tracing::warn!(%mac, device, "interface skipped: device number not propagated yet");
        }
        own
    };
    let mut fitting: Vec<Eni> = enis.into_iter().filter(fits).collect();
    fitting.sort_by_key(|eni| (eni.network_card, eni.device_index));
    fitting
}

fn key(mac: Mac, name: &str) -> String {
    format!("{MACS}{mac}/{name}")
}

fn instance_type(text: &str) -> Result<String, &'static str> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if text.len() <= 64 && text.chars().all(ok) {
        Ok(text.to_owned())
    } else {
        Err("not the name of an instance type")
    }
}

/// A value on one line.
fn value<T, E: std::fmt::Display>(
    path: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, CloudFailure> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    parse(line).map_err(|error| malformed(&format!("{path} has the value {line:?}: {error}")))
}

/// One value per line, at least one.
fn lines<T, E: std::fmt::Display>(
    path: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, CloudFailure> {
    text.lines().map(|line| value(path, line, &parse)).collect()
}

fn malformed(what: &str) -> CloudFailure {
    let detail = format!("failed to parse metadata: {}", sdk_error::clean(what));
    sdk_error::read_failure(classify_metadata(None), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_reported_as_skipped_once_for_each_reason() {
        let skipped = SkippedInterfaces::default();
        let [a, b] = [1, 2].map(|n| Mac::from_str(&format!("02:00:00:00:00:0{n}")).unwrap());
        let (new, no_ipv4) = ("incomplete", "no IPv4");
        assert_eq!(skipped.note([(a, new)].into()), [(a, new)]);
        assert_eq!(skipped.note([(a, no_ipv4), (b, new)].into()), [(a, no_ipv4), (b, new)]);
        assert_eq!(skipped.note([(a, no_ipv4)].into()), []);
        assert_eq!(skipped.note([(a, no_ipv4), (b, new)].into()), [(b, new)], "it was complete");
    }
}
