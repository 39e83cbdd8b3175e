//! The decisions of the protocol: pure functions from records and observations to what comes next.

use std::collections::BTreeSet;

use crate::ids::{ClusterName, EniId, Epoch, NodeName, PodUid, RunId};
use crate::outside::{Owner, OwnerEni};
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

/// Decides a take of `record` as it was read. `listed`: IMDS lists the address on the ENI.
pub fn take(record: &StaticIp, taker: &Taker, listed: bool) -> Take {
    let calls = match (record.settled_on(&taker.eni), listed) {
        (true, true) => Calls::None,
        (true, false) => Calls::Confirm,
        (false, _) => Calls::Move,
    };
    let mut next = record.clone();
    next.epoch = record.epoch.max(taker.floor).next();
    next.attachment = Some(Attachment {
        state: State::Attaching,
        pod: taker.pod.clone(),
        node: taker.node.clone(),
        eni: Some(taker.eni.clone()),
        run: taker.run.clone(),
    });
    if calls != Calls::None {
        mark(&mut next, Mutation::Assign, &taker.eni, &taker.run);
    }
    let state = record.attachment.as_ref().map(|a| a.state);
    Take {
        record: next,
        calls,
        barrier: needs_barrier(&record.unsettled, &taker.eni),
        plain_first: matches!(state, Some(State::Releasing | State::Released)),
        await_predecessor: may_overlap(record, taker),
    }
}

/// Marks a mutation before it is sent. A mark of an earlier process for the same mutation covers
/// ours too: it then stays until a barrier clears it, and marks cannot pile up in a crash loop.
fn mark(record: &mut StaticIp, mutation: Mutation, eni: &EniId, run: &RunId) {
    let covered = record.unsettled.iter().any(|m| m.mutation == mutation && m.eni == *eni);
    if !covered {
        let mark = Mark { mutation, eni: eni.clone(), run: run.clone() };
        record.unsettled.insert(mark);
    }
}

/// A taker waits only for what can land against it: an Assign elsewhere, an Unassign here.
pub fn needs_barrier(marks: &BTreeSet<Mark>, eni: &EniId) -> bool {
    marks.iter().any(|mark| match mark.mutation {
        Mutation::Assign => mark.eni != *eni,
        Mutation::Unassign => mark.eni == *eni,
    })
}

/// Whether a pod other than the taker's may still have sockets on the address on this node. A
/// re-run beside its own live service (same pod, attached) has nobody to wait for.
fn may_overlap(record: &StaticIp, taker: &Taker) -> bool {
    record.attachment.as_ref().is_some_and(|last| {
        let same_life = last.pod == taker.pod && last.state == State::Attached;
        last.node == taker.node && !same_life
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

/// Which marks a completion or release may clear.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cleared<'a> {
    /// Our own: all our calls have a definite answer, or T has passed.
    pub own: Option<&'a RunId>,
    /// Those that a completed barrier has outlived: T has passed since we took over from them.
    pub outlived: &'a BTreeSet<Mark>,
}

fn without(marks: &BTreeSet<Mark>, cleared: &Cleared<'_>) -> BTreeSet<Mark> {
    let stays = |mark: &&Mark| cleared.own != Some(&mark.run) && !cleared.outlived.contains(*mark);
    marks.iter().filter(stays).cloned().collect()
}

/// The record of a completed attach: EC2, kernel and file agree.
pub fn completed(record: &StaticIp, eni: &EniId, cleared: &Cleared<'_>) -> StaticIp {
    let mut next = record.clone();
    if let Some(attachment) = &mut next.attachment {
        attachment.state = State::Attached;
    }
    next.reserved_on = Some(eni.clone());
    next.unsettled = without(&record.unsettled, cleared);
    next
}

/// The record of an attach that EC2 definitely refused: the address rests where it rested before.
pub fn abandoned(record: &StaticIp, before: &StaticIp, own: &RunId) -> StaticIp {
    let mut next = record.clone();
    next.attachment = before.attachment.clone().map(|mut last| {
        last.state = match last.state {
            State::Attaching | State::Attached | State::Parked => State::Parked,
            State::Releasing => State::Releasing,
            State::Released => State::Released,
        };
        last
    });
    let nothing = BTreeSet::new();
    next.unsettled = without(&record.unsettled, &Cleared { own: Some(own), outlived: &nothing });
    next
}

/// The record of a release: nobody holds it, EC2 keeps it on the ENI. No mark is touched.
pub fn parked(record: &StaticIp) -> StaticIp {
    let mut next = record.clone();
    if let Some(attachment) = &mut next.attachment {
        attachment.state = State::Parked;
    }
    next
}

/// The record of a release that unassigns, before the call: an epoch of its own, no ENI, and the
/// Unassign marked. None if there is no ENI to unassign from.
pub fn releasing(record: &StaticIp, run: &RunId) -> Option<(StaticIp, EniId)> {
    let mut next = record.clone();
    let attachment = next.attachment.as_mut()?;
    let eni = attachment.eni.take()?;
    attachment.state = State::Releasing;
    attachment.run = run.clone();
    next.epoch = record.epoch.next();
    mark(&mut next, Mutation::Unassign, &eni, run);
    Some((next, eni))
}

/// The record after the Unassign has a definite answer.
pub fn released(record: &StaticIp, own: &RunId) -> StaticIp {
    let mut next = record.clone();
    if let Some(attachment) = &mut next.attachment {
        attachment.state = State::Released;
    }
    next.reserved_on = None;
    let nothing = BTreeSet::new();
    next.unsettled = without(&record.unsettled, &Cleared { own: Some(own), outlived: &nothing });
    next
}
