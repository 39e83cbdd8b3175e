//! The preflight of this node: facts that the agent has observed, and the conditions they imply.
//! It makes no EC2 calls of its own.

mod permissions;
mod reported;

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::agent::slots;
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::tag;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, EniId, ResourceName, SubnetId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits};
use firecamp_core::record::Pool;
use firecamp_node::kernel::ObservedLink;
use firecamp_node::preflight::facts::{
    AttachedVolumes, CniPlugin, Fact, Facts, Link, LinkPolicy, NodeFacts, Purpose, Reading, Right,
    Unusable,
};
use firecamp_node::preflight::{
    Condition, Manager, Severity, Verdict, carriers, has_cluster_tag, judge, verdicts,
};
use firecamp_node::volumes::Recheck;

/// Number of consecutive failed reads that count as a failure; a single one does not.
const FAILURES: u32 = 3;

/// The observed facts, with the conditions and verdicts that follow.
#[derive(Debug)]
pub(super) struct Preflight {
    facts: Facts,
    conditions: Vec<Condition>,
    verdicts: Vec<Verdict>,
    /// Consecutive failed reads of the metadata service.
    failures: u32,
    links: Option<Vec<ObservedLink>>,
    /// The extended resource of the oldest pool in each subnet.
    resources: BTreeMap<SubnetId, ResourceName>,
    /// Conditions that have changed since they were last taken.
    changed: Vec<Condition>,
    /// What was last reported as avoided.
    avoided: BTreeMap<EniId, String>,
    /// The last query of the volumes failed.
    volumes_failed: bool,
}

impl Preflight {
    /// Starts without facts.
    pub(super) fn new(cluster: ClusterName, rule: EniRule) -> Self {
        let purpose = Purpose { cluster: Some(cluster), rule, ..Purpose::default() };
        let facts = Facts { purpose, ..Facts::default() };
        let conditions = judge(&facts);
        Self {
            facts,
            conditions,
            verdicts: Vec::new(),
            failures: 0,
            links: None,
            resources: BTreeMap::new(),
            changed: Vec::new(),
            avoided: BTreeMap::new(),
            volumes_failed: false,
        }
    }

    /// The number of blocking conditions.
    pub(super) fn blocking(&self) -> usize {
        let blocks = |one: &&Condition| one.severity() == Severity::Blocking;
        self.conditions.iter().filter(blocks).count()
    }

