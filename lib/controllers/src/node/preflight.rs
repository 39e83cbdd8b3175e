//! The preflight of this node: facts that the agent has observed, and the conditions they imply.
//! It makes no EC2 calls of its own.

mod permissions;
mod reported;

use std::collections::BTreeSet;

use firecamp_core::choose_interface::EniRule;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, EniId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::record::Pool;
use firecamp_node::kernel::ObservedLink;
use firecamp_node::preflight::facts::{
    Fact, Facts, Link, LinkPolicy, NodeFacts, Purpose, Reading, Right,
};
use firecamp_node::preflight::{Condition, Manager, Severity, Verdict, judge, verdicts};

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
    /// Conditions that have changed since they were last taken.
    changed: Vec<Condition>,
}

impl Preflight {
    /// Starts without facts.
    pub(super) fn new(cluster: ClusterName, rule: EniRule) -> Self {
        let purpose = Purpose { cluster: Some(cluster), rule, subnets: None };
        let facts = Facts { purpose, ..Facts::default() };
        let conditions = judge(&facts);
        Self {
            facts,
            conditions,
            verdicts: Vec::new(),
            failures: 0,
            links: None,
            changed: Vec::new(),
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

    /// The verdict on each interface of the node.
    pub(super) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Whether a verdict waits for the tags of an interface, which only EC2 has.
    pub(super) fn lacks_tags(&self) -> bool {
        let cni = matches!(self.facts.node.cni, Fact::Known(Some(_)));
        cni && self.verdicts.iter().any(|one| one.manager == Manager::Unknown)
    }

    /// The metadata service was read.
    pub(super) fn identified(&mut self, read: &Result<NodeIdentity, CloudFailure>) {
        match read {
            Ok(identity) => {
                self.failures = 0;
                self.facts.identity = Fact::Known(identity.clone());
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES {
                    self.facts.identity = Fact::Failed(failure.clone());
                }
            }
        }
        self.judge();
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

    /// The limits of the instance type, if known.
    pub(super) fn limits(&self) -> Option<&TypeLimits> {
        self.facts.limits.known()
    }

    /// The volumes of this instance were counted in EC2. A failure keeps the last result.
    pub(super) fn volumes(&mut self, read: &Result<usize, CloudFailure>) {
        self.answered(Right::DescribeVolumes, read);
        if let Ok(count) = read {
            self.facts.volumes = Fact::Known(u32::try_from(*count).unwrap_or(u32::MAX));
        }
        self.judge();
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

    /// The pools were read.
    pub(super) fn pools(&mut self, pools: &[Pool]) {
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

    /// The interfaces chosen for members. None while the pools are unknown.
    fn carriers(&self, identity: &NodeIdentity) -> Option<BTreeSet<EniId>> {
        let Purpose { rule, subnets, .. } = &self.facts.purpose;
        let choose = |subnet| identity.choose(*rule, |one| one == subnet);
        Some(subnets.as_ref()?.keys().filter_map(choose).map(|eni| eni.id.clone()).collect())
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
