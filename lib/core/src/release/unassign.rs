//! The release that gives the address back to the subnet: an epoch of its own, the Unassign
//! marked before it is sent, and recorded as released once its answer is definite.

use std::time::Duration;

use super::ReleaseInput;
use crate::action::{Action, Reply, Step};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide;
use crate::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use crate::ids::{EniId, Version};
use crate::machine::{Halt, Release as Done, Span, Turn, mismatch, registry_halt};
use crate::record::{StaticIp, Stored, Write};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    /// Write the intent over the record of the epoch that we hold.
    Intend,
    /// The answer to the intent was lost.
    Intended,
    /// Is the intent still the current epoch?
    Fresh,
    Call(Duration),
    Record,
    Recorded,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Unassign {
    at: At,
    /// The record that the next write replaces.
    stored: Stored<StaticIp>,
    /// What the next write, or the last one, makes of it, and the ENI that it names.
    intent: Option<(StaticIp, EniId)>,
    authorised: Moment,
    unanswered: Option<Moment>,
}

impl Unassign {
    pub(super) fn new(stored: Stored<StaticIp>, now: Moment) -> Self {
        Self { at: At::Intend, stored, intent: None, authorised: now, unanswered: None }
    }

    fn intent(&self, input: &ReleaseInput) -> Option<(StaticIp, EniId)> {
        self.intent.clone().or_else(|| decide::releasing(&self.stored.object, &input.run))
    }

    pub(super) fn action(&self, input: &ReleaseInput) -> Action {
        let address = self.stored.object.address;
        let version = self.stored.version.clone();
        let update =
            |object| Action::Write(Box::new(Write::UpdateStaticIp(Stored { version, object })));
        match &self.at {
            // A record without an ENI has nothing to unassign: it is parked as it is.
            At::Intend => update(
                self.intent(input)
                    .map_or_else(|| decide::parked(&self.stored.object), |(next, _)| next),
            ),
            At::Intended | At::Fresh | At::Recorded => Action::ReadRecord(address),
            At::Call(within) => match &self.intent {
                Some((_, eni)) => Action::Unassign { eni: eni.clone(), address, within: *within },
                None => Action::Done,
            },
            At::Record => update(decide::released(&self.stored.object, &input.run)),
        }
    }

    pub(super) fn reply(
        &mut self,
        input: &ReleaseInput,
        reply: Reply,
        span: Span,
        crossed: &mut Option<Step>,
    ) -> Turn<Done> {
        match (self.at.clone(), reply) {
            (At::Intend, Reply::Written(Ok(version))) => {
                *crossed = Some(Step::Free(2));
                self.after_intent(input, version, span)
            }
            (At::Intend, Reply::Written(Err(failure))) => Err(self.intend_failed(&failure)),
            (At::Intended | At::Fresh | At::Recorded, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.after_read(input, stored, span)
            }
            (At::Call(_), Reply::Cloud(answer)) => {
                *crossed = Some(Step::Free(4));
                self.after_call(answer.err(), span.now)
            }
            (At::Record, Reply::Written(Ok(_version))) => {
                *crossed = Some(Step::Free(5));
                Ok(Some(Done::Unassigned))
            }
            (At::Record, Reply::Written(Err(failure))) => {
                self.at = At::Recorded;
                Err(retry(&failure))
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    fn after_intent(&mut self, input: &ReleaseInput, version: Version, span: Span) -> Turn<Done> {
        let Some((object, eni)) = self.intent(input) else {
            return Ok(Some(Done::Parked));
        };
        self.stored = Stored { version, object: object.clone() };
        self.intent = Some((object, eni));
        self.authorised = span.asked;
        self.approach(span.now);
        Ok(None)
    }

    fn approach(&mut self, now: Moment) {
        let left = timing::CALL_BOUND.saturating_sub(now.since(self.authorised));
        self.at = if left >= timing::CALL_MINIMUM { At::Call(left) } else { At::Fresh };
    }

    fn intend_failed(&mut self, failure: &RegistryFailure) -> Halt {
        match failure.kind {
            RegistryKind::Conflict | RegistryKind::Unavailable => {
                self.at = At::Intended;
                retry(failure)
            }
            RegistryKind::AlreadyExists
            | RegistryKind::NotFound
            | RegistryKind::Invalid
            | RegistryKind::Refused => registry_halt(failure),
        }
    }

    /// Ours, if this run wrote it; else, before the intent stood, still ours to intend.
    fn after_read(
        &mut self,
        input: &ReleaseInput,
        stored: Option<Stored<StaticIp>>,
        span: Span,
    ) -> Turn<Done> {
        let run =
            |s: &Stored<StaticIp>| s.object.attachment.as_ref().is_some_and(|a| a.run == input.run);
        let held = |s: &Stored<StaticIp>| {
            s.object.epoch == self.stored.object.epoch
                && s.object.held_by(&input.pod, s.object.epoch)
        };
        match stored {
            Some(stored) if run(&stored) => {
                let intent = self.intent(input).map(|(_, eni)| (stored.object.clone(), eni));
                self.intent = intent;
                self.stored = stored;
                self.authorised = span.asked;
                match self.at {
                    At::Recorded if self.stored.object.unsettled_by(&input.run) => {
                        self.at = At::Record;
                    }
                    At::Recorded => return Ok(Some(Done::Unassigned)),
                    At::Intend | At::Intended | At::Fresh | At::Call(_) | At::Record => {
                        self.approach(span.now);
                    }
                }
                Ok(None)
            }
            Some(stored) if self.at == At::Intended && held(&stored) => {
                self.stored = stored;
                self.at = At::Intend;
                Ok(None)
            }
            Some(_) | None => Ok(Some(Done::NotHolder)),
        }
    }

    fn after_call(&mut self, failure: Option<CloudFailure>, now: Moment) -> Turn<Done> {
        let Some(failure) = failure else { return self.settle(now) };
        let text = failure.detail;
        if failure.effect == Effect::Unknown {
            let bound = self.authorised.plus(timing::CALL_BOUND);
            self.unanswered = self.unanswered.max(Some(bound));
            self.at = At::Fresh;
            return Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text));
        }
        match failure.kind {
            // Not on that ENI, or no such ENI: it is out of it.
            CloudKind::NotOurs | CloudKind::Gone => self.settle(now),
            CloudKind::Throttled | CloudKind::Transient => {
                self.at = At::Fresh;
                let throttled = failure.kind == CloudKind::Throttled;
                let base = if throttled { timing::THROTTLE_BASE } else { timing::BACKOFF_BASE };
                Err(Halt::Retry(base, Exit::TimedOut, text))
            }
            CloudKind::HeldElsewhere
            | CloudKind::CapacityExceeded
            | CloudKind::SubnetExhausted
            | CloudKind::BadAddress
            | CloudKind::Auth
            | CloudKind::Unknown => Err(Halt::Fail(Exit::CloudRefused, text)),
        }
    }

    /// The mark is cleared by the record, so no call of ours may be able to land after it.
    fn settle(&mut self, now: Moment) -> Turn<Done> {
        self.at = At::Record;
        match self.unanswered {
            Some(bound) if bound > now => {
                let text = "an Unassign without an answer to be out of the way".to_owned();
                Err(Halt::Pause(bound.since(now), text))
            }
            Some(_) | None => Ok(None),
        }
    }
}

fn retry(failure: &RegistryFailure) -> Halt {
    Halt::Retry(timing::BACKOFF_BASE, Exit::RegistryUnavailable, failure.detail.clone())
}
