//! Whether this node is fit for addresses: what the agent has found out, and its conditions.
//!
//! Nothing is asked of EC2 for it: it follows from what the agent asks and does anyway.

mod told;

use std::collections::BTreeSet;

use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{ClusterName, EniId};
use firecamp_core::interface::Interface;
use firecamp_core::node::{EniRule, NodeIdentity, TypeLimits};
use firecamp_core::record::Pool;
use firecamp_host::LinkSeen;
use firecamp_node::preflight::facts::{
    Fact, Facts, Link, LinkPolicy, NodeFacts, Permission, Purpose, Reading, Right,
};
use firecamp_node::preflight::{Condition, Manager, Verdict, Weight, judge, verdicts};

/// So many reads in a row must fail before that counts: one that is lost says nothing.
const FAILURES: u32 = 3;

/// The facts so far, and what follows from them.
#[derive(Debug)]
pub(crate) struct Preflight {
    facts: Facts,
    conditions: Vec<Condition>,
    verdicts: Vec<Verdict>,
    /// Reads of the metadata service that have failed since the last that has not.
    failures: u32,
    links: Option<Vec<LinkSeen>>,
}

impl Preflight {
    /// Nothing is known yet.
    pub(crate) fn new(cluster: ClusterName, rule: EniRule) -> Self {
        let purpose = Purpose { cluster: Some(cluster), rule, subnets: None };
        let facts = Facts { purpose, ..Facts::default() };
        let conditions = judge(&facts);
        Self { facts, conditions, verdicts: Vec::new(), failures: 0, links: None }
    }

    /// The conditions, in the order of their kinds.
    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// On each interface of the node.
    pub(crate) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Whether a verdict waits for the tags of an interface, which only EC2 tells.
    pub(crate) fn lacks_tags(&self) -> bool {
        let cni = matches!(self.facts.node.vpc_cni, Fact::Known(Some(_)));
        cni && self.verdicts.iter().any(|one| one.manager == Manager::Unknown)
    }

    /// The metadata service was read.
    pub(crate) fn identified(&mut self, read: &Result<NodeIdentity, CloudFailure>) {
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

    /// EC2 was asked for the node's interfaces. What it said before stands if it says nothing.
    pub(crate) fn interfaces(&mut self, read: Result<Vec<Interface>, CloudFailure>) {
        self.answered(Right::DescribeNetworkInterfaces, &read);
        if let Ok(listing) = read {
            self.facts.interfaces = Fact::Known(listing);
        }
        self.judge();
    }

    /// EC2 was asked what the instance's type allows.
    pub(crate) fn type_limits(&mut self, read: Result<TypeLimits, CloudFailure>) {
        self.answered(Right::DescribeInstanceTypes, &read);
        if let Ok(limits) = read {
            self.facts.limits = Fact::Known(limits);
        }
        self.judge();
    }

    /// What the instance's type allows, if that is known.
    pub(crate) fn limits(&self) -> Option<&TypeLimits> {
        self.facts.limits.known()
    }

    /// EC2 was asked for the volumes of this instance, and has told so many. What it said before
    /// stands if it says nothing.
    pub(crate) fn volumes(&mut self, read: &Result<u32, CloudFailure>) {
        self.answered(Right::DescribeVolumes, read);
        if let Ok(count) = read {
            self.facts.volumes = Fact::Known(*count);
        }
        self.judge();
    }

    /// What an answer says of EC2's policy; one that fails in passing says nothing.
    fn answered<T>(&mut self, right: Right, read: &Result<T, CloudFailure>) {
        let said = match read {
            Ok(_) => Fact::Known(Permission::Allowed),
            Err(failure) if failure.kind == CloudKind::Auth => Fact::Failed(failure.clone()),
            Err(_passing) => return,
        };
        self.facts.rights.insert(right, said);
    }

    /// EC2 has done something of the kind, or has refused to.
    pub(crate) fn tried(&mut self, right: Right, permission: Permission) {
        self.facts.rights.insert(right, Fact::Known(permission));
        self.judge();
    }

    /// What other clocks said.
    pub(crate) fn clocks(&mut self, readings: Vec<Reading>) {
        self.facts.clocks = readings;
        self.judge();
    }

    /// The node's files were read.
    pub(crate) fn files(&mut self, node: NodeFacts) {
        self.facts.node = node;
        self.relink();
        self.judge();
    }

    /// The kernel's links were read: that is closer to the truth than what files say of them.
    pub(crate) fn links(&mut self, links: &[LinkSeen]) {
        if self.links.as_deref() != Some(links) {
            self.links = Some(links.to_vec());
            self.relink();
            self.judge();
        }
    }

    /// The pools were read.
    pub(crate) fn pools(&mut self, pools: &[Pool]) {
        let subnets = Purpose::of_pools(pools);
        if self.facts.purpose.subnets.as_ref() != Some(&subnets) {
            self.facts.purpose.subnets = Some(subnets);
            self.judge();
        }
    }

    /// Whether addresses of a pool go to this subnet.
    pub(crate) fn serves(&self, verdict: &Verdict) -> bool {
        let subnets = self.facts.purpose.subnets.as_ref();
        subnets.is_some_and(|all| all.contains_key(&verdict.subnet))
    }

    /// The interfaces that members get, whoever has them. None while the pools are not known.
    fn carriers(&self, identity: &NodeIdentity) -> Option<BTreeSet<EniId>> {
        let Purpose { rule, subnets, .. } = &self.facts.purpose;
        let choose = |subnet| identity.choose(*rule, |one| one == subnet);
        Some(subnets.as_ref()?.keys().filter_map(choose).map(|eni| eni.id.clone()).collect())
    }

    /// Of each link what the kernel says, and what systemd-networkd does with it by its files.
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

    /// Tells what has changed.
    fn judge(&mut self) {
        self.verdicts = verdicts(&self.facts);
        let conditions = judge(&self.facts);
        for now in &conditions {
            let before = self.conditions.iter().find(|one| one.kind == now.kind);
            if before.is_none_or(|before| before.reason != now.reason) {
                tell(now);
            }
        }
        self.conditions = conditions;
    }
}

/// The interfaces that FireCamp is known to be free to use.
pub(crate) fn usable(verdicts: &[Verdict]) -> BTreeSet<EniId> {
    verdicts.iter().filter(|one| one.is_usable()).map(|one| one.eni.clone()).collect()
}

fn tell(condition: &Condition) {
    let Condition { kind, reason, message } = condition;
    match condition.weight() {
        Weight::Blocks => tracing::error!(condition = %kind, %reason, %message, "Preflight"),
        Weight::Warns => tracing::warn!(condition = %kind, %reason, %message, "Preflight"),
        Weight::Open | Weight::Fine => {
            tracing::info!(condition = %kind, %reason, %message, "Preflight");
        }
    }
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
