//! Re-assert: the holder's agent assigns again what EC2 reports elsewhere. The machine records a
//! pending mutation by compare-and-swap, looks up the owner, and sends one Assign that this write
//! authorises. It clears the pending mutation once the call has a definite answer or T has passed.
//! If a foreign interface holds the address, the operation fails; it never uses force there.

use std::net::Ipv4Addr;

use super::PATIENCE;
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::{self, Verdict};
use crate::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use crate::ids::{ClusterName, EniId, Epoch, RunId};
use crate::machine::{Failure, Machine, Maintenance, Outcome, Span};
use crate::ports::Owner;
use crate::record::{Mutation, PendingMutation, State, StaticIp, Stored, Write};
use crate::retry_or_fail::{Halt, Next, Waiting, cloud_read_halt, mismatch, registry_halt};
use crate::step::{ReassertStep, Step};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    Read,
    Owner,
    PendingMutation {
        force: bool,
    },
    /// An Assign is about to be sent from this node.
    Note {
        force: bool,
        not_after: Moment,
    },
    Assign {
        force: bool,
        not_after: Moment,
    },
    Clear,
    /// The answer to the clearing write was lost, or the record has changed since.
    Cleared,
    Done(Outcome),
}

/// The machine of [`Operation::Reassert`](super::Operation::Reassert).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reassert {
    address: Ipv4Addr,
    epoch: Epoch,
    eni: EniId,
    cluster: ClusterName,
    run: RunId,
    waiting: Waiting,
    at: At,
    stored: Option<Stored<StaticIp>>,
    /// When the look-up that justifies a forced Assign was sent.
    look_up_sent: Moment,
    /// Until when a call of ours may still take effect.
    unanswered: Option<Moment>,
    /// The result once the pending mutation is cleared.
    verdict: Result<Maintenance, Failure>,
    crossed: Option<Step>,
    requested: Moment,
}

impl Reassert {
    pub(super) fn new(
        (address, epoch, eni): (Ipv4Addr, Epoch, EniId),
        cluster: ClusterName,
        run: RunId,
        now: Moment,
    ) -> Self {
        Self {
            address,
            epoch,
            eni,
            cluster,
            run,
            waiting: Waiting::until(now.plus(PATIENCE)),
            at: At::Read,
            stored: None,
            look_up_sent: now,
            unanswered: None,
            verdict: Ok(Maintenance::NothingToDo),
            crossed: None,
            requested: now,
        }
    }

