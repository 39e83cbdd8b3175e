//! Third part of attach: EC2. Pending calls of others have expired by now. The owner is looked up
//! before any forced Assign, each Assign is authorised less than T before it is sent, and the
//! machine proves that the data path has switched.

mod proof;

use super::held::{Acquired, Assigned, LookUp, still_ours};
use super::input::{AttachInput, LookedUp};
use super::messages::foreign;
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::{self, Verdict, Whereabouts};
use crate::failure::{CloudFailure, CloudKind, Effect};
use crate::machine::{Path, Span};
use crate::ports::Owner;
use crate::record::{StaticIp, Stored};
use crate::retry_or_fail::{Halt, Next, cloud_read_halt, link_halt, mismatch, registry_halt};
use crate::step::{AttachStep, Step};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    /// After a barrier: does IMDS list the address before our Assign?
    Relisted,
    /// Fetch the answer of the look-up that was started.
    Begun(Moment),
    /// Look up the owner.
    Owner,
    /// Is the epoch still ours?
    Fresh {
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
    /// The answer to the first Assign, sent at this moment, was lost: does IMDS list the address?
    Unanswered(Moment),
    /// Does IMDS list the address?
    Listed,
    /// Does Describe show the address here?
    Shown,
    /// It does not: has another pod acquired it?
    Recheck,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Assign {
    at: At,
    held: Acquired,
    plain_first: bool,
    /// Until when a forced Assign may follow the last look-up: T after it was sent.
    look_up_until: Moment,
    /// We sent a call. It is not repeated without a fresh read.
    sent: bool,
    /// An Assign of ours took effect at this moment or before.
    assigned: Option<Moment>,
    /// An Assign without force was refused because the address is held.
    refused: Option<Moment>,
    unanswered: Option<Moment>,
}

impl Assign {
    pub(super) fn new(held: Acquired, input: &AttachInput) -> Self {
        let at = match held.look_up {
            _ if held.take.barrier => At::Relisted,
            LookUp::Begun(begun) if held.taken.since(begun) < timing::CALL_BOUND => {
                At::Begun(begun)
            }
            LookUp::None | LookUp::Begun(_) | LookUp::Known => At::Owner,
        };
        let known = matches!((&at, held.look_up), (At::Owner, LookUp::Known));
        let mut first = Self {
            at,
            look_up_until: held.taken,
            plain_first: held.take.plain_first,
            held,
            sent: false,
            assigned: None,
            refused: None,
            unanswered: None,
        };
        if let Some(known) = input.looked_up.as_ref().filter(|_| known) {
            first.skip_look_up(input, known);
        }
        first
    }

    /// A look-up from before the run only saves time: what it does not allow is looked up now.
    fn skip_look_up(&mut self, input: &AttachInput, known: &LookedUp) {
        let now = self.held.taken;
        if let Verdict::Assign { force } = self.verdict(input, &known.owner)
            && now < known.until
        {
            let rest = timing::CALL_BOUND.saturating_sub(timing::EARLY_LOOK_UP);
            self.look_up_until = known.until.plus(rest);
            self.approach(force, now);
        }
    }

    fn verdict(&self, input: &AttachInput, owner: &Owner) -> Verdict {
        let Acquired { before, eni, .. } = &self.held;
        decide::verdict(before, &eni.id, &input.cluster, owner, self.plain_first)
    }

    pub(super) fn held(&self) -> &Acquired {
        &self.held
    }

    /// Whether no call of ours can have changed EC2 or still can.
    pub(super) fn untouched(&self) -> bool {
        self.unanswered.is_none() && self.assigned.is_none()
    }

    fn record(&self) -> &StaticIp {
        &self.held.stored.object
    }

    pub(super) fn action(&self) -> Action {
        let record = self.record();
        match &self.at {
            At::Relisted | At::Unanswered(_) | At::Listed => Action::ReadListed(self.held.eni.mac),
            At::Begun(_) => Action::AwaitOwner,
            At::Owner | At::Shown => Action::ReadOwner(record.address, record.subnet.clone()),
            At::Fresh { .. } | At::Recheck => Action::ReadRecord(record.address),
            At::Note { .. } => Action::NoteAssign(record.address),
            At::Assign { force, not_after } => Action::Assign {
                eni: self.held.eni.id.clone(),
                address: record.address,
                force: *force,
                not_after: *not_after,
            },
        }
    }

    pub(super) fn reply(
        &mut self,
        input: &AttachInput,
        reply: Reply,
        span: Span,
        crossed: &mut Option<Step>,
    ) -> Next<Assigned> {
        match (self.at.clone(), reply) {
            (At::Relisted, Reply::Listed(read)) => {
                let listed = read.map_err(|f| cloud_read_halt(&f))?;
                self.held.listed =
                    self.held.recently_assigned || listed.contains(&self.record().address);
                self.at = At::Owner;
                Ok(None)
            }
            (at @ (At::Begun(_) | At::Owner), Reply::Owner(read)) => {
                let sent = if let At::Begun(sent) = at { sent } else { span.requested };
                self.look_up_until = sent.plus(timing::CALL_BOUND);
                self.at = At::Owner;
                let owner = read.map_err(|f| cloud_read_halt(&f))?;
                self.after_owner(input, &owner, span.now)
            }
            (At::Fresh { force }, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?;
                self.after_fresh(input, stored.map(|s| *s), force, span)
            }
            (At::Note { force, not_after }, Reply::Host(noted)) => {
                self.at = At::Fresh { force };
                noted.map_err(|f| link_halt(f.kind, f.detail))?;
                self.at = At::Assign { force, not_after };
                Ok(None)
            }
            (At::Assign { .. }, Reply::Cloud(Ok(()))) => {
                *crossed = Some(Step::Attach(AttachStep::AssignAnswered));
                self.after_assigned(span.now)
            }
            (At::Assign { force, .. }, Reply::Cloud(Err(failure))) => {
                self.after_refusal(&failure, force, span)
            }
            (At::Unanswered(_) | At::Listed, Reply::Listed(read)) => {
                let poll = if read.is_ok() { input.metadata_poll } else { timing::BACKOFF_BASE };
                if read.is_ok_and(|set| set.contains(&self.record().address)) {
                    *crossed = Some(Step::Attach(AttachStep::DataPathSwitched));
                    return Ok(Some(self.moved(Path::Moved)));
                }
                self.after_unlisted(poll, span.now)
            }
            (At::Shown, Reply::Owner(read)) => {
                let owner = read.map_err(|f| cloud_read_halt(&f))?;
                self.after_shown(&owner, crossed)
            }
            (At::Recheck, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.after_recheck(input, stored, span.now)
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    fn is_here(&self, owner: &Owner) -> bool {
        matches!(owner, Owner::Eni(o) if o.id == self.held.eni.id && !o.primary)
    }

    fn after_owner(&mut self, input: &AttachInput, owner: &Owner, now: Moment) -> Next<Assigned> {
        let here = self.is_here(owner);
        if let (true, Some(refused)) = (here, self.refused) {
            return self.already_here(refused, now);
        }
        match self.verdict(input, owner) {
            Verdict::Here => Ok(Some(self.moved(Path::SameNode))),
            Verdict::Refuse(holder) => {
                let text = foreign(self.record(), &holder);
                Err(self.undo(Exit::AddressUnavailable, text, Whereabouts::Elsewhere))
            }
            Verdict::Assign { force: false } if self.refused.is_some() => {
                // Its holder may have released it since: without force, Assign succeeds only if it
                // is free.
                self.at = At::Fresh { force: false };
                let address = self.record().address;
                let text = format!("EC2 refuses {address} as held, but reports no holder");
                Err(Halt::Retry(timing::BACKOFF_BASE, Exit::AddressUnavailable, text))
            }
            Verdict::Assign { force } => {
                self.approach(force, now);
                Ok(None)
            }
        }
    }

    /// An Assign without force was refused, and Describe shows this ENI. Reads lag, so only a
    /// second read, one lag later, proves that the address was here all along.
    fn already_here(&mut self, refused: Moment, now: Moment) -> Next<Assigned> {
        let since = now.since(refused);
        if since >= timing::DESCRIBE_LAG {
            return Ok(Some(self.moved(Path::Moved)));
        }
        let left = timing::DESCRIBE_LAG.saturating_sub(since);
        Err(Halt::Pause(left, "Describe to confirm that the address is here already".to_owned()))
    }

    /// Continues to the Assign, through a fresh read if one was sent already or too little is left
    /// of T.
    fn approach(&mut self, force: bool, now: Moment) {
        let left = timing::CALL_BOUND.saturating_sub(now.since(self.held.authorised));
        self.at = if left >= timing::CALL_MINIMUM && !self.sent {
            At::Note { force, not_after: self.not_after() }
        } else {
            At::Fresh { force }
        };
    }

    fn after_fresh(
        &mut self,
        input: &AttachInput,
        stored: Option<Stored<StaticIp>>,
        force: bool,
        span: Span,
    ) -> Next<Assigned> {
        self.held.stored = still_ours(&self.held, input, stored)?;
        self.held.authorised = span.requested;
        if force && span.now >= self.look_up_until {
            // The owner that was reported may have lost it since: a forced Assign needs a new
            // look-up.
            self.at = At::Owner;
            return Ok(None);
        }
        let left = timing::CALL_BOUND.saturating_sub(span.now.since(span.requested));
        if left < timing::CALL_MINIMUM {
            let text = "the registry answered too slowly to authorise an Assign".to_owned();
            return Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text));
        }
        self.at = At::Note { force, not_after: self.not_after() };
        Ok(None)
    }

    fn not_after(&self) -> Moment {
        self.held.authorised.plus(timing::CALL_BOUND)
    }

    fn after_refusal(&mut self, failure: &CloudFailure, force: bool, span: Span) -> Next<Assigned> {
        let text = failure.detail.clone();
        self.sent = true;
        if failure.effect == Effect::Unknown {
            self.refused = None; // Obsolete: this call may take effect at any moment.
            self.unanswered = self.unanswered.max(Some(self.not_after()));
            self.at = if self.held.listed { At::Owner } else { At::Unanswered(span.now) };
            return Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text));
        }
        let again = At::Fresh { force };
        match failure.kind {
            CloudKind::HeldElsewhere => {
                let first = self.refused.is_none();
                self.refused = Some(span.now);
                self.plain_first = false;
                self.at = At::Owner;
                if first {
                    return Ok(None);
                }
                Err(Halt::Retry(timing::BACKOFF_BASE, Exit::AddressUnavailable, text))
            }
            CloudKind::CapacityExceeded | CloudKind::SubnetExhausted => {
                Err(self.undo(Exit::NoCapacity, text, Whereabouts::AsBefore))
            }
            CloudKind::BadAddress => {
                Err(self.undo(Exit::AddressUnavailable, text, Whereabouts::AsBefore))
            }
            CloudKind::Throttled => {
                self.at = again;
                Err(Halt::Retry(timing::THROTTLE_BASE, Exit::TimedOut, text))
            }
            CloudKind::Transient => {
                self.at = again;
                Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text))
            }
            CloudKind::NotFound => {
                self.at = again;
                Err(Halt::Retry(timing::THROTTLE_BASE, Exit::NodeUnsuitable, text))
            }
            // An Assign is not refused for the last four.
            CloudKind::Auth
            | CloudKind::Unknown
            | CloudKind::NotOnInterface
            | CloudKind::AttachmentLimitExceeded
            | CloudKind::DeviceIndexTaken
            | CloudKind::InterfaceInUse
            | CloudKind::QuotaExceeded => {
                Err(self.undo(Exit::CloudRefused, text, Whereabouts::AsBefore))
            }
        }
    }

    /// The record is restored only if no call of ours can still take effect.
    fn undo(&self, exit: Exit, text: String, found: Whereabouts) -> Halt {
        if self.untouched() { Halt::Undo(exit, text, found) } else { Halt::Fail(exit, text) }
    }

    fn moved(&self, path: Path) -> Assigned {
        Assigned { held: self.held.clone(), path, unanswered: self.unanswered }
    }
}
