//! The decisions of the protocol: pure functions from records and observations to the next step.

use std::collections::BTreeSet;

use crate::ids::{ClusterName, EniId, Epoch, NodeName, PodUid, RunId, SetName};
use crate::ports::{Controller, Owner, OwnerEni};
use crate::record::{Attachment, Mutation, PendingMutation, State, StaticIp};
use crate::takeover_wait;

/// Who acquires an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claimant {
    /// The pod.
    pub pod: PodUid,
    /// Its node.
    pub node: NodeName,
    /// The ENI that will carry the address.
    pub eni: EniId,
    /// This run of the process.
    pub run: RunId,
    /// The epoch of this node's lock record. Epochs only grow, even after the registry was restored
    /// from a backup.
    pub floor: Epoch,
}

/// Which EC2 calls an attach needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Calls {
    /// None: the record is settled on this ENI and IMDS lists the address.
    None,
    /// A look-up, and an Assign unless the look-up shows this ENI: settled here, but not listed.
    Confirm,
    /// A look-up and an Assign.
    Move,
}

/// What acquiring an epoch writes and what must follow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Take {
    /// The record to write by compare-and-swap.
    pub record: StaticIp,
    /// The EC2 calls that follow.
    pub calls: Calls,
    /// A pending mutation of others may still take effect: wait T from the answer to the write.
    pub barrier: bool,
    /// The address is being released in EC2: assign without force first.
    pub plain_first: bool,
    /// Another pod may still use the address on this node: wait for its sockets.
    pub await_predecessor: bool,
}

/// Whether a pod may have the address of a claim that is bound to a StatefulSet of this name: the
/// set controls it, or it has had the address before (an orphaned pod of a deleted set).
pub fn is_bound_to(
    set: &SetName,
    record: &StaticIp,
    pod: &PodUid,
    controller: Option<&Controller>,
) -> bool {
    let before = record.attachment.as_ref().is_some_and(|last| last.pod == *pod);
    before || matches!(controller, Some(Controller::StatefulSet(name)) if name == set)
}

/// Decides how to acquire `record` as it was read. `listed`: IMDS lists the address on the ENI.
pub fn take(record: &StaticIp, claimant: &Claimant, listed: bool) -> Take {
    // A record behind this node's lock record was restored from a backup: it proves nothing.
    let settled = record.settled_on(&claimant.eni) && claimant.floor <= record.epoch;
    let calls = match (settled, listed) {
        (true, true) => Calls::None,
        (true, false) => Calls::Confirm,
        (false, _) => Calls::Move,
    };
    let same_incarnation = record
        .attachment
        .as_ref()
        .is_some_and(|last| last.served && last.pod == claimant.pod && last.node == claimant.node);
    let mut next = record.clone();
    next.epoch = record.epoch.max(claimant.floor).next();
    next.attachment = Some(Attachment {
        state: State::Attaching,
        pod: claimant.pod.clone(),
        node: claimant.node.clone(),
        eni: Some(claimant.eni.clone()),
        run: claimant.run.clone(),
        served: same_incarnation,
    });
    if calls != Calls::None {
        add_pending(&mut next, Mutation::Assign, &claimant.eni, &claimant.run);
    }
    let state = record.attachment.as_ref().map(|a| a.state);
    Take {
        record: next,
        calls,
        barrier: takeover_wait::is_needed(&record.pending_mutations, &claimant.eni),
        plain_first: matches!(state, Some(State::Releasing | State::Released)),
        await_predecessor: !same_incarnation,
    }
}

/// Records a pending mutation before it is sent. It replaces an earlier process's entry for the
/// same mutation, so that entries cannot pile up in a crash loop. If ours is cleared before T has
/// passed, the replaced entry is restored.
fn add_pending(record: &mut StaticIp, mutation: Mutation, eni: &EniId, run: &RunId) {
    record.pending_mutations.retain(|m| m.mutation != mutation || m.eni != *eni);
    record.pending_mutations.insert(PendingMutation {
        mutation,
        eni: eni.clone(),
        run: run.clone(),
    });
}

/// What to do in EC2 after the owner was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is here already, and the record is settled here: no call.
    Here,
    /// Assign it.
    Assign {
        /// With AllowReassignment.
        force: bool,
    },
    /// FireCamp must not move it.
    Refuse(OwnerEni),
}

/// Decides the Assign. `before` is the record as it was read before the epoch was acquired. Only
/// an owner that the record names, or that has the cluster's tag, loses the address by force.
/// Reads lag, so Assign never uses force against an owner that is not known to be ours.
pub fn verdict(
    before: &StaticIp,
    eni: &EniId,
    cluster: &ClusterName,
    owner: &Owner,
    plain_first: bool,
) -> Verdict {
    match owner {
        Owner::Unassigned => Verdict::Assign { force: false },
        Owner::Eni(holder) if holder.primary => Verdict::Refuse(holder.clone()),
        Owner::Eni(holder) if holder.id == *eni && before.settled_on(eni) => Verdict::Here,
        Owner::Eni(holder) if holder.id == *eni => Verdict::Assign { force: false },
        Owner::Eni(holder) => {
            let tagged = holder.cluster.as_deref() == Some(cluster.as_str());
            if tagged || before.recorded_enis().contains(&holder.id) {
                Verdict::Assign { force: !plain_first }
            } else {
                Verdict::Refuse(holder.clone())
            }
        }
    }
}

