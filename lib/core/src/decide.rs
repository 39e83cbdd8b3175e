//! The decisions of the protocol: pure functions from records and observations to what comes next.

use std::collections::BTreeSet;

use crate::bug::{Bug, planted};
use crate::ids::{ClusterName, EniId, Epoch, NodeName, PodUid, RunId, SetName};
use crate::outside::{Controller, Owner, OwnerEni};
use crate::record::{Attachment, Mark, Mutation, State, StaticIp};

/// Who takes an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Taker {
    /// The pod.
    pub pod: PodUid,
    /// Its node.
    pub node: NodeName,
    /// The ENI that will carry the address.
    pub eni: EniId,
    /// This run of the process.
    pub run: RunId,
    /// The last epoch that acted on the address on this node: epochs only grow, also after the
    /// registry was restored from a backup.
    pub floor: Epoch,
}

/// Which EC2 calls an attach needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Calls {
    /// None: the record is settled on this ENI and IMDS lists the address.
    None,
    /// A look-up, and an Assign unless the look-up shows this ENI: settled here, but not listed.
    Confirm,
    /// A look-up and an Assign.
    Move,
}

/// What a take writes and what it then has to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Take {
    /// The record to write by compare-and-swap.
    pub record: StaticIp,
    /// The EC2 calls that follow.
    pub calls: Calls,
    /// A marked mutation may still land against us: wait T from the answer to the write.
    pub barrier: bool,
    /// The address was on its way out of EC2: assign without force first.
    pub plain_first: bool,
    /// Another pod may still use the address on this node: wait for its sockets.
    pub await_predecessor: bool,
}

/// Whether a pod may have the address of a claim that is bound to a StatefulSet of this name: the
/// set controls it, or it has taken the address before. A pod that its set left behind lives on.
pub fn is_bound_to(
    set: &SetName,
    record: &StaticIp,
    pod: &PodUid,
    controller: Option<&Controller>,
) -> bool {
    let before = record.attachment.as_ref().is_some_and(|last| last.pod == *pod);
    before || matches!(controller, Some(Controller::StatefulSet(name)) if name == set)
}

/// Decides a take of `record` as it was read. `listed`: IMDS lists the address on the ENI.
pub fn take(record: &StaticIp, taker: &Taker, listed: bool) -> Take {
    // A record that is behind this node's own was restored from a backup: it proves nothing.
    let settled = record.settled_on(&taker.eni) && taker.floor <= record.epoch;
    let calls = match (settled, listed) {
        (true, true) => Calls::None,
        (true, false) => Calls::Confirm,
        (false, _) => Calls::Move,
    };
    let same_life = record
        .attachment
        .as_ref()
        .is_some_and(|last| last.served && last.pod == taker.pod && last.node == taker.node);
    let mut next = record.clone();
    let same_pod = record.attachment.as_ref().is_some_and(|last| last.pod == taker.pod);
    if !(same_pod && planted(Bug::UidForEpoch)) {
        next.epoch = record.epoch.max(taker.floor).next();
    }
    next.attachment = Some(Attachment {
        state: State::Attaching,
        pod: taker.pod.clone(),
        node: taker.node.clone(),
        eni: Some(taker.eni.clone()),
        run: taker.run.clone(),
        served: same_life,
    });
    if calls != Calls::None && !planted(Bug::NoTakeMark) {
        mark(&mut next, Mutation::Assign, &taker.eni, &taker.run);
    }
    let state = record.attachment.as_ref().map(|a| a.state);
    Take {
        record: next,
        calls,
        barrier: needs_barrier(&record.unsettled, &taker.eni) && !planted(Bug::NoBarrier),
        plain_first: matches!(state, Some(State::Releasing | State::Released)),
        await_predecessor: !same_life,
    }
}

/// Marks a mutation before it is sent. Our mark takes the place of an earlier process's mark for
/// the same mutation, so that marks cannot pile up in a crash loop; what it stood for is put
/// back where ours is cleared before T has passed.
fn mark(record: &mut StaticIp, mutation: Mutation, eni: &EniId, run: &RunId) {
    record.unsettled.retain(|m| m.mutation != mutation || m.eni != *eni);
    record.unsettled.insert(Mark { mutation, eni: eni.clone(), run: run.clone() });
}

