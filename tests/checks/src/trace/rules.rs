//! Checks recorded actions against the rules of the protocol: implemented from its description,
//! without the core's decisions.

mod calls;
mod history;
mod local;
mod writes;

use firecamp_core::action::Action;
use firecamp_core::machine::{Outcome, Release};
use firecamp_core::record::State;
use firecamp_core::time::Moment;
use firecamp_engine::Event;

use self::history::History;
use crate::trace::Refused;

/// A rule of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A write names the version that was read or written last.
    CompareAndSwap,
    /// A take follows the record, then the pod: and the pod was this one, alive.
    RecordThenPod,
    /// A take, and a release that unassigns, has the next epoch.
    NextEpoch,
    /// A new address is given out only after EC2 showed it free.
    FreeAddress,
    /// A mutation of EC2 is authorised by a read or write of the record less than T before.
    FreshAuthority,
    /// It is never repeated on the same authority.
    OncePerAuthority,
    /// It is marked in the record before it is sent.
    Marked,
    /// A claimant waits T where an earlier mark can land against it.
    Barrier,
    /// Force only over an owner that EC2 showed, that is tagged or recorded.
    NoTheft,
    /// The kernel gets the address only after the data path leads here.
    DataPath,
    /// What is done in the kernel is done for the pod and epoch that this run holds.
    OwnHolder,
    /// The file follows the kernel, which was read back.
    KernelBeforeFile,
    /// A mark is cleared only once nothing that it stands for can land.
    MarksStay,
    /// A release acts only on a pod that ends and on the epoch that it fixed.
    EndingPod,
    /// Every wait is bounded.
    BoundedWait,
    /// Success is said only once the record says it.
    RecordedSuccess,
}

/// What breaks a rule, and how.
type Broken = (Rule, String);

fn broken(rule: Rule, why: impl Into<String>) -> Result<(), Broken> {
    Err((rule, why.into()))
}

/// That a rule holds; `why` is what is wrong if not.
fn holds(rule: Rule, held: bool, why: &str) -> Result<(), Broken> {
    if held { Ok(()) } else { broken(rule, why) }
}

/// Holds every rule against every event.
pub(crate) fn hold(events: &[Event]) -> Result<(), Refused> {
    let Some(Event::Began { input, .. }) = events.first() else { return Ok(()) };
    let mut history = History::new(input);
    for (index, event) in events.iter().enumerate() {
        step(&mut history, event).map_err(|(rule, why)| Refused::Rule {
            line: index + 1,
            rule,
            why,
        })?;
    }
    Ok(())
}

fn step(history: &mut History, event: &Event) -> Result<(), Broken> {
    match event {
        Event::Asked { action, now } => {
            asked(history, action, *now)?;
            history.asked(action, *now);
            Ok(())
        }
        Event::Replied { reply, now } => {
            calls::replied(history, reply)?;
            history.replied(reply, *now);
            Ok(())
        }
        Event::Ended(outcome) => ended(history, outcome),
        Event::Began { .. } | Event::Crossed(_) | Event::Interrupted => Ok(()),
    }
}

fn asked(history: &History, action: &Action, now: Moment) -> Result<(), Broken> {
    match action {
        Action::Write(write) => writes::allowed(history, write, now),
        Action::Assign { eni, address, force, not_after } => {
            calls::assign(
                history,
                &calls::Call { eni, address: *address, not_after: *not_after, now },
            )?;
            calls::force(history, *force, now)
        }
        Action::Unassign { eni, address, not_after } => calls::unassign(
            history,
            &calls::Call { eni, address: *address, not_after: *not_after, now },
        ),
        Action::AddAddress(_, holder) | Action::AddRouting(_, holder) => {
            local::add(history, holder)
        }
        Action::RemoveAddress(_, holder) | Action::RemoveRouting(_, holder) => {
            local::remove(history, holder)
        }
        Action::StageFile(address) => local::stage(history, *address),
        Action::PublishFile => local::publish(history),
        Action::Wait(delay) => local::wait(delay),
        Action::ReadMember
        | Action::ReadRecord(_)
        | Action::ReadPod
        | Action::ReadAllocated(_)
        | Action::ReadIdentity
        | Action::ReadListed(_)
        | Action::BeginOwner(..)
        | Action::AwaitOwner
        | Action::ReadOwner(..)
        | Action::ProbeFile
        | Action::SyncFile
        | Action::NoteAssign(_)
        | Action::Observe(_)
        | Action::ReadSockets(_)
        | Action::AwaitStop
        | Action::Done => Ok(()),
    }
}

/// Success is what the record says by this run's own hand.
fn ended(history: &History, outcome: &Outcome) -> Result<(), Broken> {
    let state = history.own_record().and_then(|record| Some(record.attachment.as_ref()?.state));
    let (wanted, what): (&[State], _) = match outcome {
        Outcome::Attached(_) => (&[State::Attached], "attached"),
        Outcome::Released { release, .. } => match release {
            Release::Parked => (&[State::Parked], "parked"),
            Release::Unassigned => (&[State::Released], "unassigned"),
            Release::NotHolder | Release::NotEnding => return Ok(()),
        },
        Outcome::Maintained { .. } | Outcome::Failed(_) => return Ok(()),
    };
    let recorded = state.is_some_and(|state| wanted.contains(&state));
    holds(Rule::RecordedSuccess, recorded, &format!("{what}, but the record says {state:?}"))?;
    let complete = !matches!(outcome, Outcome::Attached(_)) || history.synced;
    holds(Rule::RecordedSuccess, complete, "the file was never synced")
}
