//! The upkeep of this node's kernel: what something else stripped comes back, and what no record
//! claims any more goes.
//!
//! Guarantees: no EC2 call, no write to the registry, and every change is compared with the holder
//! that the node's lock records, in one locked step. A restore asks no registry, so that it works
//! while that one is away: the lock refuses an epoch that was released or superseded here. A
//! collection follows from a fresh read that found no record, and from nothing less.

use std::net::Ipv4Addr;

use super::PATIENCE;
use crate::action::{Action, Reply, Step};
use crate::bug::{Bug, planted};
use crate::canonical::Canonical;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::failure::{HostFailure, HostKind};
use crate::machine::{
    Failure, Halt, Machine, Mended, Outcome, Patience, Turn, mismatch, registry_halt,
};
use crate::outside::{Holder, KernelTarget, KernelView};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Work {
    Restore(KernelTarget),
    Collect(Ipv4Addr),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    Fresh,
    Address,
    Routing,
    Verify,
    Done(Outcome),
}

/// The machine of [`Duty::Restore`](super::Duty::Restore) and
/// [`Duty::Collect`](super::Duty::Collect).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upkeep {
    work: Work,
    holder: Holder,
    patience: Patience,
    at: At,
    changed: bool,
    crossed: Option<Step>,
}

impl Upkeep {
    pub(super) fn restore(target: KernelTarget, holder: Holder, now: Moment) -> Self {
        Self::begin(Work::Restore(target), holder, At::Address, now)
    }

    pub(super) fn collect(address: Ipv4Addr, holder: Holder, now: Moment) -> Self {
        Self::begin(Work::Collect(address), holder, At::Fresh, now)
    }

    fn begin(work: Work, holder: Holder, at: At, now: Moment) -> Self {
        let patience = Patience::until(now.plus(PATIENCE));
        Self { work, holder, patience, at, changed: false, crossed: None }
    }

    fn address(&self) -> Ipv4Addr {
        match &self.work {
            Work::Restore(target) => target.address,
            Work::Collect(address) => *address,
        }
    }

    fn boundary(&self, number: u8) -> Step {
        match self.work {
            Work::Restore(_) => Step::Restore(number),
            Work::Collect(_) => Step::Collect(number),
        }
    }

    fn mended(&self, what: Mended) -> Outcome {
        Outcome::Mended { what, address: self.address() }
    }

    fn step(&mut self, reply: Reply) -> Turn<Outcome> {
        match (&self.at, reply) {
            (At::Fresh, Reply::Record(read)) => {
                let unread = planted(Bug::CollectOnFailedRead) && read.is_err();
                if !unread && read.map_err(|f| registry_halt(&f))?.is_some() {
                    return Ok(Some(self.mended(Mended::NothingToDo)));
                }
                self.crossed = Some(Step::Collect(1));
                self.at = At::Address;
                Ok(None)
            }
            (At::Address | At::Routing, Reply::Host(done)) => self.after_kernel(done),
            (At::Verify, Reply::Observed(seen)) => match seen {
                Ok(view) => self.after_verify(&view),
                Err(failure) => self.refused(failure),
            },
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    fn after_kernel(&mut self, done: Result<bool, HostFailure>) -> Turn<Outcome> {
        match done {
            Ok(changed) => self.changed |= changed,
            Err(failure) => return self.refused(failure),
        }
        let restores = matches!(self.work, Work::Restore(_));
        if self.at == At::Address {
            self.crossed = Some(self.boundary(if restores { 1 } else { 2 }));
            self.at = At::Routing;
            return Ok(None);
        }
        self.crossed = Some(self.boundary(if restores { 2 } else { 3 }));
        if restores {
            self.at = At::Verify;
            return Ok(None);
        }
        Ok(Some(self.ended(Mended::Collected)))
    }

    fn after_verify(&mut self, view: &KernelView) -> Turn<Outcome> {
        if view.is_complete() {
            self.crossed = Some(Step::Restore(3));
            return Ok(Some(self.ended(Mended::Restored)));
        }
        let text = format!(
            "the kernel lacks what was just restored for {} (link up: {}, address: {}, routing: \
             {}): something else on this node removes it",
            self.address(),
            view.link_up,
            view.address,
            view.routing
        );
        self.at = At::Address;
        Err(Halt::Retry(timing::BACKOFF_BASE, Exit::KernelRefused, text))
    }

    fn ended(&self, what: Mended) -> Outcome {
        self.mended(if self.changed { what } else { Mended::NothingToDo })
    }

    /// Another epoch, or the release of this one, was first: there is nothing to keep up.
    fn refused(&mut self, failure: HostFailure) -> Turn<Outcome> {
        match failure.kind {
            HostKind::Superseded => Ok(Some(self.mended(Mended::NothingToDo))),
            HostKind::Busy | HostKind::NoLink => {
                Err(Halt::Retry(timing::BACKOFF_BASE, Exit::KernelRefused, failure.detail))
            }
            HostKind::Refused => Err(Halt::Fail(Exit::KernelRefused, failure.detail)),
        }
    }

    fn end(&mut self, exit: Exit, message: String) {
        let failure = Failure { exit, message, address: Some(self.address()) };
        self.at = At::Done(Outcome::Failed(failure));
    }
}

impl Machine for Upkeep {
    fn action(&self) -> Action {
        if let Some(wait) = self.patience.action() {
            return wait;
        }
        let holder = self.holder.clone();
        match (&self.at, &self.work) {
            (At::Done(_), _) => Action::Done,
            (At::Fresh, _) => Action::ReadRecord(self.address()),
            (At::Address, Work::Restore(target)) => Action::AddAddress(target.clone(), holder),
            (At::Routing, Work::Restore(target)) => Action::AddRouting(target.clone(), holder),
            (At::Verify, Work::Restore(target)) => Action::Observe(target.clone()),
            (At::Address | At::Verify, Work::Collect(address)) => {
                Action::RemoveAddress(*address, holder)
            }
            (At::Routing, Work::Collect(address)) => Action::RemoveRouting(*address, holder),
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        self.crossed = None;
        if self.patience.waited(&reply) {
            return;
        }
        match self.step(reply) {
            Ok(None) => self.patience.progress(self.crossed),
            Ok(Some(outcome)) => self.at = At::Done(outcome),
            Err(halt) => {
                if let Err((exit, message)) = self.patience.halt(halt, now) {
                    self.end(exit, message);
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

    fn canonical(&mut self, now: Moment) {
        self.crossed = None;
        self.patience.canonical(Canonical::at(now));
        if let At::Done(outcome) = &mut self.at {
            outcome.canonical();
        }
    }
}
