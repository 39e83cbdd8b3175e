//! Which network interfaces FireCamp may use.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::contract::tag;
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{Eni, NodeIdentity};

use crate::preflight::condition::Condition;
use crate::preflight::facts::{Cni, CniPlugin, Fact, Facts, Link, Unusable};
use crate::preflight::reason::{Kind, Reason};

/// Who manages the addresses of a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// FireCamp.
    FireCamp,
    /// The VPC CNI, so FireCamp must not.
    VpcCni,
    /// An AWS service, so FireCamp must not.
    Other,
    /// A CNI plugin, because of its settings, although FireCamp made it.
    TakenByCni,
    /// A CNI plugin may, and nothing shows that it does not, so FireCamp must not.
    UnknownCni,
    /// FireCamp made it and removes it, so members no longer get it.
    Removing,
    /// Not known yet.
    Unknown,
}

/// Who manages one network interface of the node, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The interface.
    pub eni: EniId,
    /// Its device index on the instance.
    pub device_index: u32,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Who manages its addresses.
    pub manager: Manager,
    /// Why, as text.
    pub why: String,
}

impl Verdict {
    /// Whether FireCamp may use it.
    pub fn is_usable(&self) -> bool {
        self.manager == Manager::FireCamp
    }

    /// Whether others manage it.
    pub fn is_foreign(&self) -> bool {
        match self.manager {
            Manager::VpcCni | Manager::Other | Manager::TakenByCni | Manager::UnknownCni => true,
            Manager::FireCamp | Manager::Removing | Manager::Unknown => false,
        }
    }
}

/// A verdict on each network interface that the metadata service lists; empty if it is unknown.
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
    match facts.purpose.unusable.get(&eni.id) {
        Some(Unusable::Removing(record)) => {
            return (Manager::Removing, format!("the NodeInterface {record} is being removed"));
        }
        Some(Unusable::TakenByCni(why)) => return (Manager::TakenByCni, why.clone()),
        None => {}
    }
    if let Some(operator) = described.and_then(|one| one.operator.as_ref()) {
        return (Manager::Other, format!("{operator} manages it"));
    }
    match &facts.node.cni {
        Fact::Known(None) => {
            (Manager::FireCamp, "no CNI plugin here assigns addresses of interfaces".to_owned())
        }
        Fact::Known(Some(Cni { plugin: CniPlugin::Vpc, file })) => {
            beside_vpc_cni(file, eni, described)
        }
        Fact::Known(Some(Cni { plugin: CniPlugin::Unknown(plugin), file })) => {
            beside_unknown_cni(plugin, file, eni)
        }
        Fact::Failed(why) => (Manager::Unknown, why.clone()),
        Fact::NotChecked => {
            (Manager::Unknown, "which CNI plugin runs here is not known yet".to_owned())
        }
    }
}

/// Pods get their addresses from the primary interface first, whatever the plugin does with others.
fn beside_unknown_cni(plugin: &str, file: &str, eni: &Eni) -> (Manager, String) {
    if eni.device_index == 0 {
        let why = format!(
            "the CNI plugin {plugin} ({file}) may assign addresses of the primary interface to pods"
        );
        return (Manager::UnknownCni, why);
    }
    (Manager::FireCamp, format!("it is not the primary interface ({plugin}: {file})"))
}

fn beside_vpc_cni(file: &str, eni: &Eni, described: Option<&Interface>) -> (Manager, String) {
    if eni.device_index == 0 {
        let why =
            format!("the VPC CNI runs here ({file}) and always manages the primary interface");
        return (Manager::VpcCni, why);
    }
    let Some(described) = described else {
        let why = format!("the VPC CNI runs here ({file}) and the tags are not read yet");
        return (Manager::Unknown, why);
    };
    let name = tag::CNI_NO_MANAGE;
    let prefixes = described.prefixes.max(eni.prefixes);
    match described.no_manage.as_deref() {
        Some(_) if described.is_unmanaged() && prefixes > 0 => {
            let why = format!(
                "it has {prefixes} prefixes of the VPC CNI, which adopted it before it was tagged \
                 {name}=true and reads tags only at its start"
            );
            (Manager::VpcCni, why)
        }
        Some(_) if described.is_unmanaged() => (Manager::FireCamp, format!("tagged {name}=true")),
        Some(other) => (Manager::VpcCni, format!("its tag {name} is {other:?}, not \"true\"")),
        None => (Manager::VpcCni, format!("it has no tag {name}=true")),
    }
}

