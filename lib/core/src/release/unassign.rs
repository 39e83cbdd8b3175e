//! A release that returns the address to the subnet. It takes a new epoch, records each Unassign as
//! pending before it is sent, and records the release once EC2 confirms it. If its process dies,
//! the next release acquires the next epoch and repeats all of it.

use std::collections::BTreeSet;

use super::ReleaseInput;
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide;
use crate::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use crate::ids::{EniId, Version};
use crate::machine::{Release as Done, Span};
use crate::ports::Owner;
use crate::record::{Mutation, StaticIp, Stored, Write};
use crate::retry_or_fail::{Halt, Next, cloud_read_halt, mismatch, registry_halt};
use crate::step::{FreeStep, Step};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    /// Write the intent over the record of our epoch.
    Intend,
    /// The answer to the intent was lost.
    Intended,
    /// Is the epoch of the intent still current?
    Fresh,
    Call(Moment),
    /// Not there, or unknown: where is it?
    Owner,
    /// It is on another ENI that the record names: record the Unassign from there.
    Redirect,
    Redirected,
    Record,
    Recorded,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Unassign {
    at: At,
    /// The record before the intent.
    before: StaticIp,
    /// The record that the next write replaces.
    stored: Stored<StaticIp>,
    /// The ENI that the next call names.
    eni: Option<EniId>,
    /// The ENIs that the address is known to have left.
    left: BTreeSet<EniId>,
    authorised: Moment,
    unanswered: Option<Moment>,
    /// When EC2 answered that the address is not on the ENI in the request.
    refused: Option<Moment>,
}

impl Unassign {
    pub(super) fn new(stored: Stored<StaticIp>, now: Moment) -> Self {
        Self {
            at: At::Intend,
            before: stored.object.clone(),
            stored,
            eni: None,
            left: BTreeSet::new(),
            authorised: now,
            unanswered: None,
            refused: None,
        }
    }

    /// The record of the next write.
    fn written(&self, input: &ReleaseInput) -> StaticIp {
        let record = &self.stored.object;
        match (&self.at, &self.eni) {
            (At::Redirect, Some(eni)) => decide::redirected(record, eni, &input.run),
            (At::Record, _) => decide::released(record, &self.before, &self.left, &input.run),
            // A record without an ENI has nothing to unassign: it is parked unchanged.
            (_, _) => decide::releasing(record, &input.run)
                .map_or_else(|| decide::parked(record), |(next, _)| next),
        }
    }

    pub(super) fn action(&self, input: &ReleaseInput) -> Action {
        let address = self.stored.object.address;
        match (&self.at, &self.eni) {
            (At::Intend | At::Redirect | At::Record, _) => {
                let version = self.stored.version.clone();
                let object = self.written(input);
                Action::Write(Box::new(Write::UpdateStaticIp(Stored { version, object })))
            }
            (At::Intended | At::Fresh | At::Redirected | At::Recorded, _) => {
                Action::ReadRecord(address)
            }
            (At::Owner, _) => Action::ReadOwner(address, self.stored.object.subnet.clone()),
            (At::Call(not_after), Some(eni)) => {
                Action::Unassign { eni: eni.clone(), address, not_after: *not_after }
            }
            (At::Call(_), None) => Action::Done,
        }
    }

