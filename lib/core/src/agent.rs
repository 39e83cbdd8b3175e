//! The agent's part of the protocol: a pure planner, and a machine for each operation.
//!
//! Guarantees: a plan follows from the observation alone and contains at most one operation for
//! each address; what could not be read never counts as absent. No operation relies on the plan:
//! its machine reads the record again, and an epoch, a version or the node's lock guards every
//! mutation. Assumptions: A1, as for attach. Caveats: [`Collector`] finds addresses that EC2 has
//! and no record claims, but no operation unassigns them: that needs a pending mutation in a
//! record. The address gets a record ([`Adopter`]) if its pool's policy is Adopt.

mod adoption_rules;
mod ec2_query_budget;
mod execution;
mod find_leftovers;
mod node_capacity;
mod readings;
mod reassert;
mod restore_and_collect;
mod saved_snapshot;
mod withdraw;

pub use self::adoption_rules::{Adopter, Evidence, NotAdopted, Orphan, adopt, is_adopted, orphans};
pub use self::ec2_query_budget::{Budget, Ec2Query, Want};
pub use self::execution::Execution;
pub use self::find_leftovers::{Collector, KernelOwner, Leftover, Pass};
pub use self::node_capacity::{ResourceList, Slots, slots};
pub use self::readings::{AddressReadings, Memory};
pub use self::saved_snapshot::{BadSnapshot, Snapshot};

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::contract::timing;
use crate::ids::{ClusterName, EniId, Epoch, Member, NodeName, PodUid};
use crate::lock_rule::{Hold, LockRecord};
use crate::ports::{Holder, KernelTarget, PodLifecycle, PodView};
use crate::record::{Attachment, State, StaticIp};
use crate::release::Releaser;
use crate::time::Moment;

/// What an agent observes from its node. It may be stale, so it never authorises a mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Observation {
    /// The agent's own node.
    pub node: NodeName,
    /// The cluster whose ENIs may be overridden.
    pub cluster: ClusterName,
    /// Nodes that are gone for good. This agent is the leader and finishes their releases.
    pub gone: BTreeSet<NodeName>,
    /// The addresses that were observed completely, without those that could not be read.
    pub addresses: Vec<ObservedAddress>,
}

/// What the agent observes about one address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedAddress {
    /// Its record.
    pub record: StaticIp,
    /// The record of this node's lock.
    pub lock: Option<LockRecord>,
    /// This node's kernel has an address, rule or route of FireCamp for it.
    pub in_kernel: bool,
    /// The target of the address if this node's kernel is missing a part of it.
    pub missing: Option<KernelTarget>,
    /// The live pod of its member.
    pub pod: PodView,
    /// Since when EC2 has reported it elsewhere than on the recorded ENI, without interruption.
    pub misplaced: Option<Moment>,
    /// When this agent last started to re-assert it.
    pub reasserted: Option<Moment>,
}

/// One operation on one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Operation {
    /// Another node holds the address: remove it from this node's kernel.
    Withdraw {
        /// The address.
        address: Ipv4Addr,
        /// The holder on whose behalf it is removed, which is superseded or has released.
        holder: Holder,
    },
    /// The pod is gone or terminal, and no stop container released its address: release it.
    Release {
        /// The member.
        member: Member,
        /// The pod in the record.
        pod: PodUid,
        /// The agent of the pod's node, or the leader if that node is gone.
        by: Releaser,
    },
    /// The address is parked here, and another pod of this node needs its slot: unassign it. The
    /// planner never returns this operation.
    Evict {
        /// The address.
        address: Ipv4Addr,
        /// The member that keeps it.
        member: Member,
        /// The pod in the record, which released it.
        pod: PodUid,
    },
    /// EC2 reports the address elsewhere although this node holds it: assign it again.
    Reassert {
        /// The address.
        address: Ipv4Addr,
        /// The epoch that holds it.
        epoch: Epoch,
        /// The ENI that it belongs on.
        eni: EniId,
    },
    /// This node holds the address, and another program removed it from the kernel: restore it.
    Restore {
        /// What the kernel needs.
        target: KernelTarget,
        /// The holder, by the record and by the node's lock.
        holder: Holder,
    },
    /// No record claims the address any more: remove it from this node's kernel. The planner never
    /// returns this operation; it follows from a [`Collector`].
    Collect {
        /// The address.
        address: Ipv4Addr,
        /// The holder that acted on it last, by the node's lock.
        holder: Holder,
    },
}

/// The operations that are due, in the order of the addresses.
pub fn plan(observation: &Observation, now: Moment) -> Vec<Operation> {
    observation
        .addresses
        .iter()
        .filter_map(|observed| operation(observation, observed, now))
        .collect()
}

