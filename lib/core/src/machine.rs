//! What the protocol's machines have in common: the interface to their runner, waiting and
//! backing off within one deadline, and the outcome.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::action::{Action, Delay, Reply, Step};
use crate::canonical::Canonical;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::Whereabouts;
use crate::failure::{CloudFailure, CloudKind, RegistryFailure, RegistryKind};
use crate::ids::{EniId, Epoch};
use crate::time::Moment;

/// A protocol machine: names one action, is told its reply and the moment, names the next.
///
/// Guarantees: `action` changes nothing and says the same until `reply`. Every action is safe to
/// repeat after a crash. Assumptions: one reply per action, moments never go backwards.
pub trait Machine: Clone + Eq + std::hash::Hash {
    /// The next thing to do.
    fn action(&self) -> Action;

    /// Tells the machine the reply to its action, and when it came.
    fn reply(&mut self, reply: Reply, now: Moment);

    /// The step boundary that the last reply crossed, if it crossed one.
    fn crossed(&self) -> Option<Step>;

    /// The outcome, once the action is `Done`.
    fn outcome(&self) -> Option<&Outcome>;

    /// Makes all states with the same future one value, seen at `now`; the clock that goes on
    /// from there reads [`Canonical::ORIGIN`]. For exhaustive search.
    fn canonical(&mut self, now: Moment);
}

/// How an attach went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Path {
    /// The address was on this ENI already: no EC2 mutation.
    SameNode,
    /// The address was assigned to this ENI.
    Moved,
}

/// A completed attach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attached {
    /// The member's address.
    pub address: Ipv4Addr,
    /// The epoch that this run holds.
    pub epoch: Epoch,
    /// The ENI that carries it.
    pub eni: EniId,
    /// How it went through.
    pub path: Path,
    /// It waited for calls of others that might have been in flight.
    pub barrier: bool,
    /// A predecessor still used the address when its grace period ran out.
    pub overlapped: bool,
}

/// What a release did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Release {
    /// Released; EC2 keeps the address on the ENI.
    Parked,
    /// Released and unassigned in EC2.
    Unassigned,
    /// Nothing to do: this pod does not hold the address (any more).
    NotHolder,
    /// Nothing done: the pod is not ending, so this signal does not mean a release.
    NotEnding,
}

/// What an errand of the agent did, other than a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mended {
    /// An address that belongs elsewhere is out of this node's kernel.
    GaveWay,
    /// EC2 took the address back for us.
    Reasserted,
    /// What was stripped is back in this node's kernel.
    Restored,
    /// What no record claims is out of this node's kernel.
    Collected,
    /// A fresh look showed that there was nothing to do (any more).
    NothingToDo,
}

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Outcome {
    /// Attach: EC2, the kernel and the file agree, and the record says so.
    Attached(Attached),
    /// Release: done, or rightly not done.
    Released {
        /// What was done.
        release: Release,
        /// The address, if the member has one.
        address: Option<Ipv4Addr>,
        /// Sockets still used the address when the time for draining was over.
        cut_short: bool,
    },
    /// An errand of the agent: done, or rightly not done.
    Mended {
        /// What was done.
        what: Mended,
        /// The address.
        address: Ipv4Addr,
    },
    /// It failed.
    Failed(Failure),
}

/// A failed attach or release.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Failure {
    /// The cause, as an exit code.
    pub exit: Exit,
    /// What failed, on what, why.
    pub message: String,
    /// The address, if it was known by then.
    pub address: Option<Ipv4Addr>,
}

impl Outcome {
    pub(crate) fn canonical(&mut self) {
        match self {
            Self::Failed(failure) => failure.message.clear(),
            Self::Attached(_) | Self::Released { .. } | Self::Mended { .. } => {}
        }
    }
}

/// When an action was asked for, at the latest before it was sent, and when its reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) asked: Moment,
    pub(crate) now: Moment,
}

/// Why a part of a machine does not go on to its next action right away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Halt {
    /// Wait exactly so long, then take the action that is due by then.
    Pause(Duration, String),
    /// Wait with jitter and longer each time; give up with this exit code at the deadline.
    Retry(Duration, Exit, String),
    /// Give up.
    Fail(Exit, String),
    /// EC2 definitely refused: put the record back, then give up.
    Undo(Exit, String, Whereabouts),
    /// Somebody else took the address.
    Superseded(String),
    /// The record changed under us: read it and decide anew.
    Restart(String),
}

/// The result of one reply inside a part of a machine: `Some` when the part is complete.
pub(crate) type Turn<T> = Result<Option<T>, Halt>;

/// Failures of a reply that does not answer the action.
pub(crate) fn mismatch<T>(at: &str) -> Turn<T> {
    Err(Halt::Fail(Exit::Internal, format!("a reply that answers no question at {at}")))
}

