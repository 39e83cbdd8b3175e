//! Checks of the node's files and of its kernel.

use std::net::Ipv4Addr;

use firecamp_core::contract::kernel::RULE_PRIORITY;
use firecamp_core::ids::{EniId, Mac};
use ipnet::Ipv4Net;

use crate::preflight::condition::Condition;
use crate::preflight::facts::{Fact, Facts, ForeignRule, LinkPolicy, Networkd};
use crate::preflight::judge::interfaces::{Manager, verdicts};
use crate::preflight::reason::{Kind, Reason};

/// The filesystem whose content ends with the boot.
const TMPFS: &str = "tmpfs";

/// The value, or the condition for a value that is not known.
fn known<T>(kind: Kind, fact: &Fact<T>) -> Result<&T, Condition> {
    match fact {
        Fact::Known(value) => Ok(value),
        Fact::NotChecked => Err(Condition::new(kind, Reason::NotChecked, "Not read yet")),
        Fact::Failed(why) => Err(Condition::new(kind, Reason::Unknown, why)),
    }
}

pub(super) fn net_admin(facts: &Facts) -> Condition {
    let kind = Kind::NetAdminCapability;
    match known(kind, &facts.node.net_admin) {
        Ok(true) => Condition::new(kind, Reason::CapabilityPresent, "CAP_NET_ADMIN is effective"),
        Ok(false) => {
            let found = "CapEff of this process lacks CAP_NET_ADMIN";
            Condition::new(kind, Reason::CapabilityMissing, found)
        }
        Err(unknown) => unknown,
    }
}

/// Only the agent knows it.
pub(super) fn endpoint(facts: &Facts) -> Option<Condition> {
    let (reason, found) = match &facts.endpoint {
        Fact::NotChecked => return None,
        Fact::Known(true) => (Reason::Listening, "The agent listens for pods"),
        Fact::Known(false) => (Reason::NoEndpoint, "The agent has no endpoint"),
        Fact::Failed(why) => (Reason::NotListening, why.as_str()),
    };
    Some(Condition::new(Kind::EndpointServed, reason, found))
}

pub(super) fn run_dir(facts: &Facts) -> Condition {
    let kind = Kind::RunDirReady;
    let dir = match known(kind, &facts.node.run_dir) {
        Ok(dir) => dir,
        Err(unknown) => return unknown,
    };
    let found = format!("{} is on {}", dir.path, dir.filesystem);
    if !dir.writable {
        let found = format!("{found}, and this process cannot write to it");
        return Condition::new(kind, Reason::NotWritable, found);
    }
    let reason = if dir.filesystem == TMPFS { Reason::Ready } else { Reason::NotTmpfs };
    Condition::new(kind, reason, found)
}

pub(super) fn net_utils(facts: &Facts) -> Condition {
    let kind = Kind::NetUtilsAbsent;
    match known(kind, &facts.node.net_utils) {
        Ok(None) => Condition::new(
            kind,
            Reason::NotInstalled,
            "No udev rule of amazon-ec2-net-utils is active",
        ),
        Ok(Some(rule)) => Condition::new(
            kind,
            Reason::NetUtilsActive,
            format!("The udev rule {rule} of amazon-ec2-net-utils is active"),
        ),
        Err(unknown) => unknown,
    }
}

/// Reports lost addresses before lost rules and routes.
pub(super) fn networkd(facts: &Facts) -> Condition {
    let kind = Kind::NetworkdPreservesConfig;
    let networkd = match known(kind, &facts.node.networkd) {
        Ok(None) => {
            return Condition::new(kind, Reason::ConfigPreserved, "systemd-networkd does not run");
        }
        Ok(Some(networkd)) => *networkd,
        Err(unknown) => return unknown,
    };
    let links = match known(kind, &facts.node.links) {
        Ok(links) => links,
        Err(unknown) => return unknown,
    };
    let used = used_macs(facts);
    let of_ours = links.iter().filter(|link| used.contains(&link.mac));
    let drops = of_ours.clone().filter_map(|link| match &link.networkd {
        LinkPolicy::Drops(file) => Some(format!("{} by {file}", link.name)),
        LinkPolicy::Keeps(_) | LinkPolicy::Unmanaged => None,
    });
    let drops: Vec<String> = drops.collect();
    if !drops.is_empty() {
        let found =
            format!("systemd-networkd manages {} without KeepConfiguration=", drops.join(", "));
        return Condition::new(kind, Reason::NetworkdDropsAddresses, found);
    }
    let managed = of_ours.clone().any(|link| link.networkd != LinkPolicy::Unmanaged);
    match removes(networkd).filter(|_| managed) {
        Some(what) => {
            let found = format!("systemd-networkd removes foreign {what}");
            Condition::new(kind, Reason::NetworkdDropsRoutes, found)
        }
        None => Condition::new(
            kind,
            Reason::ConfigPreserved,
            "systemd-networkd keeps foreign configuration",
        ),
    }
}

