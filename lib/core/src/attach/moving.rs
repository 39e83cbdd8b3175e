//! Third part of attach: EC2. A marked call of others has been waited out by now; the owner is
//! looked up before any force, each Assign is authorised less than T ago, and the data path is
//! proven to have switched.

mod canonical;
mod proof;

use super::AttachInput;
use super::bind::link_halt;
use super::hold::{Held, still_ours};
use super::texts::foreign;
use crate::action::{Action, Reply, Step};
use crate::bug::{Bug, planted};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::{self, Verdict, Whereabouts};
use crate::failure::{CloudFailure, CloudKind, Effect};
use crate::machine::{Halt, Path, Span, Turn, cloud_read_halt, mismatch, registry_halt};
use crate::outside::Owner;
use crate::record::{StaticIp, Stored};
use crate::time::Moment;

/// The address is on the ENI and the data path leads here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Moved {
    pub(super) held: Held,
    pub(super) path: Path,
    /// A call of ours may still land until then.
    pub(super) unanswered: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    /// After a barrier: what does IMDS list before our Assign?
    Relisted,
    /// Who owns it, says the look-up that was begun?
    Begun(Moment),
    /// Who owns it?
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
    /// The answer to the first Assign was lost, at this moment: does IMDS list the address now?
    Unanswered(Moment),
    /// Does IMDS list it now?
    Listed,
    /// Does Describe show it here?
    Shown,
    /// It does not: has somebody else taken it?
    Recheck,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Move {
    at: At,
    held: Held,
    plain_first: bool,
    /// When the last look-up was sent: what it showed is forced no longer than T after.
    looked: Moment,
    /// A call of ours was sent: it is not repeated without a fresh read.
    sent: bool,
    /// An Assign of ours took effect, at the latest at this moment.
    assigned: Option<Moment>,
    /// An Assign without force was refused because somebody holds the address.
    refused: Option<Moment>,
    unanswered: Option<Moment>,
}