/// Reads and writes of the registry that failed other than by conflict.
pub(crate) fn registry_halt(failure: &RegistryFailure) -> Halt {
    let text = failure.detail.clone();
    match failure.kind {
        RegistryKind::Unavailable => Halt::Retry(timing::BACKOFF_BASE, failure.kind.exit(), text),
        RegistryKind::Conflict | RegistryKind::AlreadyExists => Halt::Restart(text),
        RegistryKind::NotFound | RegistryKind::Invalid | RegistryKind::Refused => {
            Halt::Fail(failure.kind.exit(), text)
        }
    }
}

/// Failed reads of EC2 and IMDS: what may pass is tried again, what a person must mend is not.
pub(crate) fn cloud_read_halt(failure: &CloudFailure) -> Halt {
    let text = failure.detail.clone();
    match failure.kind {
        CloudKind::Throttled => Halt::Retry(timing::THROTTLE_BASE, Exit::TimedOut, text),
        CloudKind::Transient | CloudKind::Gone => {
            Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text)
        }
        CloudKind::Auth
        | CloudKind::Unknown
        | CloudKind::HeldElsewhere
        | CloudKind::NotOurs
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::BadAddress => Halt::Fail(Exit::CloudRefused, text),
    }
}

/// The waiting state of a machine: at most one wait at a time, all under one deadline.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Patience {
    deadline: Moment,
    waiting: Option<Delay>,
    failures: u32,
    furthest: Option<Step>,
}

impl Patience {
    pub(crate) fn until(deadline: Moment) -> Self {
        Self { deadline, waiting: None, failures: 0, furthest: None }
    }

    pub(crate) fn action(&self) -> Option<Action> {
        self.waiting.clone().map(Action::Wait)
    }

    /// Consumes the reply to a wait. False if there was none.
    pub(crate) fn waited(&mut self, reply: &Reply) -> bool {
        if self.waiting.is_none() {
            return false;
        }
        if *reply == Reply::Waited {
            self.waiting = None;
        }
        true
    }

    /// Starts the backoff anew, once per boundary: what was passed before is no progress.
    pub(crate) fn progress(&mut self, crossed: Option<Step>) {
        if crossed > self.furthest {
            self.furthest = crossed;
            self.failures = 0;
        }
    }

    pub(crate) fn canonical(&mut self, canon: Canonical) {
        canon.due([&mut self.deadline]);
        self.waiting.iter_mut().for_each(Canonical::wait);
        (self.failures, self.furthest) = (0, None);
    }

    pub(crate) fn is_over(&self, now: Moment) -> bool {
        now >= self.deadline
    }

    /// Waits or gives up, where nothing has to be put back first.
    pub(crate) fn halt(&mut self, halt: Halt, now: Moment) -> Result<(), (Exit, String)> {
        match halt {
            Halt::Pause(length, why) => {
                self.pause(length, why, now).map_err(|text| (Exit::TimedOut, text))
            }
            Halt::Retry(base, exit, why) => {
                self.back_off(base, why, now).map_err(|text| (exit, text))
            }
            Halt::Restart(why) => self
                .back_off(timing::BACKOFF_BASE, why, now)
                .map_err(|text| (Exit::RegistryUnavailable, text)),
            Halt::Fail(exit, text) | Halt::Undo(exit, text, _) => Err((exit, text)),
            Halt::Superseded(text) => Err((Exit::Superseded, text)),
        }
    }

    /// Begins an exact wait, never a shortened one: a barrier must be waited out or not be passed.
    /// Refused with the reason where the deadline comes first.
    pub(crate) fn pause(
        &mut self,
        length: Duration,
        why: String,
        now: Moment,
    ) -> Result<(), String> {
        if now.plus(length) > self.deadline {
            return Err(format!("the deadline comes before the end of waiting for {why}"));
        }
        self.begin((length, false), why, now)
    }

    /// Begins a jittered wait that doubles with each failure in a row.
    pub(crate) fn back_off(
        &mut self,
        base: Duration,
        why: String,
        now: Moment,
    ) -> Result<(), String> {
        let throttled = base == timing::THROTTLE_BASE;
        let steady = if throttled { timing::THROTTLE_STEADY } else { 0 };
        let doublings = self.failures.saturating_sub(steady).min(16);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let length = base.saturating_mul(factor).min(timing::BACKOFF_CAP);
        self.failures = self.failures.saturating_add(1);
        self.begin((length, true), why, now)
    }

    fn begin(
        &mut self,
        (length, jitter): (Duration, bool),
        why: String,
        now: Moment,
    ) -> Result<(), String> {
        if now >= self.deadline {
            return Err(format!("the deadline passed: {why}"));
        }
        self.waiting = Some(Delay { length, jitter, limit: self.deadline.since(now), why });
        Ok(())
    }
}