/// The interfaces that members may get. In each subnet of a pool, those that FireCamp may use; if
/// there is none, the one with the lowest index, so that the reason is reported.
pub fn carriers<'a>(facts: &Facts, identity: &'a NodeIdentity) -> Vec<&'a Eni> {
    let here: BTreeSet<&SubnetId> = identity.enis.iter().map(|eni| &eni.subnet).collect();
    let wanted = facts.purpose.subnets.as_ref();
    let counts = |subnet: &&SubnetId| wanted.is_none_or(|all| all.contains_key(*subnet));
    here.into_iter()
        .filter(counts)
        .flat_map(|subnet| carriers_in(facts, identity, subnet))
        .collect()
}

fn carriers_in<'a>(facts: &Facts, identity: &'a NodeIdentity, subnet: &SubnetId) -> Vec<&'a Eni> {
    let mut all: Vec<&Eni> = identity.candidates(facts.purpose.rule, |one| one == subnet).collect();
    all.sort_by_key(|eni| (eni.network_card, eni.device_index));
    let first = all.first().copied();
    all.retain(|eni| {
        let managed = verdict(facts, eni).manager;
        let ours = matches!(managed, Manager::FireCamp | Manager::Unknown);
        ours && has_cluster_tag(facts, eni) != Some(false)
    });
    if all.is_empty() { first.into_iter().collect() } else { all }
}

/// Whether EC2 reports the cluster's tag on the interface. None for one that its last answer lacks,
/// and before its first answer.
pub fn has_cluster_tag(facts: &Facts, eni: &Eni) -> Option<bool> {
    let cluster = facts.purpose.cluster.as_ref()?;
    let described = facts.interfaces.known()?.iter().find(|one| one.id == eni.id)?;
    Some(described.cluster.as_deref() == Some(cluster.as_str()))
}

fn about(verdict: &Verdict) -> String {
    let Verdict { eni, device_index, subnet, why, .. } = verdict;
    format!("{eni} (device index {device_index}, {subnet}): {why}")
}

/// The worst of the interfaces that members would get decides the condition.
pub(super) fn usable(facts: &Facts) -> Condition {
    let report = |reason, found: String| Condition::new(Kind::EniUsable, reason, found);
    let identity = match &facts.identity {
        Fact::Known(identity) => identity,
        Fact::NotChecked => {
            return report(Reason::NotChecked, "The interfaces are not known yet".to_owned());
        }
        Fact::Failed(failure) => return report(Reason::Unknown, failure.to_string()),
    };
    if facts.purpose.subnets.as_ref().is_some_and(BTreeMap::is_empty) {
        return report(Reason::NoPool, "No pool names a subnet".to_owned());
    }
    let all = verdicts(facts);
    let chosen = carriers(facts, identity);
    let of = |manager: Manager| {
        let mine = |one: &&Verdict| chosen.iter().any(|eni| eni.id == one.eni);
        all.iter().filter(mine).find(|one| one.manager == manager)
    };
    if chosen.is_empty() {
        let subnets: BTreeSet<String> =
            identity.enis.iter().map(|eni| eni.subnet.to_string()).collect();
        let subnets = subnets.into_iter().collect::<Vec<_>>().join(", ");
        return report(
            Reason::NoEniInSubnet,
            format!("{} has interfaces in {subnets} only", identity.instance),
        );
    }
    for (manager, reason) in [
        (Manager::VpcCni, Reason::ManagedByVpcCni),
        (Manager::Other, Reason::ManagedByService),
        (Manager::TakenByCni, Reason::TakenByCni),
        (Manager::UnknownCni, Reason::PrimaryBesideUnknownCni),
        (Manager::Removing, Reason::InterfaceRemoved),
        (Manager::Unknown, Reason::Unknown),
    ] {
        if let Some(verdict) = of(manager) {
            return report(reason, format!("{}{}", about(verdict), instead(&all, verdict)));
        }
    }
    let names: Vec<String> = chosen.iter().map(|eni| eni.id.to_string()).collect();
    report(Reason::Usable, format!("Members get {}", names.join(", ")))
}