fn operation(
    observation: &Observation,
    observed: &ObservedAddress,
    now: Moment,
) -> Option<Operation> {
    let record = &observed.record;
    let attachment = record.attachment.as_ref()?;
    if let Some(holder) = superseded(observed, &observation.node) {
        return Some(Operation::Withdraw { address: record.address, holder });
    }
    match attachment.state {
        State::Attaching | State::Attached | State::Releasing
            if unattended(attachment, &observed.pod) =>
        {
            let by = releaser(observation, &attachment.node)?;
            let (member, pod) = (record.member.clone(), attachment.pod.clone());
            Some(Operation::Release { member, pod, by })
        }
        State::Attached if attachment.node == observation.node => {
            restore(observed, attachment).or_else(|| reassert(observed, attachment, now))
        }
        State::Attaching | State::Attached | State::Parked | State::Releasing | State::Released => {
            None
        }
    }
}

/// The superseded holder that this node's kernel still serves. While an attach is in progress on
/// this node, that attach corrects the kernel itself.
fn superseded(observed: &ObservedAddress, node: &NodeName) -> Option<Holder> {
    let lock = observed.lock.as_ref();
    let held = lock.is_some_and(|last| last.hold == Hold::Held);
    if !observed.in_kernel && !held {
        return None;
    }
    let record = &observed.record;
    if lock.is_some_and(|last| last.holder.epoch > record.epoch) || !withdrawn(record, node) {
        return None;
    }
    lock.map(|last| last.holder.clone()).or_else(|| {
        // A holder on this node that the record has moved on from held an earlier epoch.
        let pod = record.attachment.as_ref()?.pod.clone();
        Some(Holder { pod, epoch: Epoch(record.epoch.0.saturating_sub(1)) })
    })
}

/// Whether this node has nothing to serve, according to the record.
fn withdrawn(record: &StaticIp, node: &NodeName) -> bool {
    record.attachment.as_ref().is_some_and(|a| match a.state {
        State::Attaching | State::Attached => a.node != *node,
        State::Parked | State::Releasing | State::Released => true,
    })
}

/// Whether no stop container will release it. A terminating pod still has its stop container.
fn unattended(attachment: &Attachment, pod: &PodView) -> bool {
    match pod {
        PodView::Vouched => false,
        PodView::Absent => true,
        PodView::Present { pod, lifecycle, .. } => {
            *pod != attachment.pod
                || match lifecycle {
                    PodLifecycle::Terminal => true,
                    PodLifecycle::Terminating(_) | PodLifecycle::Running => false,
                }
        }
    }
}

fn releaser(observation: &Observation, node: &NodeName) -> Option<Releaser> {
    if *node == observation.node {
        return Some(Releaser::Agent);
    }
    observation.gone.contains(node).then_some(Releaser::AgentElsewhere)
}

/// An address that the same pod holds at the same epoch by record and lock, and that the kernel is
/// missing. If a stop container has just removed it, the lock is released, whatever the record
/// says.
fn restore(observed: &ObservedAddress, attachment: &Attachment) -> Option<Operation> {
    let target = observed.missing.clone()?;
    let holder = Holder { pod: attachment.pod.clone(), epoch: observed.record.epoch };
    let lock = observed.lock.as_ref()?;
    (lock.hold == Hold::Held && lock.holder == holder)
        .then_some(Operation::Restore { target, holder })
}

/// Once for each observed loss, and not before a read that shows the effect of the last one. Only
/// for a pod that runs here: anyone with an agent's token can write a record that names this node.
fn reassert(observed: &ObservedAddress, attachment: &Attachment, now: Moment) -> Option<Operation> {
    observed.misplaced?;
    let pause = timing::REASSERT_PAUSE;
    let recently = observed.reasserted.is_some_and(|at| now.since(at) < pause);
    let eni = attachment.eni.clone()?;
    let (address, epoch) = (observed.record.address, observed.record.epoch);
    (!recently && runs_on(&attachment.node, &observed.pod)).then_some(Operation::Reassert {
        address,
        epoch,
        eni,
    })
}

/// Whether the pod runs on this node, which never changes. A file registry has no pods.
fn runs_on(node: &NodeName, pod: &PodView) -> bool {
    match pod {
        PodView::Vouched => true,
        PodView::Absent => false,
        PodView::Present { node: at, .. } => at.as_ref() == Some(node),
    }
}

/// How long an operation may take before the agent plans again.
pub(crate) const PATIENCE: Duration = timing::OPERATION_DEADLINE;
