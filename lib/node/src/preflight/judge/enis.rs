//! Which network interfaces FireCamp may use.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::contract::tag;
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::interface::Interface;
use firecamp_core::node::{Eni, NodeIdentity};

use crate::preflight::condition::Condition;
use crate::preflight::facts::{Fact, Facts, Link};
use crate::preflight::reason::{Kind, Reason};

/// The value of the VPC CNI's tag that counts; it compares the whole text.
const UNMANAGED: &str = "true";

/// Who gives addresses to a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// FireCamp may.
    FireCamp,
    /// The VPC CNI does, so FireCamp does not.
    VpcCni,
    /// A service of AWS does, so FireCamp does not.
    Other,
    /// It is not known yet.
    Unknown,
}

/// What was found out about one network interface of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The interface.
    pub eni: EniId,
    /// Its place on the instance.
    pub device_index: u32,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Who gives addresses to it.
    pub manager: Manager,
    /// Why, for people.
    pub why: String,
}

impl Verdict {
    /// Whether FireCamp is known to be free to use it.
    pub fn is_usable(&self) -> bool {
        self.manager == Manager::FireCamp
    }
}

/// A verdict on each network interface that the metadata service lists; none if it is not known.
pub fn verdicts(facts: &Facts) -> Vec<Verdict> {
    let enis = facts.identity.known().map(|it| it.enis.as_slice()).unwrap_or_default();
    enis.iter().map(|eni| verdict(facts, eni)).collect()
}

fn verdict(facts: &Facts, eni: &Eni) -> Verdict {
    let listing = facts.interfaces.known();
    let described = listing.and_then(|all| all.iter().find(|one| one.id == eni.id));
    let (manager, why) = manager(facts, eni, described);
    Verdict {
        eni: eni.id.clone(),
        device_index: eni.device_index,
        subnet: eni.subnet.clone(),
        manager,
        why,
    }
}

fn manager(facts: &Facts, eni: &Eni, described: Option<&Interface>) -> (Manager, String) {
    if let Some(operator) = described.and_then(|one| one.operator.as_ref()) {
        return (Manager::Other, format!("{operator} manages it"));
    }
    let file = match &facts.node.vpc_cni {
        Fact::Known(None) => return (Manager::FireCamp, "no VPC CNI on this node".to_owned()),
        Fact::Known(Some(file)) => file,
        Fact::Failed(why) => return (Manager::Unknown, why.clone()),
        Fact::NotAsked => return (Manager::Unknown, "not looked for a VPC CNI yet".to_owned()),
    };
    if eni.device_index == 0 {
        let why = format!("the VPC CNI is here ({file}) and always manages the primary interface");
        return (Manager::VpcCni, why);
    }
    let Some(described) = described else {
        let why = format!("the VPC CNI is here ({file}) and EC2 has not told the tags yet");
        return (Manager::Unknown, why);
    };
    let name = tag::CNI_NO_MANAGE;
    let prefixes = described.prefixes.max(eni.prefixes);
    match described.no_manage.as_deref() {
        Some(UNMANAGED) if prefixes > 0 => {
            let why = format!(
                "it has {prefixes} prefixes of the VPC CNI, which adopted it before it was tagged \
                 {name}=true and reads tags only at its start"
            );
            (Manager::VpcCni, why)
        }
        Some(UNMANAGED) => (Manager::FireCamp, format!("tagged {name}=true")),
        Some(other) => (Manager::VpcCni, format!("its tag {name} is {other:?}, not \"true\"")),
        None => (Manager::VpcCni, format!("it has no tag {name}=true")),
    }
}

/// The interfaces that members would get, one for each subnet that counts.
pub(super) fn chosen<'a>(facts: &Facts, identity: &'a NodeIdentity) -> Vec<&'a Eni> {
    let here: BTreeSet<&SubnetId> = identity.enis.iter().map(|eni| &eni.subnet).collect();
    let wanted = facts.purpose.subnets.as_ref();
    let counts = |subnet: &&SubnetId| wanted.is_none_or(|all| all.contains_key(*subnet));
    let choose = |subnet: &SubnetId| identity.choose(facts.purpose.rule, |one| one == subnet);
    here.into_iter().filter(counts).filter_map(choose).collect()
}

fn about(verdict: &Verdict) -> String {
    let Verdict { eni, device_index, subnet, why, .. } = verdict;
    format!("{eni} (device index {device_index}, {subnet}): {why}")
}

/// The worst of the interfaces that members would get decides.
pub(super) fn usable(facts: &Facts) -> Condition {
    let say = |reason, found: String| Condition::new(Kind::EniUsable, reason, found);
    let identity = match &facts.identity {
        Fact::Known(identity) => identity,
        Fact::NotAsked => return say(Reason::NotAsked, "Interfaces are not known yet".to_owned()),
        Fact::Failed(failure) => return say(Reason::NotKnown, failure.to_string()),
    };
    if facts.purpose.subnets.as_ref().is_some_and(BTreeMap::is_empty) {
        return say(Reason::NoPool, "There is no pool with a subnet".to_owned());
    }
    let all = verdicts(facts);
    let chosen = chosen(facts, identity);
    let of = |manager: Manager| {
        let mine = |one: &&Verdict| chosen.iter().any(|eni| eni.id == one.eni);
        all.iter().filter(mine).find(|one| one.manager == manager)
    };
    if chosen.is_empty() {
        let subnets: BTreeSet<String> =
            identity.enis.iter().map(|eni| eni.subnet.to_string()).collect();
        let subnets = subnets.into_iter().collect::<Vec<_>>().join(", ");
        return say(Reason::NoEniInSubnet, format!("{} has {subnets}", identity.instance));
    }
    for (manager, reason) in [
        (Manager::VpcCni, Reason::ManagedByVpcCni),
        (Manager::Other, Reason::ManagedByService),
        (Manager::Unknown, Reason::NotKnown),
    ] {
        if let Some(verdict) = of(manager) {
            return say(reason, format!("{}{}", about(verdict), instead(&all, verdict)));
        }
    }
    let names: Vec<String> = chosen.iter().map(|eni| eni.id.to_string()).collect();
    say(Reason::Usable, format!("Addresses go to {}", names.join(", ")))
}

