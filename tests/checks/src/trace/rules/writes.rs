//! The rules for writes of the registry.

use firecamp_core::contract::timing;
use firecamp_core::ids::Version;
use firecamp_core::ports::{Owner, PodLifecycle, PodView};
use firecamp_core::record::{PendingMutation, State, StaticIp, Stored, Write};
use firecamp_core::time::Moment;
use firecamp_engine::Input;

use super::history::History;
use super::{Broken, Rule, broken, holds};

/// Whether a write may be sent.
pub(super) fn allowed(history: &History, write: &Write, now: Moment) -> Result<(), Broken> {
    match write {
        Write::CreateClaim(_) => {
            holds(Rule::CompareAndSwap, history.claim.is_none(), "there is a claim already")
        }
        Write::UpdateClaim(Stored { version, .. }) => same(history.claim.as_ref(), version),
        Write::CreateStaticIp(object) => {
            let free = history.looked.as_ref().is_some_and(|looked| {
                looked.address == object.address && looked.owner == Owner::Unassigned
            });
            holds(Rule::FreeAddress, free, "EC2 did not show it free")
        }
        Write::UpdateStaticIp(Stored { version, object }) => {
            let known = history.record.as_ref();
            same(known.map(|known| &known.version), version)?;
            known.map_or(Ok(()), |known| update(history, &known.object, object, now))
        }
    }
}

fn same(known: Option<&Version>, named: &Version) -> Result<(), Broken> {
    let why = format!("{named} is named, {known:?} is known");
    holds(Rule::CompareAndSwap, known == Some(named), &why)
}

fn update(
    history: &History,
    before: &StaticIp,
    next: &StaticIp,
    now: Moment,
) -> Result<(), Broken> {
    marks(history, before, next, now)?;
    if next.epoch == before.epoch {
        return continued(history, before, next);
    }
    holds(Rule::NextEpoch, history.is_of_this_run(next), "the new epoch is not this run's")?;
    match &history.input {
        Input::Attach(_) => {
            let due = before.epoch.max(history.floor).next();
            let why = format!("epoch {} is taken, {due} is due", next.epoch);
            holds(Rule::NextEpoch, next.epoch == due, &why)?;
            alive(history)
        }
        Input::Release(_) => {
            holds(Rule::NextEpoch, next.epoch == before.epoch.next(), "not the next epoch")?;
            ending(history, before)
        }
    }
}

/// A write within an epoch: only of him who holds it.
fn continued(history: &History, before: &StaticIp, next: &StaticIp) -> Result<(), Broken> {
    let parks = next.attachment.as_ref().is_some_and(|a| a.state == State::Parked);
    match &history.input {
        Input::Release(_) if parks => ending(history, before),
        Input::Attach(_) | Input::Release(_) => {
            let ours = history.is_of_this_run(before);
            holds(Rule::NextEpoch, ours, "it is written within the epoch of another run")
        }
    }
}

/// The pod, asked for after the record was read, was this one and alive.
fn alive(history: &History) -> Result<(), Broken> {
    let Input::Attach(input) = &history.input else { return Ok(()) };
    match &history.pod {
        None => broken(Rule::RecordThenPod, "the pod was not asked for since the record was"),
        Some(PodView::Vouched) => Ok(()),
        Some(PodView::Absent) => broken(Rule::RecordThenPod, "the member has no pod"),
        Some(PodView::Present { pod, node, lifecycle, .. }) => {
            let here = node.as_ref().is_none_or(|node| *node == input.node);
            let live = *pod == input.pod && here && *lifecycle == PodLifecycle::Running;
            holds(Rule::RecordThenPod, live, "it is another pod, or elsewhere, or it ends")
        }
    }
}

/// The pod ends, and the record is still of its epoch.
fn ending(history: &History, before: &StaticIp) -> Result<(), Broken> {
    holds(Rule::EndingPod, history.ending, "the pod was not seen ending")?;
    holds(Rule::EndingPod, holds_fixed(history, before), "the epoch is not the one that was fixed")
}

/// Whether a record is of the epoch that this release fixed, and of its pod.
pub(super) fn holds_fixed(history: &History, record: &StaticIp) -> bool {
    let held = record.attachment.as_ref().is_some_and(|a| match a.state {
        State::Attaching | State::Attached => a.pod == *history.pod_uid(),
        State::Parked | State::Releasing | State::Released => false,
    });
    held && Some(record.epoch) == history.fixed
}

/// No mark goes before what it stands for has.
fn marks(history: &History, before: &StaticIp, next: &StaticIp, now: Moment) -> Result<(), Broken> {
    let gone = before.pending_mutations.difference(&next.pending_mutations);
    for mark in gone {
        let why = format!("{mark:?} is cleared too early");
        holds(Rule::MarksStay, may_go(history, mark, next, now), &why)?;
    }
    Ok(())
}

fn may_go(history: &History, mark: &PendingMutation, next: &StaticIp, now: Moment) -> bool {
    if mark.run == *history.run() {
        return history.unanswered.is_none_or(|bound| now >= bound);
    }
    let same = |other: &&PendingMutation| other.mutation == mark.mutation && other.eni == mark.eni;
    let replaced =
        next.pending_mutations.iter().filter(same).any(|other| other.run == *history.run());
    let found_long_ago = history.taken.as_ref().is_some_and(|taken| {
        taken.before.pending_mutations.contains(mark)
            && now >= taken.answered.plus(timing::CALL_BOUND)
    });
    let completes = next.attachment.as_ref().is_some_and(|a| a.state == State::Attached);
    replaced || (found_long_ago && completes)
}
