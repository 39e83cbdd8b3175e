//! Lost nodes: releases the addresses that their agents cannot release any more.
//!
//! The holder of an address is an instance and an ENI, not a Node object. So the leader releases an
//! address whose pod is gone or terminal if its node is not ready, or has no Node object, in two
//! passes and for a grace period. The grace period is short if EC2 shows the address on no instance
//! any more or the node is declared out of service, and long if an instance still has the address.
//! A stale Node object never blocks a release, and a missing one proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::{Observation, ObservedAddress, Operation as NodeOperation, plan};
use firecamp_core::ids::{Epoch, NodeName};
use firecamp_core::ports::PodView;
use firecamp_core::release::Releaser;
use firecamp_core::time::Moment;

use crate::leader::persistent_findings::Findings;
use crate::leader::planner::{Operation, Site};
use crate::leader::reclaim::orphan;
use crate::leader::round_robin::RoundRobin;
use crate::leader::timing;
use crate::leader::view::{NodeReadiness, ObservedStaticIp, Queries, QueryResults, View};

/// Why the leader releases an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum ReleaseReason {
    /// EC2 shows the address on no instance at the recorded ENI.
    NoInstance,
    /// The node is declared out of service.
    OutOfService,
    /// The node has been unready for long, and an instance still has the address.
    Unresponsive,
    /// The claim is gone, so the node, which may be alive, cannot release the address.
    NoClaim,
}

/// Why an address is a candidate for a release.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    epoch: Epoch,
    node: NodeName,
    held: bool,
    claimed: bool,
}

/// The maximum number of owner lookups in EC2 per pass. Pods that stay on record while their node
/// is not ready must not keep other addresses from being looked up.
const QUERIES_PER_PASS: usize = 20;

#[derive(Debug, Clone, Default)]
pub(crate) struct Nodes {
    findings: Findings<Ipv4Addr, Case>,
    round_robin: RoundRobin<Ipv4Addr>,
}

/// The held addresses that their node's agent cannot release: the node is not ready, or the claim
/// is gone. The leader's own node counts as ready.
fn stuck<'a>(
    view: &'a View,
    site: &'a Site,
) -> impl Iterator<Item = (&'a Ipv4Addr, &'a ObservedStaticIp, &'a NodeName)> {
    view.readable().filter_map(|(address, observed)| {
        let node = &observed.record.attachment.as_ref()?.node;
        let answers = match view.nodes.get(node).map(|_known| view.lifecycle(node)) {
            Some(Some(NodeReadiness::Ready) | None) => true,
            Some(Some(NodeReadiness::NotReady | NodeReadiness::OutOfService)) | None => {
                *node == site.node
            }
        };
        let stuck = !answers || !is_claimed(view, observed);
        (observed.is_held() && stuck).then_some((address, observed, node))
    })
}

fn is_claimed(view: &View, observed: &ObservedStaticIp) -> bool {
    orphan(view, observed.record.address, &observed.record.member) != Some(true)
}

/// The release that the core's planner plans for a lost node. The leader changes no kernel, not
/// even that of its own node, whose agent then withdraws the address.
fn release(
    observed: &ObservedStaticIp,
    pod: PodView,
    site: &Site,
    now: Moment,
) -> Option<NodeOperation> {
    let node = observed.record.attachment.as_ref()?.node.clone();
    let mut observation =
        Observation::new(site.node.clone(), site.cluster.clone(), BTreeSet::from([node]));
    observation.addresses.push(ObservedAddress {
        record: observed.record.clone(),
        lock: None,
        in_kernel: false,
        missing: None,
        pod,
        misplaced: None,
        reasserted: None,
    });
    plan(&observation, now).pop().and_then(|operation| match operation {
        NodeOperation::Release { member, pod, by: _ } => {
            Some(NodeOperation::Release { member, pod, by: Releaser::AgentElsewhere })
        }
        NodeOperation::Withdraw { .. }
        | NodeOperation::Evict { .. }
        | NodeOperation::Reassert { .. }
        | NodeOperation::Restore { .. }
        | NodeOperation::Collect { .. } => None,
    })
}

impl Nodes {
    pub(crate) fn ask(&mut self, view: &View, site: &Site, questions: &mut Queries) {
        let stuck: BTreeMap<_, _> =
            stuck(view, site).map(|(at, observed, _)| (at, observed)).collect();
        for address in self.round_robin.take(stuck.keys().copied().collect(), QUERIES_PER_PASS) {
            let member = stuck.get(address).map(|observed| observed.record.member.clone());
            questions.pods.extend(member);
            questions.owners.push(*address);
        }
    }

    pub(crate) fn plan(
        &mut self,
        view: &View,
        site: &Site,
        answers: &QueryResults,
        now: Moment,
    ) -> Vec<Operation> {
        self.round_robin.skipped(&answers.skipped_owners);
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        let mut releases = BTreeMap::new();
        for (address, observed, node) in stuck(view, site) {
            let pod = answers.pods.get(&observed.record.member);
            let (Some(pod), Some(held)) = (pod, answers.held.get(address)) else {
                unknown.insert(*address);
                continue;
            };
            if let Some(node_operation) = release(observed, pod.view.clone(), site, now) {
                releases.insert(*address, node_operation);
                let (epoch, node) = (observed.record.epoch, node.clone());
                let claimed = is_claimed(view, observed);
                found.insert(*address, Case { epoch, node, held: *held, claimed });
            }
        }
        self.findings.pass(found, &unknown, now);
        let why = |case: &Case| match (case.held, view.lifecycle(&case.node)) {
            _ if !case.claimed => ReleaseReason::NoClaim,
            (false, _) => ReleaseReason::NoInstance,
            (true, Some(NodeReadiness::OutOfService)) => ReleaseReason::OutOfService,
            (true, Some(NodeReadiness::Ready | NodeReadiness::NotReady) | None) => {
                ReleaseReason::Unresponsive
            }
        };
        let grace = |_: &Ipv4Addr, case: &Case| match why(case) {
            ReleaseReason::NoInstance | ReleaseReason::OutOfService | ReleaseReason::NoClaim => {
                timing::NODE_GRACE
            }
            ReleaseReason::Unresponsive => timing::MACHINE_GRACE,
        };
        let due = self.findings.due(now, grace);
        due.filter_map(|(address, case)| {
            let node_operation = releases.remove(address)?;
            Some(Operation::Release { address: *address, node_operation, why: why(case) })
        })
        .collect()
    }
}