/// Names another interface of the same subnet that members could use.
fn instead(all: &[Verdict], bad: &Verdict) -> String {
    let good = all.iter().find(|one| one.is_usable() && one.subnet == bad.subnet);
    good.map_or_else(String::new, |one| {
        format!("; members can use {} (device index {}) instead", one.eni, one.device_index)
    })
}

/// The chosen interfaces that EC2 has described.
fn described(facts: &Facts) -> Option<Vec<&Interface>> {
    let (identity, listing) = (facts.identity.known()?, facts.interfaces.known()?);
    let chosen = carriers(facts, identity);
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
            let found = format!("{} has {has}; expected {name}={cluster}", one.id);
            Condition::new(Kind::EniTagged, Reason::NotTagged, found)
        }
    })
}

/// Whether the interface survives the termination of its instance. EC2 creates the primary
/// interface with DeleteOnTermination, so a parked address on it is lost.
pub(super) fn survives(facts: &Facts) -> Option<Condition> {
    let all = described(facts)?;
    let goes: Vec<&str> =
        all.iter().filter(|one| one.delete_on_termination).map(|one| one.id.as_str()).collect();
    let kind = Kind::EniSurvivesTermination;
    Some(if goes.is_empty() {
        Condition::new(kind, Reason::Survives, "DeleteOnTermination is not set")
    } else {
        let found = format!("{}: DeleteOnTermination is set", goes.join(", "));
        Condition::new(kind, Reason::DeletedOnTermination, found)
    })
}

pub(super) fn linked(facts: &Facts) -> Option<Condition> {
    let identity = facts.identity.known()?;
    let chosen = carriers(facts, identity);
    let report = |reason, found: String| Some(Condition::new(Kind::EniLinked, reason, found));
    let links: &[Link] = match &facts.node.links {
        Fact::Known(links) => links,
        Fact::Failed(why) => return report(Reason::Unknown, why.clone()),
        Fact::NotChecked => return None,
    };
    let mut names = Vec::new();
    for eni in chosen {
        let link = links.iter().find(|link| link.mac == eni.mac);
        let Some(link) = link else {
            let found = format!("No link has the MAC {} of {}", eni.mac, eni.id);
            return report(Reason::LinkMissing, found);
        };
        if !link.up {
            let found = format!("The link {} of {} is down", link.name, eni.id);
            return report(Reason::LinkDown, found);
        }
        names.push(format!("{} is {}", eni.id, link.name));
    }
    if names.is_empty() {
        return None;
    }
    report(Reason::Linked, names.join(", "))
}

/// Compares the groups of this node's interface with the cluster's other interfaces in the subnet.
pub(super) fn groups(facts: &Facts) -> Option<Condition> {
    let report =
        |reason, found: String| Some(Condition::new(Kind::SecurityGroupsAgree, reason, found));
    let peers = match &facts.peers {
        Fact::NotChecked => return None,
        Fact::Failed(failure) => return report(Reason::Unknown, failure.to_string()),
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
            let found = format!("In {}: {}, and {}", one.subnet, list(first), list(one));
            return report(Reason::GroupsDiffer, found);
        }
    }
    let count = peers.len();
    report(Reason::GroupsAgree, format!("compared with {count} interfaces of the cluster"))
}
