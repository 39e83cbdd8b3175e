//! The agent's duties to the protocol: a pure planner, and a machine for each duty.
//!
//! Guarantees: a plan follows from what was seen and nothing else, names at most one duty for each
//! address, and what could not be read is never taken for absent. No duty acts on the plan's
//! word: its machine reads the record afresh, and every mutation is guarded by an epoch, a
//! version or the node's lock. Assumptions: A1, as for attach. Caveats: what EC2 has and nobody
//! claims is found ([`Collector`]), and no duty takes it back: that needs a mark, and a mark needs
//! a record, which it gets ([`Adopter`]) where a person has declared whose it is.

mod adopt;
mod budget;
mod collect;
mod errand;
mod give_way;
mod look;
mod reassert;
mod slots;
mod snapshot;
mod upkeep;

pub use self::adopt::{Adopter, Evidence, NotAdopted, Stray, adopt, strays};
pub use self::budget::{Budget, Ec2Look, Want};
pub use self::collect::{Collector, Leftover, Mark as KernelMark, Pass};
pub use self::errand::Errand;
pub use self::look::{Look, Memory};
pub use self::slots::{Slots, slots};
pub use self::snapshot::{BadSnapshot, Snapshot};

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::bug::{Bug, planted};
use crate::contract::timing;
use crate::ids::{ClusterName, EniId, Epoch, Member, NodeName, PodUid};
use crate::lock::{Hold, LockRecord};
use crate::outside::{Holder, KernelTarget, Life, PodView};
use crate::record::{Attachment, State, StaticIp};
use crate::release::Releaser;
use crate::time::Moment;

/// What an agent sees from its node. It may be old: it never authorises anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sight {
    /// The agent's own node.
    pub node: NodeName,
    /// The cluster whose ENIs may be overridden.
    pub cluster: ClusterName,
    /// Nodes that are gone for good and whose releases this agent finishes: it holds the Lease.
    pub gone: BTreeSet<NodeName>,
    /// The addresses that were seen completely; what could not be read is left out.
    pub addresses: Vec<Seen>,
}

/// What is seen of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seen {
    /// Its record.
    pub record: StaticIp,
    /// What this node's lock has on record.
    pub lock: Option<LockRecord>,
    /// An address, rule or route of ours for it is in this node's kernel.
    pub in_kernel: bool,
    /// Where it belongs in this node's kernel, if that was seen to lack a part of it.
    pub lacking: Option<KernelTarget>,
    /// The live pod of its member.
    pub pod: PodView,
    /// Since when EC2 has been showing it elsewhere than on the recorded ENI, without a break.
    pub astray: Option<Moment>,
    /// When this agent last began to re-assert it.
    pub reasserted: Option<Moment>,
}

/// One thing to do, for one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Duty {
    /// The address belongs elsewhere now: out of this node's kernel.
    GiveWay {
        /// The address.
        address: Ipv4Addr,
        /// As whom it is removed: the holder that is superseded or has released.
        holder: Holder,
    },
    /// The pod is gone or terminal and no stop container released for it.
    Release {
        /// The member.
        member: Member,
        /// The pod that is on record.
        pod: PodUid,
        /// This node's agent, or the one that does it for a node that is gone.
        by: Releaser,
    },
    /// EC2 shows the address elsewhere though this node holds it.
    Reassert {
        /// The address.
        address: Ipv4Addr,
        /// The epoch that holds it.
        epoch: Epoch,
        /// The ENI that it belongs on.
        eni: EniId,
    },
    /// Something on this node has stripped what this node holds: back into the kernel.
    Restore {
        /// What the kernel needs for it.
        target: KernelTarget,
        /// Who holds it, by the record and by the node's lock.
        holder: Holder,
    },
    /// What no record claims any more: out of this node's kernel. Never planned from a sight; it
    /// comes of a [`Collector`].
    Collect {
        /// The address.
        address: Ipv4Addr,
        /// As whom it is removed: who acted on it last, by the node's lock.
        holder: Holder,
    },
}

/// What there is to do, in the order of the addresses.
pub fn plan(sight: &Sight, now: Moment) -> Vec<Duty> {
    sight.addresses.iter().filter_map(|seen| duty(sight, seen, now)).collect()
}

