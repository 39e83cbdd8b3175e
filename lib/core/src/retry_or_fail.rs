//! Which failures a machine retries until its deadline, with which pauses, and which end it.

use std::time::Duration;

use crate::action::{Action, Delay, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::Whereabouts;
use crate::failure::{CloudFailure, CloudKind, HostKind, RegistryFailure, RegistryKind};
use crate::step::Step;
use crate::time::Moment;

/// Why a part of a machine does not continue with its next action right away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Halt {
    /// Wait exactly this long, then take the action that is due.
    Pause(Duration, String),
    /// Wait with jitter and exponential backoff; fail with this exit code at the deadline.
    Retry(Duration, Exit, String),
    /// Fail.
    Fail(Exit, String),
    /// EC2 definitely refused: restore the record, then fail.
    Undo(Exit, String, Whereabouts),
    /// Another pod acquired the address.
    Superseded(String),
    /// The record changed since it was read: start again with a read.
    Restart(String),
}

/// The result of one reply inside a part of a machine: `Some` when the part is complete.
pub(crate) type Next<T> = Result<Option<T>, Halt>;

/// Fails because of a reply that does not belong to the action.
pub(crate) fn mismatch<T>(at: &str) -> Next<T> {
    Err(Halt::Fail(Exit::Internal, format!("unexpected reply in state {at}")))
}

/// A registry request that failed other than by a conflict.
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

/// A failed read of EC2 or IMDS: retries temporary failures and fails on others.
pub(crate) fn cloud_read_halt(failure: &CloudFailure) -> Halt {
    let text = failure.detail.clone();
    match failure.kind {
        CloudKind::Throttled => Halt::Retry(timing::THROTTLE_BASE, Exit::TimedOut, text),
        CloudKind::Transient | CloudKind::NotFound => {
            Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text)
        }
        CloudKind::Auth
        | CloudKind::Unknown
        | CloudKind::HeldElsewhere
        | CloudKind::NotOnInterface
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::AttachmentLimitExceeded
        | CloudKind::DeviceIndexTaken
        | CloudKind::InterfaceInUse
        | CloudKind::QuotaExceeded
        | CloudKind::BadAddress => Halt::Fail(Exit::CloudRefused, text),
    }
}

/// The kernel needs seconds until a hot-plugged ENI has its link, so the machine retries.
pub(crate) fn link_halt(kind: HostKind, detail: String) -> Halt {
    match kind {
        HostKind::Superseded => Halt::Superseded(detail),
        HostKind::NoLink => Halt::Retry(timing::BACKOFF_BASE, Exit::NodeUnsuitable, detail),
        HostKind::Busy => Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, detail),
        HostKind::Refused => Halt::Fail(Exit::KernelRefused, detail),
    }
}

/// The waiting state of a machine: at most one wait at a time, all under one deadline.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Waiting {
    deadline: Moment,
    delay: Option<Delay>,
    failures: u32,
    furthest: Option<Step>,
}

impl Waiting {
    pub(crate) fn until(deadline: Moment) -> Self {
        Self { deadline, delay: None, failures: 0, furthest: None }
    }

    pub(crate) fn action(&self) -> Option<Action> {
        self.delay.clone().map(Action::Wait)
    }

    /// Handles the reply to a wait. False if the machine was not waiting.
    pub(crate) fn waited(&mut self, reply: &Reply) -> bool {
        if self.delay.is_none() {
            return false;
        }
        if *reply == Reply::Waited {
            self.delay = None;
        }
        true
    }

    /// Resets the backoff, once per boundary: a boundary that was crossed before is no progress.
    pub(crate) fn progress(&mut self, crossed: Option<Step>) {
        if crossed > self.furthest {
            self.furthest = crossed;
            self.failures = 0;
        }
    }

    pub(crate) fn is_over(&self, now: Moment) -> bool {
        now >= self.deadline
    }

    /// Waits or fails, if nothing has to be restored first.
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

    /// Starts an exact wait, which is never shortened: a barrier must be waited out completely.
    /// Fails with the reason if the deadline comes first.
    pub(crate) fn pause(
        &mut self,
        length: Duration,
        why: String,
        now: Moment,
    ) -> Result<(), String> {
        if now.plus(length) > self.deadline {
            return Err(format!("the deadline is before the end of the wait for {why}"));
        }
        self.begin((length, false), why, now)
    }

    /// Starts a jittered wait that doubles with each consecutive failure.
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
        self.delay = Some(Delay { length, jitter, limit: self.deadline.since(now), why });
        Ok(())
    }
}