    pub(super) fn reply(
        &mut self,
        input: &ReleaseInput,
        reply: Reply,
        span: Span,
        crossed: &mut Option<Step>,
    ) -> Next<Done> {
        match (self.at.clone(), reply) {
            (At::Intend, Reply::Written(Ok(version))) => {
                *crossed = Some(Step::Free(FreeStep::UnassignPending));
                self.after_intent(input, version, span)
            }
            (At::Redirect, Reply::Written(Ok(version))) => {
                self.stored = Stored { version, object: self.written(input) };
                self.authorised = span.requested;
                self.approach(span.now)
            }
            (At::Record, Reply::Written(Ok(_version))) => {
                *crossed = Some(Step::Free(FreeStep::ReleaseRecorded));
                Ok(Some(Done::Unassigned))
            }
            (At::Intend | At::Redirect | At::Record, Reply::Written(Err(failure))) => {
                Err(self.write_failed(&failure))
            }
            (At::Intended | At::Fresh | At::Redirected | At::Recorded, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.after_read(input, stored, span)
            }
            (At::Call(_), Reply::Cloud(answer)) => self.after_call(answer.err(), span.now, crossed),
            (At::Owner, Reply::Owner(read)) => {
                let owner = read.map_err(|f| cloud_read_halt(&f))?;
                self.after_owner(&owner, span.now, crossed)
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    fn after_intent(&mut self, input: &ReleaseInput, version: Version, span: Span) -> Next<Done> {
        let Some((object, eni)) = decide::releasing(&self.stored.object, &input.run) else {
            return Ok(Some(Done::Parked));
        };
        self.before = std::mem::replace(&mut self.stored, Stored { version, object }).object;
        let assigning =
            |m: &&crate::record::PendingMutation| m.mutation == Mutation::Assign && m.eni == eni;
        let in_flight = self.before.pending_mutations.iter().find(assigning).is_some();
        self.eni = Some(eni);
        self.authorised = span.requested;
        if in_flight {
            // It could assign the address again after our Unassign.
            self.at = At::Fresh;
            let text = "an Assign to this ENI that may be in flight".to_owned();
            return Err(Halt::Pause(timing::CALL_BOUND, text));
        }
        self.approach(span.now)
    }

    fn not_after(&self) -> Moment {
        self.authorised.plus(timing::CALL_BOUND)
    }

    fn approach(&mut self, now: Moment) -> Next<Done> {
        let left = timing::CALL_BOUND.saturating_sub(now.since(self.authorised));
        if left >= timing::CALL_MINIMUM {
            self.at = At::Call(self.not_after());
            return Ok(None);
        }
        self.at = At::Fresh;
        let text = "the registry answered too slowly to authorise an Unassign".to_owned();
        Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text))
    }

    fn write_failed(&mut self, failure: &RegistryFailure) -> Halt {
        match failure.kind {
            RegistryKind::Conflict | RegistryKind::Unavailable => {}
            RegistryKind::AlreadyExists
            | RegistryKind::NotFound
            | RegistryKind::Invalid
            | RegistryKind::Refused => return registry_halt(failure),
        }
        self.at = match self.at {
            At::Redirect => At::Redirected,
            At::Record => At::Recorded,
            At::Intend
            | At::Intended
            | At::Fresh
            | At::Call(_)
            | At::Owner
            | At::Redirected
            | At::Recorded => At::Intended,
        };
        let text = failure.detail.clone();
        Halt::Retry(timing::BACKOFF_BASE, Exit::RegistryUnavailable, text)
    }

    /// Ours if this run wrote it. If the intent was not written, it may still be ours to write.
    fn after_read(
        &mut self,
        input: &ReleaseInput,
        stored: Option<Stored<StaticIp>>,
        span: Span,
    ) -> Next<Done> {
        let Some(stored) = stored else { return Ok(Some(Done::NotHolder)) };
        let ours = stored.object.attachment.as_ref().is_some_and(|a| a.run == input.run);
        if ours {
            return self.after_own(input, stored, span);
        }
        let held = stored.object.epoch == self.before.epoch
            && stored.object.attachment == self.before.attachment;
        if self.at == At::Intended && held {
            self.before = stored.object.clone();
            self.stored = stored;
            self.at = At::Intend;
            return Ok(None);
        }
        Ok(Some(Done::NotHolder))
    }

    fn after_own(
        &mut self,
        input: &ReleaseInput,
        stored: Stored<StaticIp>,
        span: Span,
    ) -> Next<Done> {
        let pending = stored.object.has_pending_by(&input.run);
        self.stored = stored;
        self.authorised = span.requested;
        match self.at {
            At::Recorded if pending => self.at = At::Record,
            At::Recorded => return Ok(Some(Done::Unassigned)),
            At::Redirected => self.at = At::Redirect,
            At::Intended => {
                self.eni = decide::releasing(&self.before, &input.run).map(|(_, eni)| eni);
                return self.approach(span.now);
            }
            At::Intend | At::Fresh | At::Call(_) | At::Owner | At::Redirect | At::Record => {
                return self.approach(span.now);
            }
        }
        Ok(None)
    }

    fn after_call(
        &mut self,
        failure: Option<CloudFailure>,
        now: Moment,
        crossed: &mut Option<Step>,
    ) -> Next<Done> {
        let Some(failure) = failure else {
            self.left.extend(self.eni.clone());
            *crossed = Some(Step::Free(FreeStep::UnassignAnswered));
            return self.settle(now);
        };
        let text = failure.detail;
        if failure.effect == Effect::Unknown {
            // Reads lag, so only a definite answer proves that it is out.
            self.unanswered = self.unanswered.max(Some(self.not_after()));
            self.at = At::Fresh;
            return Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text));
        }
        let base = match failure.kind {
            // Not on that ENI, or no such ENI; but perhaps on another one of ours.
            CloudKind::NotOnInterface | CloudKind::NotFound => {
                self.left.extend(self.eni.clone());
                self.refused = Some(now);
                self.at = At::Owner;
                return Ok(None);
            }
            CloudKind::Throttled => timing::THROTTLE_BASE,
            CloudKind::Transient => timing::BACKOFF_BASE,
            CloudKind::HeldElsewhere
            | CloudKind::CapacityExceeded
            | CloudKind::SubnetExhausted
            | CloudKind::AttachmentLimitExceeded
            | CloudKind::DeviceIndexTaken
            | CloudKind::InterfaceInUse
            | CloudKind::QuotaExceeded
            | CloudKind::BadAddress
            | CloudKind::Auth
            | CloudKind::Unknown => return Err(Halt::Fail(Exit::CloudRefused, text)),
        };
        self.at = At::Fresh;
        Err(Halt::Retry(base, Exit::TimedOut, text))
    }

    /// On an ENI that the record names: unassign it there. Other ENIs are not FireCamp's to change.
    fn after_owner(
        &mut self,
        owner: &Owner,
        now: Moment,
        crossed: &mut Option<Step>,
    ) -> Next<Done> {
        let recorded = self.before.recorded_enis();
        match owner {
            Owner::Eni(holder) if !holder.primary && Some(&holder.id) == self.eni.as_ref() => {
                // EC2 answered that it is not there: this read lags, or a successor assigned it
                // since.
                self.at = At::Fresh;
                let text = format!("Describe still shows {} on {}", self.before.address, holder.id);
                Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text))
            }
            Owner::Eni(holder) if !holder.primary && recorded.contains(&holder.id) => {
                self.eni = Some(holder.id.clone());
                self.left.remove(&holder.id);
                self.at = At::Redirect;
                Ok(None)
            }
            Owner::Eni(_) | Owner::Unassigned => {
                let since = now.since(self.refused.unwrap_or(now));
                let left = timing::DESCRIBE_LAG.saturating_sub(since);
                if !left.is_zero() {
                    let text = "Describe to confirm that no other ENI of ours has it".to_owned();
                    return Err(Halt::Pause(left, text));
                }
                *crossed = Some(Step::Free(FreeStep::UnassignAnswered));
                self.settle(now)
            }
        }
    }

    /// The record clears the pending mutation, so no call of ours may take effect after it.
    fn settle(&mut self, now: Moment) -> Next<Done> {
        self.at = At::Record;
        match self.unanswered {
            Some(bound) if bound > now => {
                let text = "an unanswered Unassign to expire".to_owned();
                Err(Halt::Pause(bound.since(now), text))
            }
            Some(_) | None => Ok(None),
        }
    }
}