    fn step(&mut self, reply: Reply, span: Span) -> Next<Outcome> {
        match (self.at.clone(), reply) {
            (At::Read, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.after_read(stored, span.now)
            }
            (At::Owner, Reply::Owner(read)) => {
                self.look_up_sent = span.requested;
                let owner = read.map_err(|f| cloud_read_halt(&f))?;
                self.after_owner(&owner)
            }
            (At::PendingMutation { force }, Reply::Written(Ok(version))) => {
                self.crossed = Some(Step::Reassert(ReassertStep::AssignPending));
                self.stored = self.with_pending().map(|object| Stored { version, object });
                self.approach(force, span)
            }
            (At::PendingMutation { .. }, Reply::Written(Err(failure))) => {
                Err(self.pending_failed(&failure))
            }
            (At::Note { force, not_after }, Reply::Host(noted)) => {
                if let Err(failure) = noted {
                    return self.fail(Exit::KernelRefused, failure.detail);
                }
                self.at = At::Assign { force, not_after };
                Ok(None)
            }
            (At::Assign { .. }, Reply::Cloud(answer)) => self.after_assign(answer.err(), span.now),
            (At::Clear, Reply::Written(Ok(_version))) => Ok(Some(self.ended())),
            (At::Clear, Reply::Written(Err(failure))) => Err(self.clear_failed(&failure)),
            (At::Cleared, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.after_cleared(stored)
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    /// Whether we may re-assert it: attached, at the epoch that lost it, on our ENI.
    fn is_ours(&self, record: &StaticIp) -> bool {
        let here = record
            .attachment
            .as_ref()
            .is_some_and(|a| a.state == State::Attached && a.eni.as_ref() == Some(&self.eni));
        record.epoch == self.epoch && here
    }

    /// Another agent of this node, or a previous one that died, may have this Assign in flight.
    fn is_pending_by_another(&self, record: &StaticIp) -> bool {
        let same = |pending: &&PendingMutation| {
            pending.mutation == Mutation::Assign && pending.eni == self.eni
        };
        record.pending_mutations.iter().filter(same).any(|pending| pending.run != self.run)
    }

    fn after_read(&mut self, stored: Option<Stored<StaticIp>>, now: Moment) -> Next<Outcome> {
        let ours = stored.as_ref().is_some_and(|s| self.is_ours(&s.object));
        if stored.as_ref().is_some_and(|s| self.is_pending_by_another(&s.object)) {
            // Our pending mutation replaces that one and stands for its call as well.
            self.unanswered = self.unanswered.max(Some(now.plus(timing::CALL_BOUND)));
        }
        self.stored = stored;
        if !ours {
            return self.finish(Ok(Maintenance::NothingToDo));
        }
        self.at = At::Owner;
        Ok(None)
    }

    fn after_owner(&mut self, owner: &Owner) -> Next<Outcome> {
        let Some(stored) = &self.stored else { return mismatch("owner") };
        let here = matches!(owner, Owner::Eni(o) if o.id == self.eni && !o.primary);
        if here {
            return self.finish(Ok(Maintenance::NothingToDo));
        }
        match decide::verdict(&stored.object, &self.eni, &self.cluster, owner, false) {
            Verdict::Here => self.finish(Ok(Maintenance::NothingToDo)),
            Verdict::Refuse(holder) => {
                let text = format!(
                    "EC2 reports {} on {} ({:?}), from which FireCamp must not take it (a \
                     foreign ENI, or its primary address), so the agent does not take it back",
                    self.address, holder.id, holder.description
                );
                self.fail(Exit::AddressUnavailable, text)
            }
            Verdict::Assign { force } => {
                self.at = At::PendingMutation { force };
                Ok(None)
            }
        }
    }

    /// The write that records the pending mutation is what authorises the call.
    fn approach(&mut self, force: bool, span: Span) -> Next<Outcome> {
        let not_after = span.requested.plus(timing::CALL_BOUND);
        let stale = force && span.now.since(self.look_up_sent) >= timing::CALL_BOUND;
        let late = not_after.since(span.now) < timing::CALL_MINIMUM;
        if stale || late {
            let text = format!(
                "{} was not assigned again: the registry or EC2 answered too slowly; the agent \
                 retries",
                self.address
            );
            return self.fail(Exit::TimedOut, text);
        }
        self.at = At::Note { force, not_after };
        Ok(None)
    }

    fn pending_failed(&mut self, failure: &RegistryFailure) -> Halt {
        match failure.kind {
            RegistryKind::Conflict | RegistryKind::Unavailable => {
                self.at = At::Read;
                let text = failure.detail.clone();
                Halt::Retry(timing::BACKOFF_BASE, Exit::RegistryUnavailable, text)
            }
            RegistryKind::AlreadyExists
            | RegistryKind::NotFound
            | RegistryKind::Invalid
            | RegistryKind::Refused => registry_halt(failure),
        }
    }

    fn after_assign(&mut self, failure: Option<CloudFailure>, now: Moment) -> Next<Outcome> {
        let Some(failure) = failure else {
            self.crossed = Some(Step::Reassert(ReassertStep::AssignAnswered));
            return self.settle(Ok(Maintenance::Reasserted), now);
        };
        if failure.effect == Effect::Unknown {
            self.unanswered = Some(self.not_after());
        }
        let exit = match failure.kind {
            CloudKind::HeldElsewhere | CloudKind::BadAddress => Exit::AddressUnavailable,
            CloudKind::CapacityExceeded | CloudKind::SubnetExhausted => Exit::NoCapacity,
            CloudKind::Throttled | CloudKind::Transient => Exit::TimedOut,
            CloudKind::NotFound => Exit::NodeUnsuitable,
            // An Assign is not refused for the last four.
            CloudKind::NotOnInterface
            | CloudKind::Auth
            | CloudKind::Unknown
            | CloudKind::AttachmentLimitExceeded
            | CloudKind::DeviceIndexTaken
            | CloudKind::InterfaceInUse
            | CloudKind::QuotaExceeded => Exit::CloudRefused,
        };
        let failure = self.failure(exit, failure.detail);
        self.settle(Err(failure), now)
    }

    fn not_after(&self) -> Moment {
        if let At::Assign { not_after, .. } = &self.at { *not_after } else { self.requested }
    }

    /// The pending mutation stays until no call of ours can take effect any more.
    fn settle(&mut self, verdict: Result<Maintenance, Failure>, now: Moment) -> Next<Outcome> {
        self.verdict = verdict;
        self.at = At::Clear;
        match self.unanswered {
            Some(bound) if bound > now => {
                let text = "an unanswered Assign to expire".to_owned();
                Err(Halt::Pause(bound.since(now), text))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn clear_failed(&mut self, failure: &RegistryFailure) -> Halt {
        match failure.kind {
            RegistryKind::Conflict | RegistryKind::Unavailable => {
                self.at = At::Cleared;
                let text = failure.detail.clone();
                Halt::Retry(timing::BACKOFF_BASE, Exit::RegistryUnavailable, text)
            }
            RegistryKind::AlreadyExists
            | RegistryKind::NotFound
            | RegistryKind::Invalid
            | RegistryKind::Refused => registry_halt(failure),
        }
    }

    /// We clear our pending mutation, whoever holds the epoch by now.
    fn after_cleared(&mut self, stored: Option<Stored<StaticIp>>) -> Next<Outcome> {
        match stored.filter(|s| s.object.has_pending_by(&self.run)) {
            Some(stored) => {
                self.stored = Some(stored);
                self.at = At::Clear;
                Ok(None)
            }
            None => Ok(Some(self.ended())),
        }
    }

    fn with_pending(&self) -> Option<StaticIp> {
        let stored = self.stored.as_ref()?;
        Some(decide::reasserting(&stored.object, &self.eni, &self.run))
    }

    /// Ends before anything was sent. Clears a pending mutation of an earlier attempt of this run.
    fn finish(&mut self, verdict: Result<Maintenance, Failure>) -> Next<Outcome> {
        self.verdict = verdict;
        let pending = self.stored.as_ref().is_some_and(|s| s.object.has_pending_by(&self.run));
        if pending {
            let verdict = self.verdict.clone();
            return self.settle(verdict, self.requested);
        }
        Ok(Some(self.ended()))
    }

    fn fail(&mut self, exit: Exit, text: String) -> Next<Outcome> {
        let failure = self.failure(exit, text);
        self.finish(Err(failure))
    }

    fn failure(&self, exit: Exit, message: String) -> Failure {
        Failure { exit, message, address: Some(self.address) }
    }

    fn ended(&mut self) -> Outcome {
        self.crossed = Some(Step::Reassert(ReassertStep::ReassertEnded));
        match &self.verdict {
            Ok(what) => Outcome::Maintained { what: *what, address: self.address },
            Err(failure) => Outcome::Failed(failure.clone()),
        }
    }

    fn write(&self, object: impl FnOnce(&StaticIp) -> StaticIp) -> Action {
        self.stored.as_ref().map_or(Action::Done, |stored| {
            let (version, object) = (stored.version.clone(), object(&stored.object));
            Action::Write(Box::new(Write::UpdateStaticIp(Stored { version, object })))
        })
    }
}

impl Machine for Reassert {
    fn action(&self) -> Action {
        if let Some(wait) = self.waiting.action() {
            return wait;
        }
        let subnet = self.stored.as_ref().map(|s| s.object.subnet.clone());
        match (&self.at, subnet) {
            (At::Read | At::Cleared, _) => Action::ReadRecord(self.address),
            (At::Owner, Some(subnet)) => Action::ReadOwner(self.address, subnet),
            (At::PendingMutation { .. }, _) => {
                self.write(|record| decide::reasserting(record, &self.eni, &self.run))
            }
            (At::Note { .. }, _) => Action::NoteAssign(self.address),
            (At::Assign { force, not_after }, _) => Action::Assign {
                eni: self.eni.clone(),
                address: self.address,
                force: *force,
                not_after: *not_after,
            },
            (At::Clear, _) => self.write(|record| decide::without_pending(record, &self.run)),
            (At::Owner, None) | (At::Done(_), _) => Action::Done,
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        self.crossed = None;
        let span = Span { requested: self.requested, now };
        self.requested = now;
        if self.waiting.waited(&reply) {
            return;
        }
        match self.step(reply, span) {
            Ok(None) => self.waiting.progress(self.crossed),
            Ok(Some(outcome)) => self.at = At::Done(outcome),
            Err(halt) => {
                if let Err((exit, message)) = self.waiting.halt(halt, now) {
                    self.at = At::Done(Outcome::Failed(self.failure(exit, message)));
                }
            }
        }
    }

    fn crossed(&self) -> Option<Step> {
        self.crossed
    }

    fn outcome(&self) -> Option<&Outcome> {
        if let At::Done(outcome) = &self.at { Some(outcome) } else { None }
    }
}