    /// The conditions that have changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<Condition> {
        std::mem::take(&mut self.changed)
    }

    /// The last read of the kernel's links.
    pub(super) fn observed_links(&self) -> &[ObservedLink] {
        self.links.as_deref().unwrap_or_default()
    }

    /// The interfaces that FireCamp may use.
    pub(super) fn usable(&self) -> BTreeSet<EniId> {
        let usable = self.verdicts.iter().filter(|one| one.is_usable());
        usable.map(|one| one.eni.clone()).collect()
    }

    /// The interfaces that others manage.
    pub(super) fn foreign(&self) -> BTreeSet<&EniId> {
        let foreign = self.verdicts.iter().filter(|one| one.is_foreign());
        foreign.map(|one| &one.eni).collect()
    }

    /// The verdict on each interface of the node.
    pub(super) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Whether a verdict waits for the tags of an interface.
    pub(super) fn lacks_tags(&self) -> bool {
        let cni = matches!(self.facts.node.cni, Fact::Known(Some(_)));
        cni && self.verdicts.iter().any(|one| one.manager == Manager::Unknown)
    }

    /// Whether EC2's last answer lacks an interface that the metadata service lists.
    pub(super) fn lacks_listed(&self) -> bool {
        self.described().is_some() && self.lacks_any(self.verdicts.iter().map(|one| &one.eni))
    }

    /// Whether EC2's last answer lacks one of these interfaces, which the metadata service lists.
    pub(super) fn lacks_any<'a>(&self, mut these: impl Iterator<Item = &'a EniId>) -> bool {
        let described = self.described().unwrap_or_default();
        let here = |eni: &EniId| self.verdicts.iter().any(|one| one.eni == *eni);
        these.any(|eni| here(eni) && !described.iter().any(|one| one.id == *eni))
    }

    /// Whether members get no interface in a subnet of a pool because one there has only one of the
    /// cluster's tag and what keeps the VPC CNI away: a person may be about to add the other one. A
    /// primary interface beside the VPC CNI cannot get it.
    pub(super) fn is_half_tagged(&self) -> bool {
        let enis = self.facts.identity.known().map(|known| known.enis.as_slice());
        let tagged = |one: &Verdict| {
            let eni = enis.into_iter().flatten().find(|eni| eni.id == one.eni)?;
            has_cluster_tag(&self.facts, eni)
        };
        let served = || self.verdicts.iter().filter(|one| self.serves(one));
        let is_half = |one: &&Verdict| match one.manager {
            Manager::FireCamp => tagged(one) == Some(false),
            Manager::VpcCni => tagged(one) == Some(true) && one.device_index > 0,
            Manager::Other
            | Manager::TakenByCni
            | Manager::UnknownCni
            | Manager::Removing
            | Manager::Unknown => false,
        };
        let is_whole = |one: &&Verdict| one.is_usable() && tagged(one) == Some(true);
        let whole: BTreeSet<&SubnetId> = served().filter(is_whole).map(|one| &one.subnet).collect();
        served().filter(is_half).any(|one| !whole.contains(&one.subnet))
    }

    /// EC2's last answer about the interfaces.
    pub(super) fn described(&self) -> Option<&[Interface]> {
        self.facts.interfaces.known().map(Vec::as_slice)
    }

    /// Whether the VPC CNI runs on this node, if that is known.
    pub(super) fn has_vpc_cni(&self) -> Option<bool> {
        let cni = self.facts.node.cni.known()?;
        Some(cni.as_ref().is_some_and(|cni| cni.plugin == CniPlugin::Vpc))
    }

    /// Whether the metadata service and the files of the node have been read since the start.
    pub(super) fn has_read_node(&self) -> bool {
        !self.verdicts.is_empty() && !matches!(self.facts.node.cni, Fact::NotChecked)
    }

    /// The interfaces that FireCamp made and that members may not get, and why.
    pub(super) fn unusable(&mut self, unusable: BTreeMap<EniId, Unusable>) {
        if self.facts.purpose.unusable != unusable {
            self.facts.purpose.unusable = unusable;
            self.judge();
        }
    }

    /// The metadata service was read.
    pub(super) fn identified(&mut self, read: &Result<NodeIdentity, CloudFailure>) {
        match read {
            Ok(identity) => {
                self.failures = 0;
                // It hardly ever changes, and is read every few seconds.
                if self.facts.identity.known() != Some(identity) {
                    self.facts.identity = Fact::Known(identity.clone());
                    self.judge();
                }
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES {
                    self.facts.identity = Fact::Failed(failure.clone());
                    self.judge();
                }
            }
        }
    }

    /// Whether the last read of the metadata service has succeeded.
    pub(super) fn metadata_answers(&self) -> bool {
        self.failures == 0
    }

    /// The node's interfaces were queried in EC2. A failure keeps the last result.
    pub(super) fn interfaces(&mut self, read: Result<Vec<Interface>, CloudFailure>) {
        self.answered(Right::DescribeNetworkInterfaces, &read);
        if let Ok(listing) = read {
            self.facts.interfaces = Fact::Known(listing);
        }
        self.judge();
    }

    /// The limits of the instance type were queried in EC2.
    pub(super) fn type_limits(&mut self, read: Result<TypeLimits, CloudFailure>) {
        self.answered(Right::DescribeInstanceTypes, &read);
        if let Ok(limits) = read {
            self.facts.limits = Fact::Known(limits);
        }
        self.judge();
    }

    /// The CIDR reservations of subnets were queried in EC2.
    pub(super) fn reservations<T>(&mut self, read: &Result<T, CloudFailure>) {
        self.answered(Right::GetSubnetCidrReservations, read);
        self.judge();
    }

    /// Whether EC2 denied a query of this kind and has not answered one since.
    pub(super) fn is_denied(&self, right: Right) -> bool {
        matches!(self.facts.rights.get(&right), Some(Fact::Failed(_)))
    }

    /// The limits of the instance type, if known.
    pub(super) fn limits(&self) -> Option<&TypeLimits> {
        self.facts.limits.known()
    }

    /// The volumes of this instance were counted in EC2. A failure keeps the last result.
    pub(super) fn volumes(&mut self, read: &Result<AttachedVolumes, CloudFailure>) {
        self.answered(Right::DescribeVolumes, read);
        self.volumes_failed = read.is_err();
        if let Ok(volumes) = read {
            self.facts.volumes = Fact::Known(*volumes);
        }
        self.judge();
    }

    /// How soon EC2 should be asked for the volumes. `wanted`: to know their problems; their number
    /// is compared with what the EBS CSI driver offers.
    pub(super) fn recheck(&self, wanted: Recheck) -> Recheck {
        if self.is_denied(Right::DescribeVolumes) {
            // It stays denied until a person has changed it.
            return Recheck::Rarely;
        }
        let is_answered = !self.volumes_failed && self.facts.volumes.known().is_some();
        if is_answered { wanted } else { wanted.max(Recheck::Regularly) }
    }

    /// What the EBS CSI driver offers on this node; none if it is not known.
    pub(super) fn offered_volumes(&mut self, count: Option<u32>) {
        let offered = count.map_or(Fact::NotChecked, |count| Fact::Known(Some(count)));
        if self.facts.in_cluster.offered != offered {
            self.facts.in_cluster.offered = offered;
            self.judge();
        }
    }

    /// Whether there is an endpoint for pods, or why it cannot listen.
    pub(super) fn endpoint(&mut self, listens: Fact<bool>) {
        if self.facts.endpoint != listens {
            self.facts.endpoint = listens;
            self.judge();
        }
    }

    /// The offsets from other clocks were measured.
    pub(super) fn clocks(&mut self, readings: Vec<Reading>) {
        self.facts.clocks = readings;
        self.judge();
    }

    /// The node's files were read.
    pub(super) fn files(&mut self, node: NodeFacts) {
        self.facts.node = node;
        self.relink();
        self.judge();
    }

    /// The kernel's links were read; they take precedence over sysfs.
    pub(super) fn links(&mut self, links: &[ObservedLink]) {
        if self.links.as_deref() != Some(links) {
            self.links = Some(links.to_vec());
            self.relink();
            self.judge();
        }
    }

    /// The pools were read; the oldest first.
    pub(super) fn pools(&mut self, pools: &[Pool]) {
        let of = |pool: &Pool| {
            let subnets = pool.subnets.clone().into_iter().map(|entry| entry.subnet);
            subnets.map(|subnet| (subnet, pool.resource.clone())).collect::<Vec<_>>()
        };
        // Of two pools in one subnet the first one is inserted last.
        self.resources = pools.iter().rev().flat_map(of).collect();
        let subnets = Purpose::of_pools(pools);
        if self.facts.purpose.subnets.as_ref() != Some(&subnets) {
            self.facts.purpose.subnets = Some(subnets);
            self.judge();
        }
    }

    /// Whether a pool has addresses in this subnet.
    pub(super) fn serves(&self, verdict: &Verdict) -> bool {
        let subnets = self.facts.purpose.subnets.as_ref();
        subnets.is_some_and(|all| all.contains_key(&verdict.subnet))
    }

    /// The interfaces that members may get. None while the pools are unknown.
    fn carriers(&self, identity: &NodeIdentity) -> Option<BTreeSet<EniId>> {
        self.facts.purpose.subnets.as_ref()?;
        Some(carriers(&self.facts, identity).into_iter().map(|eni| eni.id.clone()).collect())
    }

    /// The interfaces that members get only if there is no other, if they have changed.
    pub(super) fn take_avoided(&mut self) -> Option<BTreeMap<EniId, String>> {
        let avoided = self.avoided();
        if avoided == self.avoided {
            return None;
        }
        self.avoided.clone_from(&avoided);
        Some(avoided)
    }

    fn avoided(&self) -> BTreeMap<EniId, String> {
        let enis = self.facts.identity.known().map(|known| known.enis.as_slice());
        let why = |eni: &Eni| {
            if has_cluster_tag(&self.facts, eni) == Some(false) {
                return Some(format!("it has no tag {} of this cluster", tag::CLUSTER));
            }
            let limit = self.limits()?.addresses;
            let free = slots([eni], limit, &BTreeMap::new()).free;
            (free == 0).then(|| format!("it has no free slot (limit {limit})"))
        };
        let avoided =
            enis.into_iter().flatten().filter_map(|eni| Some((eni.id.clone(), why(eni)?)));
        avoided.collect()
    }

    /// Combines the kernel's links with systemd-networkd's policy from files.
    fn relink(&mut self) {
        let Some(links) = &self.links else { return };
        let by_files = self.facts.node.links.known().cloned().unwrap_or_default();
        let merged = links.iter().map(|seen| {
            let known = by_files.iter().find(|link| link.name == seen.name);
            let networkd = known.map_or(LinkPolicy::Unmanaged, |link| link.networkd.clone());
            Link { name: seen.name.clone(), mac: seen.mac, up: seen.up, networkd }
        });
        self.facts.node.links = Fact::Known(merged.collect());
    }

    /// Derives verdicts and conditions again, and notes changed conditions.
    fn judge(&mut self) {
        self.verdicts = verdicts(&self.facts);
        let conditions = judge(&self.facts);
        for now in &conditions {
            let before = self.conditions.iter().find(|one| one.kind == now.kind);
            if before.is_none_or(|before| before.reason != now.reason) {
                self.changed.push(now.clone());
            }
        }
        self.conditions = conditions;
    }
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