/// Another interface of the same subnet that could be chosen.
fn instead(all: &[Verdict], bad: &Verdict) -> String {
    let good = all.iter().find(|one| one.is_usable() && one.subnet == bad.subnet);
    good.map_or_else(String::new, |one| {
        format!("; {} (device index {}) could be chosen instead", one.eni, one.device_index)
    })
}

/// The chosen interfaces of which EC2 has told the tags.
fn described(facts: &Facts) -> Option<Vec<&Interface>> {
    let (identity, listing) = (facts.identity.known()?, facts.interfaces.known()?);
    let chosen = chosen(facts, identity);
    let find = |eni: &Eni| listing.iter().find(|one| one.id == eni.id);
    Some(chosen.into_iter().filter_map(find).collect()).filter(|all: &Vec<_>| !all.is_empty())
}

pub(super) fn tagged(facts: &Facts) -> Option<Condition> {
    let cluster = facts.purpose.cluster.as_ref()?;
    let wrong = |one: &&&Interface| one.cluster.as_deref() != Some(cluster.as_str());
    let all = described(facts)?;
    let name = tag::CLUSTER;
    Some(match all.iter().find(wrong) {
        None => Condition::new(Kind::EniTagged, Reason::Tagged, format!("{name}={cluster}")),
        Some(one) => {
            let has = one.cluster.as_ref();
            let has = has.map_or_else(|| "no such tag".to_owned(), |v| format!("the value {v:?}"));
            let found = format!("{} has {has}, where {name}={cluster} is wanted", one.id);
            Condition::new(Kind::EniTagged, Reason::NotTagged, found)
        }
    })
}

/// Whether it outlives the instance that it is attached to. The primary one never does as EC2
/// makes it, nor does a parked address on it.
pub(super) fn kept(facts: &Facts) -> Option<Condition> {
    let all = described(facts)?;
    let goes: Vec<&str> =
        all.iter().filter(|one| one.goes_with_instance).map(|one| one.id.as_str()).collect();
    let kind = Kind::EniKept;
    Some(if goes.is_empty() {
        Condition::new(kind, Reason::Kept, "It is not deleted with the instance")
    } else {
        let found = format!("{}: DeleteOnTermination is set", goes.join(", "));
        Condition::new(kind, Reason::GoesWithInstance, found)
    })
}

pub(super) fn linked(facts: &Facts) -> Option<Condition> {
    let identity = facts.identity.known()?;
    let chosen = chosen(facts, identity);
    let say = |reason, found: String| Some(Condition::new(Kind::EniLinked, reason, found));
    let links: &[Link] = match &facts.node.links {
        Fact::Known(links) => links,
        Fact::Failed(why) => return say(Reason::NotKnown, why.clone()),
        Fact::NotAsked => return None,
    };
    let mut names = Vec::new();
    for eni in chosen {
        let link = links.iter().find(|link| link.mac == eni.mac);
        let Some(link) = link else {
            return say(Reason::LinkMissing, format!("{} has MAC {}", eni.id, eni.mac));
        };
        if !link.up {
            return say(Reason::LinkDown, format!("{}, the link of {}", link.name, eni.id));
        }
        names.push(format!("{} is {}", eni.id, link.name));
    }
    if names.is_empty() {
        return None;
    }
    say(Reason::Linked, names.join(", "))
}

/// In each subnet the groups of this node's interface are compared with everybody else's.
pub(super) fn groups(facts: &Facts) -> Option<Condition> {
    let say =
        |reason, found: String| Some(Condition::new(Kind::SecurityGroupsAgree, reason, found));
    let peers = match &facts.peers {
        Fact::NotAsked => return None,
        Fact::Failed(failure) => return say(Reason::NotKnown, failure.to_string()),
        Fact::Known(peers) => peers,
    };
    let own = described(facts)?;
    let mut sets: BTreeMap<&SubnetId, &Interface> = BTreeMap::new();
    for one in own.iter().copied().chain(peers) {
        let first = *sets.entry(&one.subnet).or_insert(one);
        if first.groups != one.groups {
            let list = |one: &Interface| {
                let groups: Vec<&str> = one.groups.iter().map(String::as_str).collect();
                format!("{} has {}", one.id, groups.join(" "))
            };
            let found = format!("In {} {}, and {}", one.subnet, list(first), list(one));
            return say(Reason::GroupsDiffer, found);
        }
    }
    let count = peers.len();
    say(Reason::GroupsAgree, format!("{count} interfaces of the cluster were compared"))
}