fn duty(sight: &Sight, seen: &Seen, now: Moment) -> Option<Duty> {
    let record = &seen.record;
    let attachment = record.attachment.as_ref()?;
    if planted(Bug::RestoreMovedEpoch) {
        let stripped = restore_by_lock(seen);
        if stripped.is_some() {
            return stripped;
        }
    }
    if let Some(holder) = superseded(seen, &sight.node) {
        return Some(Duty::GiveWay { address: record.address, holder });
    }
    match attachment.state {
        State::Attaching | State::Attached | State::Releasing
            if unattended(attachment, &seen.pod) =>
        {
            let by = releaser(sight, &attachment.node)?;
            let (member, pod) = (record.member.clone(), attachment.pod.clone());
            Some(Duty::Release { member, pod, by })
        }
        State::Attached if attachment.node == sight.node => {
            restore(seen, attachment).or_else(|| reassert(seen, attachment, now))
        }
        State::Attaching | State::Attached | State::Parked | State::Releasing | State::Released => {
            None
        }
    }
}

/// Whom this node's kernel still serves though the record has moved on. While an attach on this
/// node is under way, that attach puts the kernel right.
fn superseded(seen: &Seen, node: &NodeName) -> Option<Holder> {
    let lock = seen.lock.as_ref();
    let held = lock.is_some_and(|last| last.hold == Hold::Held);
    if !seen.in_kernel && !held {
        return None;
    }
    let record = &seen.record;
    if lock.is_some_and(|last| last.holder.epoch > record.epoch) || !given_way(record, node) {
        return None;
    }
    lock.map(|last| last.holder.clone()).or_else(|| {
        // Whoever it was here, and this node does not know any more, held an earlier epoch.
        let pod = record.attachment.as_ref()?.pod.clone();
        Some(Holder { pod, epoch: Epoch(record.epoch.0.saturating_sub(1)) })
    })
}

/// Whether the record says that this node has nothing to answer for.
fn given_way(record: &StaticIp, node: &NodeName) -> bool {
    record.attachment.as_ref().is_some_and(|a| match a.state {
        State::Attaching | State::Attached => a.node != *node,
        State::Parked | State::Releasing | State::Released => true,
    })
}

/// Whether nobody is left to release it. A terminating pod has its stop container.
fn unattended(attachment: &Attachment, pod: &PodView) -> bool {
    match pod {
        PodView::Vouched => false,
        PodView::Absent => true,
        PodView::Present { pod, life, .. } => {
            *pod != attachment.pod
                || match life {
                    Life::Terminal => true,
                    Life::Terminating(_) | Life::Running => planted(Bug::ReleaseLivePod),
                }
        }
    }
}

fn releaser(sight: &Sight, node: &NodeName) -> Option<Releaser> {
    if *node == sight.node {
        return Some(Releaser::Agent);
    }
    sight.gone.contains(node).then_some(Releaser::AgentElsewhere)
}

/// What the same pod holds at the same epoch by record and lock, and the kernel lacks. What a stop
/// has just removed is released by the lock, whatever the record says yet.
fn restore(seen: &Seen, attachment: &Attachment) -> Option<Duty> {
    let target = seen.lacking.clone()?;
    let holder = Holder { pod: attachment.pod.clone(), epoch: seen.record.epoch };
    let lock = seen.lock.as_ref()?;
    let held = lock.hold == Hold::Held || planted(Bug::RestoreReleased);
    (held && lock.holder == holder).then_some(Duty::Restore { target, holder })
}

/// The planted bug: what the lock says was held here once, wherever the record has it now.
fn restore_by_lock(seen: &Seen) -> Option<Duty> {
    let target = seen.lacking.clone()?;
    let holder = seen.lock.as_ref().filter(|last| last.hold == Hold::Held)?.holder.clone();
    Some(Duty::Restore { target, holder })
}

/// Once for each observed loss, and not before a look that shows the last one's effect.
fn reassert(seen: &Seen, attachment: &Attachment, now: Moment) -> Option<Duty> {
    seen.astray?;
    let pause = timing::REASSERT_PAUSE;
    let recently = seen.reasserted.is_some_and(|at| now.since(at) < pause);
    let eni = attachment.eni.clone()?;
    let (address, epoch) = (seen.record.address, seen.record.epoch);
    (!recently || planted(Bug::ReassertWithoutLimit)).then_some(Duty::Reassert {
        address,
        epoch,
        eni,
    })
}

/// How long an errand may take before the agent plans anew.
pub(crate) const PATIENCE: Duration = timing::ERRAND_DEADLINE;