impl Move {
    pub(super) fn new(held: Held) -> Self {
        let at = match held.begun {
            _ if held.take.barrier => At::Relisted,
            Some(begun) if held.taken.since(begun) < timing::CALL_BOUND => At::Begun(begun),
            Some(_) | None => At::Owner,
        };
        Self {
            at,
            looked: held.taken,
            plain_first: held.take.plain_first,
            held,
            sent: false,
            assigned: None,
            refused: None,
            unanswered: None,
        }
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// No call of ours can have changed EC2, or still can.
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
    ) -> Turn<Moved> {
        match (self.at.clone(), reply) {
            (At::Relisted, Reply::Listed(read)) => {
                let listed = read.map_err(|f| cloud_read_halt(&f))?;
                self.held.listed = self.held.lately || listed.contains(&self.record().address);
                self.at = At::Owner;
                Ok(None)
            }
            (At::Begun(begun), Reply::Owner(read)) => {
                self.at = At::Owner;
                self.looked = begun;
                let owner = read.map_err(|f| cloud_read_halt(&f))?;
                self.after_owner(input, &owner, span.now)
            }
            (At::Owner, Reply::Owner(read)) => {
                self.looked = span.asked;
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
                *crossed = Some(Step::Attach(9));
                self.after_assigned(span.now)
            }
            (At::Assign { force, .. }, Reply::Cloud(Err(failure))) => {
                self.after_refusal(&failure, force, span)
            }
            (At::Unanswered(_) | At::Listed, Reply::Listed(read)) => {
                if read.is_ok_and(|set| set.contains(&self.record().address)) {
                    *crossed = Some(Step::Attach(10));
                    return Ok(Some(self.moved(Path::Moved)));
                }
                self.after_unlisted(span.now)
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

    fn after_owner(&mut self, input: &AttachInput, owner: &Owner, now: Moment) -> Turn<Moved> {
        let here = self.is_here(owner);
        if let (true, Some(refused)) = (here, self.refused) {
            return self.already_here(refused, now);
        }
        let decided = decide::verdict(
            &self.held.before,
            &self.held.eni.id,
            &input.cluster,
            owner,
            self.plain_first,
        );
        match decided {
            Verdict::Here => Ok(Some(self.moved(Path::SameNode))),
            Verdict::Refuse(holder) => {
                let text = foreign(self.record(), &holder);
                Err(self.undo(Exit::AddressUnavailable, text, Whereabouts::Elsewhere))
            }
            Verdict::Assign { force: false } if self.refused.is_some() => {
                // Its holder may have let go since: without force it is taken only if it is free.
                self.at = At::Fresh { force: false };
                let address = self.record().address;
                let text = format!("EC2 refuses {address} as held, and shows nobody who holds it");
                Err(Halt::Retry(timing::BACKOFF_BASE, Exit::AddressUnavailable, text))
            }
            Verdict::Assign { force } => {
                self.approach(force, now);
                Ok(None)
            }
        }
    }

    /// An Assign without force was refused, and Describe shows this ENI. Reads lag, so only a
    /// second look, one lag later, says that the address was here all along.
    fn already_here(&mut self, refused: Moment, now: Moment) -> Turn<Moved> {
        let since = now.since(refused);
        if since >= timing::DESCRIBE_LAG {
            return Ok(Some(self.moved(Path::Moved)));
        }
        let left = timing::DESCRIBE_LAG.saturating_sub(since);
        Err(Halt::Pause(left, "Describe to be sure that the address is here already".to_owned()))
    }

    /// Goes to the Assign, through a fresh read if one was sent already or too little is left
    /// of T.
    fn approach(&mut self, force: bool, now: Moment) {
        let left = timing::CALL_BOUND.saturating_sub(now.since(self.held.authorised));
        self.at = if left >= timing::CALL_MINIMUM && !self.sent {
            At::Note { force, not_after: self.not_after() }
        } else {
            Self::afresh(force, now)
        };
    }

    /// To the next Assign, through a fresh read.
    fn afresh(force: bool, now: Moment) -> At {
        if planted(Bug::NoFreshRead) {
            return At::Note { force, not_after: now.plus(timing::CALL_BOUND) };
        }
        At::Fresh { force }
    }

    fn after_fresh(
        &mut self,
        input: &AttachInput,
        stored: Option<Stored<StaticIp>>,
        force: bool,
        span: Span,
    ) -> Turn<Moved> {
        self.held.stored = still_ours(&self.held, input, stored)?;
        self.held.authorised = span.asked;
        if force && span.now.since(self.looked) >= timing::CALL_BOUND {
            // Whoever was shown then may have lost it since: force needs a new look.
            self.at = At::Owner;
            return Ok(None);
        }
        let left = timing::CALL_BOUND.saturating_sub(span.now.since(span.asked));
        if left < timing::CALL_MINIMUM {
            let text = "a registry read that was fast enough to authorise an Assign".to_owned();
            return Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text));
        }
        self.at = At::Note { force, not_after: self.not_after() };
        Ok(None)
    }

    fn not_after(&self) -> Moment {
        self.held.authorised.plus(timing::CALL_BOUND)
    }

    fn after_refusal(&mut self, failure: &CloudFailure, force: bool, span: Span) -> Turn<Moved> {
        let text = failure.detail.clone();
        self.sent = true;
        if failure.effect == Effect::Unknown && !planted(Bug::LostIsFailure) {
            self.refused = None; // Of no worth now: this call may land at any moment.
            self.unanswered = self.unanswered.max(Some(self.not_after()));
            self.at = if self.held.listed { At::Owner } else { At::Unanswered(span.now) };
            return Err(Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, text));
        }
        let again = Self::afresh(force, span.now);
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
            CloudKind::Gone => {
                self.at = again;
                Err(Halt::Retry(timing::THROTTLE_BASE, Exit::NodeUnsuitable, text))
            }
            CloudKind::Auth | CloudKind::Unknown | CloudKind::NotOurs => {
                Err(self.undo(Exit::CloudRefused, text, Whereabouts::AsBefore))
            }
        }
    }

    /// Only if no call of ours can still land is the record put back.
    fn undo(&self, exit: Exit, text: String, found: Whereabouts) -> Halt {
        if self.untouched() { Halt::Undo(exit, text, found) } else { Halt::Fail(exit, text) }
    }

    fn moved(&self, path: Path) -> Moved {
        Moved { held: self.held.clone(), path, unanswered: self.unanswered }
    }
}
