//! When an agent reads and writes the Lease, as a candidate and as the leader.
//!
//! Guarantees: one request runs at a time. An answer that comes after the term, or after the
//! controller has given the request up, changes nothing.

use std::time::Duration;

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::time::Moment;

use super::ec2_list::ListAnswer;
use super::{Candidate, Effect, LeaseWrite, ObservedLease, Report, timing};

/// Interval between attempts to renew the Lease after a failed one.
const RETRY: Duration = Duration::from_secs(5);

/// A request about the Lease, which its answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u32);

/// Why the Lease is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    AcquireOrRenew,
    Release,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    id: RequestId,
    purpose: Purpose,
    sent: Moment,
    /// When the term ends without a renewal; none for a candidate.
    expires: Option<Moment>,
}

/// The requests of an agent about the Lease.
#[derive(Debug)]
pub(super) struct Election {
    candidate: Candidate,
    request: Option<Request>,
    requests: u32,
    /// Time until a candidate reads the Lease again.
    pause: Duration,
    next_attempt: Moment,
}

impl Election {
    /// The first attempt is due at once.
    pub(super) fn new(candidate: Candidate) -> Self {
        Self {
            candidate,
            request: None,
            requests: 0,
            pause: timing::LEASE_CHECK_EVERY,
            next_attempt: Moment::default(),
        }
    }

    /// Whether this agent holds the Lease now.
    pub(super) fn holds(&self, now: Moment) -> bool {
        self.candidate.holds(now)
    }

    /// Whether a request runs.
    pub(super) fn is_waiting(&self) -> bool {
        self.request.is_some()
    }

    /// When the running request is given up.
    pub(super) fn expires(&self) -> Option<Moment> {
        self.request?.expires
    }

    /// When the next attempt is due.
    pub(super) fn next_attempt(&self) -> Option<Moment> {
        self.request.is_none().then_some(self.next_attempt)
    }

    /// Gives up a renewal that has taken until the end of the term.
    pub(super) fn expire(&mut self, now: Moment) {
        self.request.take_if(|request| request.expires.is_some_and(|expires| now >= expires));
    }

    /// Gives up the running request.
    pub(super) fn abandon(&mut self) {
        self.request = None;
    }

    /// The next renewal publishes an answer of EC2.
    pub(super) fn listed(&mut self, answer: ListAnswer) {
        self.candidate.listed(answer);
    }

    /// Starts an attempt to acquire or renew the Lease, if one is due.
    pub(super) fn attempt(&mut self, random: f64, now: Moment) -> Option<Effect> {
        if self.is_waiting() || now < self.next_attempt {
            return None;
        }
        self.pause = timing::LEASE_CHECK_EVERY.mul_f64(1.0 + random / 2.0);
        Some(self.read_lease(Purpose::AcquireOrRenew, now))
    }

    /// Starts to release the Lease, so that the next leader need not wait. This agent does not
    /// compete for it for a while.
    pub(super) fn release(&mut self, now: Moment) -> Effect {
        self.pause = timing::EC2_UNREACHABLE_PAUSE;
        self.read_lease(Purpose::Release, now)
    }

    /// The term is over.
    pub(super) fn term_ended(&mut self, now: Moment) {
        self.next_attempt = now.plus(self.pause);
    }

    /// The Lease was read.
    pub(super) fn read(
        &mut self,
        id: RequestId,
        read: Result<Option<ObservedLease>, RegistryFailure>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(request) = self.request.take_if(|request| request.id == id) else { return };
        let write = match request.purpose {
            Purpose::AcquireOrRenew => {
                let ec2 = |lease: &Option<ObservedLease>| Some(lease.as_ref()?.ec2.clone());
                let reported = read.as_ref().map(ec2).map_err(RegistryFailure::clone);
                effects.push(Effect::Report(Report::LeaseRead(reported)));
                read.ok().and_then(|lease| self.candidate.decide(lease.as_ref(), now))
            }
            Purpose::Release => read.ok().flatten().and_then(|lease| self.candidate.resign(&lease)),
        };
        match write {
            Some(write) => effects.push(self.write_lease(request, write, now)),
            None => self.attempt_ended(request.purpose, false, now),
        }
    }

    /// The Lease was written. Returns whether this agent has acquired or renewed it.
    pub(super) fn written(
        &mut self,
        id: RequestId,
        written: Result<(), RegistryFailure>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(request) = self.request.take_if(|request| request.id == id) else { return false };
        let is_renewed = request.purpose == Purpose::AcquireOrRenew && written.is_ok();
        match (request.purpose, written) {
            (Purpose::AcquireOrRenew, Ok(())) => self.candidate.renewed(request.sent),
            (Purpose::AcquireOrRenew, Err(why)) => {
                if is_conflict(&why) {
                    self.candidate.refused();
                }
                effects.push(Effect::Report(Report::LeaseNotWritten(why)));
            }
            (Purpose::Release, Ok(())) => {}
            (Purpose::Release, Err(why)) => {
                effects.push(Effect::Report(Report::LeaseNotReleased(why)));
            }
        }
        self.attempt_ended(request.purpose, is_renewed, now);
        is_renewed && self.holds(now)
    }

    /// Sets the next attempt. The leader makes it before the Lease expires.
    fn attempt_ended(&mut self, purpose: Purpose, is_renewed: bool, now: Moment) {
        let renewal = if is_renewed { timing::RENEW_EVERY } else { RETRY };
        let pause = match (purpose, self.candidate.left(now)) {
            (Purpose::AcquireOrRenew, Some(left)) => renewal.min(left),
            (Purpose::AcquireOrRenew, None) | (Purpose::Release, _) => self.pause,
        };
        self.next_attempt = now.plus(pause);
    }

    fn read_lease(&mut self, purpose: Purpose, now: Moment) -> Effect {
        let expires = match purpose {
            Purpose::AcquireOrRenew => self.candidate.left(now).map(|left| now.plus(left)),
            Purpose::Release => None,
        };
        Effect::ReadLease(self.sent(purpose, expires, now))
    }

    fn write_lease(&mut self, read: Request, write: LeaseWrite, now: Moment) -> Effect {
        Effect::WriteLease(self.sent(read.purpose, read.expires, now), write)
    }

    fn sent(&mut self, purpose: Purpose, expires: Option<Moment>, sent: Moment) -> RequestId {
        self.requests = self.requests.wrapping_add(1);
        let id = RequestId(self.requests);
        self.request = Some(Request { id, purpose, sent, expires });
        id
    }
}

/// A conflict means that another agent wrote the Lease and the term is over. Any other failure does
/// not: the term lasts until the last renewal expires.
fn is_conflict(why: &RegistryFailure) -> bool {
    match why.kind {
        RegistryKind::Conflict | RegistryKind::AlreadyExists | RegistryKind::NotFound => true,
        RegistryKind::Unavailable | RegistryKind::Invalid | RegistryKind::Refused => false,
    }
}
