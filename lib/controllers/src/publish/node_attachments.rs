//! The status of `NodeAttachments`: the current facts, and the published status for unknown parts.

use firecamp_registry::api::{
    AddressStatus, Condition, EniManager, EniStatus, NodeAttachmentsStatus,
};

use crate::publish::capacity::{self, Held};
use crate::publish::facts::{EniFact, Facts};
use crate::publish::static_ip_conditions::{condition, merged};
use crate::publish::volume_status;

/// The new status, based on the published one. An unknown part stays as published. `starting`: the
/// process has just started and soon knows more.
pub(crate) fn status(
    facts: &Facts,
    (addresses, held): (Option<Vec<AddressStatus>>, Option<&Held>),
    published: &NodeAttachmentsStatus,
    (starting, timestamp): (bool, &str),
) -> NodeAttachmentsStatus {
    let known = |text: Option<String>, before: &Option<String>| text.or_else(|| before.clone());
    let enis = facts.enis.as_ref().map(|enis| enis_shown(enis, held, &published.enis));
    let volumes = facts.volumes.as_ref();
    let volumes = volumes.map(|table| table.volumes.iter().map(volume_status::status).collect());
    let mut status = NodeAttachmentsStatus {
        instance: known(facts.instance.as_ref().map(ToString::to_string), &published.instance),
        zone: known(facts.zone.as_ref().map(ToString::to_string), &published.zone),
        slots: held.and_then(|held| capacity::shown(facts, held)).or(published.slots),
        addresses_failing: 0,
        volumes_failing: 0,
        enis: enis.unwrap_or_else(|| published.enis.clone()),
        addresses: addresses.unwrap_or_else(|| published.addresses.clone()),
        volumes: volumes.unwrap_or_else(|| published.volumes.clone()),
        conditions: Vec::new(),
    };
    let failing = status.addresses.iter().filter(|row| row.problem.is_some());
    status.addresses_failing = count(failing);
    status.volumes_failing = count(status.volumes.iter().filter(|row| !row.problems.is_empty()));
    let unknown = unknown(facts);
    let wanted = conditions(facts, &status, &unknown);
    let preserved = |new: &Condition| {
        let before = published.conditions.iter().find(|old| old.kind == new.kind);
        // A new process clears no condition before it has observed everything.
        before.filter(|_| starting && new.status == "Unknown").cloned().unwrap_or(new.clone())
    };
    let wanted: Vec<Condition> = wanted.iter().map(preserved).collect();
    status.conditions = merged(&published.conditions, &wanted, None, timestamp);
    status
}

fn count(all: impl Iterator<Item = impl Sized>) -> u32 {
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}

/// An unknown attribute of an ENI stays as published.
fn enis_shown(enis: &[EniFact], held: Option<&Held>, published: &[EniStatus]) -> Vec<EniStatus> {
    let shown = |fact: &EniFact| {
        let new = eni(fact, held);
        match published.iter().find(|old| old.id == new.id) {
            Some(old) if new.managed_by == EniManager::Unknown => {
                EniStatus { managed_by: old.managed_by, slots: new.slots.or(old.slots), ..new }
            }
            Some(old) => EniStatus { slots: new.slots.or(old.slots), ..new },
            None => new,
        }
    };
    let mut all: Vec<EniStatus> = enis.iter().map(shown).collect();
    all.sort_by(|a, b| (a.device_index, &a.id).cmp(&(b.device_index, &b.id)));
    all
}

fn eni(fact: &EniFact, held: Option<&Held>) -> EniStatus {
    let EniFact { eni, link, managed_by, .. } = fact;
    EniStatus {
        id: eni.id.to_string(),
        mac: eni.mac.to_string(),
        device_index: eni.device_index,
        subnet: eni.subnet.to_string(),
        link: link.clone(),
        slots: held.and_then(|held| capacity::of(fact, held)),
        managed_by: *managed_by,
    }
}

/// The parts that are not observed yet, as text.
fn unknown(facts: &Facts) -> Vec<&'static str> {
    let parts = [
        (facts.enis.is_none(), "network interfaces"),
        (facts.addresses.is_none(), "addresses"),
        (facts.volumes.is_none(), "volumes"),
    ];
    parts.into_iter().filter_map(|(unknown, part)| unknown.then_some(part)).collect()
}

fn conditions(
    facts: &Facts,
    status: &NodeAttachmentsStatus,
    unknown: &[&'static str],
) -> Vec<Condition> {
    let checks = facts
        .checks
        .iter()
        .map(|check| condition(&check.kind, check.good, &check.reason, check.message.clone()));
    let part = |kind: &str, known: bool, failing: u32| match (known, failing) {
        (false, _) => condition(kind, None, "NotObserved", String::new()),
        (true, 0) => condition(kind, Some(true), "NoneFailing", String::new()),
        (true, _) => condition(kind, Some(false), "SomeFailing", String::new()),
    };
    let addresses = part("AddressesReady", facts.addresses.is_some(), status.addresses_failing);
    let volumes = part("VolumesReady", facts.volumes.is_some(), status.volumes_failing);
    let blocked = facts.checks.iter().find(|check| check.blocks && check.good == Some(false));
    let ready = if let Some(check) = blocked {
        condition("Ready", Some(false), &check.reason, check.message.clone())
    } else if status.addresses_failing > 0 {
        condition("Ready", Some(false), "AddressesFailing", "see .status.addresses".to_owned())
    } else if status.volumes_failing > 0 {
        condition("Ready", Some(false), "VolumesFailing", "see .status.volumes".to_owned())
    } else if unknown.is_empty() {
        condition("Ready", Some(true), "AllHealthy", String::new())
    } else {
        condition("Ready", None, "NotObserved", format!("not observed yet: {}", unknown.join(", ")))
    };
    [ready, addresses, volumes].into_iter().chain(checks).collect()
}
