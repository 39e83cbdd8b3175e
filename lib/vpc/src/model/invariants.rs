//! The invariants of ec2-semantics.md section 1, checked after every commit.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{Eni, Ground, Ledger};

/// What a change broke: the invariant and a sentence.
pub(crate) type Broken = (&'static str, String);

/// Everything that is wrong with `after`, as the follower of `before`.
pub(crate) fn broken(
    ground: &Ground,
    limits: &BTreeMap<String, u32>,
    before: &Ledger,
    after: &Ledger,
) -> Vec<Broken> {
    let mut found = Vec::new();
    one_holder(after, &mut found);
    for eni in after.enis.values() {
        in_place(ground, eni, &mut found);
        attached(ground, after, eni, &mut found);
        if let Some(old) = before.enis.get(&eni.id) {
            primary_for_life(old, eni, &mut found);
            let limit = after.slot_limit(eni, limits);
            within_limit(limit, old, eni, &mut found);
        }
    }
    free_counts(ground, after, &mut found);
    found
}

/// M1: at most one ENI holds an address.
fn one_holder(ledger: &Ledger, found: &mut Vec<Broken>) {
    let mut holders: BTreeMap<Ipv4Addr, &str> = BTreeMap::new();
    for eni in ledger.enis.values() {
        for address in eni.addresses() {
            if let Some(other) = holders.insert(address, &eni.id) {
                found.push(("M1", format!("{address} is held by {other} and by {}", eni.id)));
            }
        }
    }
}

/// M2: the primary address stays for life.
fn primary_for_life(old: &Eni, new: &Eni, found: &mut Vec<Broken>) {
    if old.primary != new.primary {
        let text = format!("the primary of {} was {} and is {}", new.id, old.primary, new.primary);
        found.push(("M2", text));
    }
}

/// M3 and M4: addresses are of the ENI's own subnet and none of them is reserved.
fn in_place(ground: &Ground, eni: &Eni, found: &mut Vec<Broken>) {
    let Some(subnet) = ground.subnet(&eni.subnet) else {
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

/// M3: an ENI is attached in its own zone, to one device index.
fn attached(ground: &Ground, ledger: &Ledger, eni: &Eni, found: &mut Vec<Broken>) {
    let Some(attachment) = &eni.attachment else { return };
    let Some(instance) = ledger.instances.get(&attachment.instance) else {
        found.push(("M3", format!("{} is attached to nothing", eni.id)));
        return;
    };
    if ground.subnet(&eni.subnet).is_some_and(|subnet| subnet.zone != instance.zone) {
        found.push(("M3", format!("{} is attached outside its zone", eni.id)));
    }
    let same = |other: &&std::sync::Arc<Eni>| {
        other.id != eni.id
            && other.attachment.as_ref().map(|a| a.device_index) == Some(attachment.device_index)
    };
    if ledger.enis_of(&attachment.instance).iter().any(same) {
        found.push(("M3", format!("{} shares its device index", eni.id)));
    }
}

/// M13: an ENI does not grow beyond the limit of its instance's type. A limit that was lowered
/// takes nothing away, so only growth is looked at.
fn within_limit(limit: usize, old: &Eni, new: &Eni, found: &mut Vec<Broken>) {
    if new.slots() > old.slots() && new.slots() > limit {
        found.push(("M13", format!("{} has {} of {limit} slots", new.id, new.slots())));
    }
}

/// M5: no subnet has more addresses in use than it has.
fn free_counts(ground: &Ground, ledger: &Ledger, found: &mut Vec<Broken>) {
    for subnet in &ground.subnets {
        let size = 1_u64 << (32 - u32::from(subnet.cidr.prefix_len()));
        let used = ledger.used_in(&subnet.id);
        if used + 5 > size {
            found.push(("M5", format!("{} uses {used} of {size} addresses", subnet.id)));
        }
    }
}
