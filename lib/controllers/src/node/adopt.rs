//! Adopts orphaned addresses of pools with `orphanPolicy: Adopt`, after each query of EC2.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::{Ec2Query, NotAdopted, Orphan, orphans};
use firecamp_core::ids::{ClusterName, InstanceId, NodeName};
use firecamp_core::network_interface::Interface;
use firecamp_core::time::Moment;

use super::{Effect, NodeController, Report, Task};
use crate::publish::Notice;

/// The identity of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    /// Its node.
    pub node: NodeName,
    /// The node's instance.
    pub instance: InstanceId,
    /// Its cluster.
    pub cluster: ClusterName,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdoptionResult {
    /// The StaticIP was created.
    Adopted,
    /// A rule forbids the adoption.
    Refused(NotAdopted),
    /// Another process created the StaticIP first.
    Moot,
    /// A read or the write failed.
    Failed(String),
}

impl NodeController {
    /// Checks the result of a query of EC2; `listing` is none if the query failed. Returns the read
    /// of the orphans' records.
    pub(super) fn check_orphans(&mut self, listing: Option<&[Interface]>) -> Option<Task> {
        let begun = self.ec2.last_started(Ec2Query::Interfaces);
        let (Some(listing), Some(begun), Some(pools)) = (listing, begun, self.observed.pools())
        else {
            self.adopter.reset();
            return None;
        };
        let found = orphans(listing, &self.preflight.usable(), pools, self.observed.cluster());
        if found.is_empty() {
            self.adopter.reset();
            return None;
        }
        Some(Task::CheckOrphans(found, begun))
    }

    /// Attempts to adopt the orphans whose grace period is over, after fresh reads.
    pub(super) fn adopt_orphans(
        &mut self,
        found: &BTreeSet<Orphan>,
        recorded: &BTreeMap<Ipv4Addr, bool>,
        begun: Moment,
        now: Moment,
    ) -> Vec<Effect> {
        let due = self.adopter.observe(found, recorded, (begun, now));
        let Some(identity) = self.observed.identity() else { return Vec::new() };
        let own = AgentIdentity {
            node: self.observed.node().clone(),
            instance: identity.instance.clone(),
            cluster: self.observed.cluster().clone(),
        };
        due.into_iter().map(|orphan| Effect::Start(Task::Adopt(orphan, own.clone()))).collect()
    }
}

/// Reports the result of an attempt; attempts are rare.
pub(super) fn tried(orphan: Orphan, result: AdoptionResult, effects: &mut Vec<Effect>) {
    let notice = Effect::Notify(Notice::Adopted(orphan.address));
    let notice = (result == AdoptionResult::Adopted).then_some(notice);
    effects.push(Effect::Report(Report::AdoptionTried(orphan, result)));
    effects.extend(notice);
}
