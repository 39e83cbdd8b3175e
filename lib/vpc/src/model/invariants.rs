//! The invariants of ec2-semantics.md section 1, checked after every commit.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{Eni, Id, Topology, Volume, VpcState};

/// A violated invariant: its name and a description.
pub(crate) type Violated = (&'static str, String);

/// Limits of instance types that faults changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    /// Addresses per ENI.
    pub(crate) ips: BTreeMap<String, u32>,
    /// ENIs per instance.
    pub(crate) enis: BTreeMap<String, u32>,
}

/// Every invariant that `after`, the successor of `before`, violates.
pub(crate) fn broken(
    topology: &Topology,
    limits: &Limits,
    before: &VpcState,
    after: &VpcState,
) -> Vec<Violated> {
    let mut found = Vec::new();
    one_holder(after, &mut found);
    for eni in after.enis.values() {
        in_place(topology, eni, &mut found);
        attached(topology, after, eni, &mut found);
        if let Some(old) = before.enis.get(&eni.id) {
            primary_for_life(old, eni, &mut found);
            let limit = after.slot_limit(eni, &limits.ips);
            within_limit(limit, old, eni, &mut found);
        }
    }
    eni_limits(limits, before, after, &mut found);
    for volume in after.volumes.values() {
        volume_in_place(after, volume, &mut found);
    }
    free_counts(topology, after, &mut found);
    found
}

/// Limits table: an instance does not get more ENIs than its type allows.
fn eni_limits(limits: &Limits, before: &VpcState, after: &VpcState, found: &mut Vec<Violated>) {
    let count = |vpc: &VpcState| {
        let mut counts: BTreeMap<Id, u32> = BTreeMap::new();
        for attachment in vpc.enis.values().filter_map(|eni| eni.attachment.as_ref()) {
            *counts.entry(attachment.instance.clone()).or_default() += 1;
        }
        counts
    };
    let old = count(before);
    for (id, count) in count(after) {
        let kind = after.instances.get(&id).map(|instance| instance.size);
        let own = kind.map_or(0, |kind| limits.enis.get(kind.name).copied().unwrap_or(kind.enis));
        if count > own && count > old.get(&id).copied().unwrap_or(0) {
            found.push(("M13", format!("{id} has {count} of {own} ENIs")));
        }
    }
}

/// M14: a volume is attached in its own zone, and to one instance unless it is multi-attach.
fn volume_in_place(vpc: &VpcState, volume: &Volume, found: &mut Vec<Violated>) {
    if volume.attachments.len() > 1 && !volume.multi_attach {
        found.push(("M14", format!("{} is attached more than once", volume.id)));
    }
    for attachment in &volume.attachments {
        let zone = vpc.instances.get(&attachment.instance).map(|i| i.zone.as_str());
        if zone != Some(volume.zone.as_str()) {
            found.push(("M14", format!("{} is attached outside its zone", volume.id)));
        }
    }
}

/// M1: at most one ENI holds an address.
fn one_holder(vpc: &VpcState, found: &mut Vec<Violated>) {
    let mut holders: BTreeMap<Ipv4Addr, &str> = BTreeMap::new();
    for eni in vpc.enis.values() {
        for address in eni.addresses() {
            if let Some(other) = holders.insert(address, &eni.id) {
                found.push(("M1", format!("{address} is held by {other} and by {}", eni.id)));
            }
        }
    }
}

/// M2: an ENI keeps its primary address for life.
fn primary_for_life(old: &Eni, new: &Eni, found: &mut Vec<Violated>) {
    if old.primary != new.primary {
        let text = format!("the primary of {} was {} and is {}", new.id, old.primary, new.primary);
        found.push(("M2", text));
    }
}

/// M3 and M4: addresses belong to the ENI's own subnet and none of them is reserved.
fn in_place(topology: &Topology, eni: &Eni, found: &mut Vec<Violated>) {
    let Some(subnet) = topology.subnet(&eni.subnet) else {
        found.push(("M3", format!("{} is in no subnet", eni.id)));
        return;
    };
    for address in eni.addresses() {
        if !subnet.cidr.contains(&address) {
            found.push(("M3", format!("{address} of {} is not in {}", eni.id, subnet.cidr)));
        } else if subnet.is_reserved(address) {
            found.push(("M4", format!("{address} of {} is reserved", eni.id)));
        }
    }
}

/// M3: an ENI is attached in its own zone, at one device index of the only network card.
fn attached(topology: &Topology, vpc: &VpcState, eni: &Eni, found: &mut Vec<Violated>) {
    let Some(attachment) = &eni.attachment else { return };
    let Some(instance) = vpc.instances.get(&attachment.instance) else {
        found.push(("M3", format!("{} is attached to nothing", eni.id)));
        return;
    };
    if topology.subnet(&eni.subnet).is_some_and(|subnet| subnet.zone != instance.zone) {
        found.push(("M3", format!("{} is attached outside its zone", eni.id)));
    }
    let same = |other: &&std::sync::Arc<Eni>| {
        other.id != eni.id
            && other.attachment.as_ref().map(|a| a.device_index) == Some(attachment.device_index)
    };
    if vpc.enis_of(&attachment.instance).iter().any(same) {
        found.push(("M3", format!("{} shares its device index", eni.id)));
    }
}

/// M13: an ENI does not grow beyond the limit of its instance's type. A lowered limit removes
/// nothing, so only growth is checked.
fn within_limit(limit: usize, old: &Eni, new: &Eni, found: &mut Vec<Violated>) {
    if new.slots() > old.slots() && new.slots() > limit {
        found.push(("M13", format!("{} has {} of {limit} slots", new.id, new.slots())));
    }
}

/// M5: a subnet does not have more addresses in use than it contains.
fn free_counts(topology: &Topology, vpc: &VpcState, found: &mut Vec<Violated>) {
    for subnet in &topology.subnets {
        let size = 1_u64 << (32 - u32::from(subnet.cidr.prefix_len()));
        let used = vpc.used_in(&subnet.id);
        if used + 5 > size {
            found.push(("M5", format!("{} uses {used} of {size} addresses", subnet.id)));
        }
    }
}