/// Only of secondary interfaces: on the primary one, NetworkManager may run DHCP. None where the
/// node's files were not read.
pub(super) fn network_manager(facts: &Facts) -> Option<Condition> {
    let report = |reason, found: &str| Some(Condition::new(Kind::EnisUnmanaged, reason, found));
    let managed = match &facts.node.network_manager {
        Fact::Known(managed) => managed,
        Fact::Failed(why) => return report(Reason::Unknown, why),
        Fact::NotChecked => return None,
    };
    if managed.is_empty() {
        return report(Reason::Unmanaged, "NetworkManager manages no link");
    }
    let (Some(identity), Some(links)) = (facts.identity.known(), facts.node.links.known()) else {
        return report(Reason::Unknown, "The interfaces of the instance are not known");
    };
    let secondary = |mac: Mac| identity.enis.iter().any(|it| it.mac == mac && it.device_index > 0);
    let found = links.iter().filter(|link| secondary(link.mac) && managed.contains(&link.name));
    let found: Vec<&str> = found.map(|link| link.name.as_str()).collect();
    if found.is_empty() {
        return report(Reason::Unmanaged, "NetworkManager manages no secondary interface");
    }
    let found = format!("NetworkManager manages {}", found.join(", "));
    report(Reason::ManagedByNetworkManager, &found)
}

fn removes(networkd: Networkd) -> Option<&'static str> {
    match (networkd.manages_rules, networkd.manages_routes) {
        (true, true) => Some("rules and routes"),
        (true, false) => Some("rules"),
        (false, true) => Some("routes"),
        (false, false) => None,
    }
}

/// The MACs of the interfaces that nothing else is known to manage.
fn used_macs(facts: &Facts) -> Vec<Mac> {
    let may = |eni: &EniId| {
        verdicts(facts).iter().any(|one| {
            one.eni == *eni && matches!(one.manager, Manager::FireCamp | Manager::Unknown)
        })
    };
    let enis = facts.identity.known().map(|it| it.enis.as_slice()).unwrap_or_default();
    enis.iter().filter(|eni| may(&eni.id)).map(|eni| eni.mac).collect()
}

/// The kernel's tables `main` and `local`, where a broad rule changes nothing.
const USUAL: [u32; 2] = [254, 255];

/// None where the rules were not read.
pub(super) fn rules(facts: &Facts) -> Option<Condition> {
    let report =
        |reason, found: String| Some(Condition::new(Kind::NoConflictingRules, reason, found));
    let rules = match &facts.node.rules {
        Fact::Known(rules) => rules,
        Fact::Failed(why) => return report(Reason::Unknown, why.clone()),
        Fact::NotChecked => return None,
    };
    if facts.purpose.subnets.is_none() {
        return report(Reason::NotChecked, "The pools are not known".to_owned());
    }
    let conflicting: Vec<String> =
        rules.iter().filter(|rule| conflicts(facts, rule)).map(ToString::to_string).collect();
    if conflicting.is_empty() {
        return report(Reason::NoConflict, format!("checked {} foreign rules", rules.len()));
    }
    report(Reason::ConflictingRule, conflicting.join("; "))
}

/// A rule for a single address of a pool conflicts. A rule for a range conflicts if it precedes
/// ours and looks up another table than the usual ones.
fn conflicts(facts: &Facts, rule: &ForeignRule) -> bool {
    let of_pool = |part: Option<(Ipv4Addr, u8)>, single: bool| {
        let wanted = part.filter(|(_, length)| (*length == 32) == single && *length > 0);
        let net = wanted.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
        net.is_some_and(|net| {
            let over = |(first, last)| net.network() <= last && first <= net.broadcast();
            facts.purpose.ranges().any(over)
        })
    };
    let names = |single| of_pool(rule.from, single) || of_pool(rule.to, single);
    let elsewhere = rule.table.is_none_or(|table| !USUAL.contains(&table));
    names(true) || (names(false) && elsewhere && rule.priority < RULE_PRIORITY)
}
