//! The rules for writes of the registry.

use firecamp_core::contract::timing;
use firecamp_core::ids::Version;
use firecamp_core::ports::{Owner, PodLifecycle, PodView};
use firecamp_core::record::{PendingMutation, State, StaticIp, Stored, Write};
use firecamp_core::time::Moment;
use firecamp_engine::Input;

use super::seen::Seen;
use super::{Broken, Rule, broken, holds};

/// Whether a write may be sent.
pub(super) fn allowed(seen: &Seen, write: &Write, now: Moment) -> Result<(), Broken> {
    match write {
        Write::CreateClaim(_) => {
            holds(Rule::CompareAndSwap, seen.claim.is_none(), "there is a claim already")
        }
        Write::UpdateClaim(Stored { version, .. }) => same(seen.claim.as_ref(), version),
        Write::CreateStaticIp(object) => {
            let free = seen.looked.as_ref().is_some_and(|looked| {
                looked.address == object.address && looked.owner == Owner::Unassigned
            });
            holds(Rule::FreeAddress, free, "EC2 did not show it free")
        }
        Write::UpdateStaticIp(Stored { version, object }) => {
            let known = seen.record.as_ref();
            same(known.map(|known| &known.version), version)?;
            known.map_or(Ok(()), |known| update(seen, &known.object, object, now))
        }
    }
}

fn same(known: Option<&Version>, named: &Version) -> Result<(), Broken> {
    let why = format!("{named} is named, {known:?} is known");
    holds(Rule::CompareAndSwap, known == Some(named), &why)
}

fn update(seen: &Seen, before: &StaticIp, next: &StaticIp, now: Moment) -> Result<(), Broken> {
    marks(seen, before, next, now)?;
    if next.epoch == before.epoch {
        return continued(seen, before, next);
    }
    holds(Rule::NextEpoch, seen.is_of_this_run(next), "the new epoch is not this run's")?;
    match &seen.input {
        Input::Attach(_) => {
            let due = before.epoch.max(seen.floor).next();
            let why = format!("epoch {} is taken, {due} is due", next.epoch);
            holds(Rule::NextEpoch, next.epoch == due, &why)?;
            alive(seen)
        }
        Input::Release(_) => {
            holds(Rule::NextEpoch, next.epoch == before.epoch.next(), "not the next epoch")?;
            ending(seen, before)
        }
    }
}

/// A write within an epoch: only of him who holds it.
fn continued(seen: &Seen, before: &StaticIp, next: &StaticIp) -> Result<(), Broken> {
    let parks = next.attachment.as_ref().is_some_and(|a| a.state == State::Parked);
    match &seen.input {
        Input::Release(_) if parks => ending(seen, before),
        Input::Attach(_) | Input::Release(_) => {
            let ours = seen.is_of_this_run(before);
            holds(Rule::NextEpoch, ours, "it is written within the epoch of another run")
        }
    }
}

/// The pod, asked for after the record was read, was this one and alive.
fn alive(seen: &Seen) -> Result<(), Broken> {
    let Input::Attach(input) = &seen.input else { return Ok(()) };
    match &seen.pod {
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
fn ending(seen: &Seen, before: &StaticIp) -> Result<(), Broken> {
    holds(Rule::EndingPod, seen.ending, "the pod was not seen ending")?;
    holds(Rule::EndingPod, holds_fixed(seen, before), "the epoch is not the one that was fixed")
}

/// Whether a record is of the epoch that this release fixed, and of its pod.
pub(super) fn holds_fixed(seen: &Seen, record: &StaticIp) -> bool {
    let held = record.attachment.as_ref().is_some_and(|a| match a.state {
        State::Attaching | State::Attached => a.pod == *seen.pod_uid(),
        State::Parked | State::Releasing | State::Released => false,
    });
    held && Some(record.epoch) == seen.fixed
}

/// No mark goes before what it stands for has.
fn marks(seen: &Seen, before: &StaticIp, next: &StaticIp, now: Moment) -> Result<(), Broken> {
    let gone = before.pending_mutations.difference(&next.pending_mutations);
    for mark in gone {
        let why = format!("{mark:?} is cleared too early");
        holds(Rule::MarksStay, may_go(seen, mark, next, now), &why)?;
    }
    Ok(())
}

fn may_go(seen: &Seen, mark: &PendingMutation, next: &StaticIp, now: Moment) -> bool {
    if mark.run == *seen.run() {
        return seen.unanswered.is_none_or(|bound| now >= bound);
    }
    let same = |other: &&PendingMutation| other.mutation == mark.mutation && other.eni == mark.eni;
    let replaced = next.pending_mutations.iter().filter(same).any(|other| other.run == *seen.run());
    let found_long_ago = seen.taken.as_ref().is_some_and(|taken| {
        taken.before.pending_mutations.contains(mark)
            && now >= taken.answered.plus(timing::CALL_BOUND)
    });
    let completes = next.attachment.as_ref().is_some_and(|a| a.state == State::Attached);
    replaced || (found_long_ago && completes)
}