/// The record of a completed attach: EC2, kernel and file agree. `before` is the record as it was
/// read before the epoch was acquired; its pending mutations have expired. Newer ones stay.
pub fn completed(record: &StaticIp, before: &StaticIp, eni: &EniId, own: &RunId) -> StaticIp {
    let mut next = record.clone();
    if let Some(attachment) = &mut next.attachment {
        attachment.state = State::Attached;
        attachment.served = true;
    }
    next.reserved_on = Some(eni.clone());
    next.pending_mutations
        .retain(|pending| pending.run != *own && !before.pending_mutations.contains(pending));
    next
}

/// What is known of the address's place when an attach is abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whereabouts {
    /// Where the record named it before.
    AsBefore,
    /// EC2 showed it elsewhere: the record's reservation is obsolete.
    Elsewhere,
}

/// The record of an attach that EC2 definitely refused: as before, except for the epoch. No pod
/// holds it, our pending mutation is removed, and those that it replaced are restored.
pub fn abandoned(
    record: &StaticIp,
    before: &StaticIp,
    own: &RunId,
    whereabouts: Whereabouts,
) -> StaticIp {
    let mut next = record.clone();
    next.attachment = before.attachment.clone().map(|mut last| {
        last.state = match last.state {
            State::Attaching | State::Attached | State::Parked => State::Parked,
            State::Releasing => State::Releasing,
            State::Released => State::Released,
        };
        last
    });
    if whereabouts == Whereabouts::Elsewhere {
        next.reserved_on = None;
    }
    next.pending_mutations.retain(|pending| pending.run != *own);
    next.pending_mutations.extend(before.pending_mutations.iter().cloned());
    next
}

/// The record with the Assign of a re-assert as pending mutation.
pub fn reasserting(record: &StaticIp, eni: &EniId, run: &RunId) -> StaticIp {
    let mut next = record.clone();
    add_pending(&mut next, Mutation::Assign, eni, run);
    next
}

/// The record without the pending mutations of this run, whose calls have all expired.
pub fn without_pending(record: &StaticIp, run: &RunId) -> StaticIp {
    let mut next = record.clone();
    next.pending_mutations.retain(|pending| pending.run != *run);
    next
}

/// The record of a release: no pod holds the address, EC2 keeps it on the ENI. Pending mutations
/// stay.
pub fn parked(record: &StaticIp) -> StaticIp {
    let mut next = record.clone();
    if let Some(attachment) = &mut next.attachment {
        attachment.state = State::Parked;
    }
    next
}

/// The record of a release that unassigns, before the call: a new epoch, no ENI, and the Unassign
/// as pending mutation. After an unfinished release, the ENI is the one that it named. None if
/// there is no ENI to unassign from.
pub fn releasing(record: &StaticIp, run: &RunId) -> Option<(StaticIp, EniId)> {
    let mut next = record.clone();
    let attachment = next.attachment.as_mut()?;
    let announced =
        record.pending_mutations.iter().find(|pending| pending.mutation == Mutation::Unassign);
    let announced = announced.map(|pending| pending.eni.clone()).or(record.reserved_on.clone());
    let eni = attachment.eni.take().or(announced)?;
    attachment.state = State::Releasing;
    attachment.run = run.clone();
    next.epoch = record.epoch.next();
    add_pending(&mut next, Mutation::Unassign, &eni, run);
    Some((next, eni))
}

/// The record of a release that found the address on another recorded ENI, before the Unassign
/// from there.
pub fn redirected(record: &StaticIp, eni: &EniId, run: &RunId) -> StaticIp {
    let mut next = record.clone();
    add_pending(&mut next, Mutation::Unassign, eni, run);
    next
}

/// The record after the Unassign has a definite answer. `from` are the ENIs that the address is
/// known to have left; `before` is the record before the release, whose pending mutations return.
pub fn released(
    record: &StaticIp,
    before: &StaticIp,
    from: &BTreeSet<EniId>,
    own: &RunId,
) -> StaticIp {
    let mut next = record.clone();
    if let Some(attachment) = &mut next.attachment {
        attachment.state = State::Released;
    }
    if next.reserved_on.as_ref().is_some_and(|eni| from.contains(eni)) {
        next.reserved_on = None;
    }
    next.pending_mutations.retain(|pending| pending.run != *own);
    next.pending_mutations.extend(before.pending_mutations.iter().cloned());
    next
}