/// A taker waits only for what can land against it: an Assign elsewhere, an Unassign here.
pub fn needs_barrier(marks: &BTreeSet<Mark>, eni: &EniId) -> bool {
    marks.iter().any(|mark| match mark.mutation {
        Mutation::Assign => mark.eni != *eni,
        Mutation::Unassign => mark.eni == *eni && !planted(Bug::BarrierIgnoresUnassign),
    })
}

/// What to do in EC2 once the owner has been looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is here already, and the record is settled here: no call.
    Here,
    /// Assign it.
    Assign {
        /// With AllowReassignment.
        force: bool,
    },
    /// It is not ours to move.
    Refuse(OwnerEni),
}

/// Decides the Assign. `before` is the record as it was read before the take. Only an owner that
/// the record names, or that carries the cluster's tag, is overridden; reads lag, so what is not
/// known to be ours is never forced.
pub fn verdict(
    before: &StaticIp,
    eni: &EniId,
    cluster: &ClusterName,
    owner: &Owner,
    plain_first: bool,
) -> Verdict {
    if planted(Bug::ForceWithoutLook) {
        return Verdict::Assign { force: true };
    }
    match owner {
        Owner::Nobody => Verdict::Assign { force: false },
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
/// read before the take: its marks have been waited out by now. Marks that others set since stay.
pub fn completed(record: &StaticIp, before: &StaticIp, eni: &EniId, own: &RunId) -> StaticIp {
    let mut next = record.clone();
    if let Some(attachment) = &mut next.attachment {
        attachment.state = State::Attached;
        attachment.served = true;
    }
    next.reserved_on = Some(eni.clone());
    next.unsettled.retain(|mark| mark.run != *own && !before.unsettled.contains(mark));
    next
}

/// What is known of the address when an attach is abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whereabouts {
    /// Where the record said before.
    AsBefore,
    /// EC2 showed it elsewhere: the record's reservation is gone.
    Elsewhere,
}

/// The record of an attach that EC2 definitely refused: as before the take, but for the epoch.
/// Nobody holds it, and our mark is gone; the marks that it took the place of are back.
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
    next.unsettled.retain(|mark| mark.run != *own);
    next.unsettled.extend(before.unsettled.iter().cloned());
    next
}

/// The record with the Assign of a re-assert marked.
pub fn reasserting(record: &StaticIp, eni: &EniId, run: &RunId) -> StaticIp {
    let mut next = record.clone();
    mark(&mut next, Mutation::Assign, eni, run);
    next
}

/// The record without the marks of this run, whose calls are all out of the way.
pub fn unmarked(record: &StaticIp, run: &RunId) -> StaticIp {
    let mut next = record.clone();
    next.unsettled.retain(|mark| mark.run != *run);
    next
}

/// The record of a release: nobody holds it, EC2 keeps it on the ENI. No mark is touched.
pub fn parked(record: &StaticIp) -> StaticIp {
    let mut next = record.clone();
    if let Some(attachment) = &mut next.attachment {
        attachment.state = State::Parked;
    }
    if planted(Bug::ReleaseClearsMarks) {
        next.unsettled.clear();
    }
    next
}

/// The record of a release that unassigns, before the call: an epoch of its own, no ENI, and the
/// Unassign marked. Over a release that was not finished, the ENI is the one that it named. None
/// if there is no ENI to unassign from.
pub fn releasing(record: &StaticIp, run: &RunId) -> Option<(StaticIp, EniId)> {
    let mut next = record.clone();
    let attachment = next.attachment.as_mut()?;
    let announced = record.unsettled.iter().find(|mark| mark.mutation == Mutation::Unassign);
    let announced = announced.map(|mark| mark.eni.clone()).or(record.reserved_on.clone());
    let eni = attachment.eni.take().or(announced)?;
    attachment.state = State::Releasing;
    attachment.run = run.clone();
    if !planted(Bug::UnassignKeepsEpoch) {
        next.epoch = record.epoch.next();
    }
    mark(&mut next, Mutation::Unassign, &eni, run);
    Some((next, eni))
}

/// The record of a release that found the address on another recorded ENI: marked before it is
/// unassigned from there.
pub fn redirected(record: &StaticIp, eni: &EniId, run: &RunId) -> StaticIp {
    let mut next = record.clone();
    mark(&mut next, Mutation::Unassign, eni, run);
    next
}

/// The record after the Unassign has a definite answer. `from` are the ENIs that the address is
/// known to have left; `before` is the record before the intent, whose marks are back.
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
    next.unsettled.retain(|mark| mark.run != *own);
    next.unsettled.extend(before.unsettled.iter().cloned());
    next
}
