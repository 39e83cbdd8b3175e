//! Maintenance of this node's kernel: restores what another program removed, and collects what no
//! record claims any more.
//!
//! Guarantees: no EC2 call and no registry write; every change compares the holder with the record
//! of the node's lock, in one locked step. A restore reads no registry, so it works while the
//! registry is unavailable: the lock refuses an epoch that was released or superseded here. A
//! collection requires a fresh read that found no record.

use std::net::Ipv4Addr;

use super::PATIENCE;
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::failure::{HostFailure, HostKind};
use crate::machine::{Failure, Machine, Maintenance, Outcome};
use crate::ports::{Holder, KernelTarget, KernelView};
use crate::retry_or_fail::{Halt, Next, Waiting, mismatch, registry_halt};
use crate::step::{CollectStep, RestoreStep, Step};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Work {
    Restore(KernelTarget),
    Collect(Ipv4Addr),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    Fresh,
    Address,
    Routing,
    Verify,
    Done(Outcome),
}

/// The machine of [`Operation::Restore`](super::Operation::Restore) and
/// [`Operation::Collect`](super::Operation::Collect).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Upkeep {
    work: Work,
    holder: Holder,
    waiting: Waiting,
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
        let waiting = Waiting::until(now.plus(PATIENCE));
        Self { work, holder, waiting, at, changed: false, crossed: None }
    }

    fn address(&self) -> Ipv4Addr {
        match &self.work {
            Work::Restore(target) => target.address,
            Work::Collect(address) => *address,
        }
    }

    /// The boundary behind the kernel's change.
    fn boundary(&self) -> Step {
        let address = self.at == At::Address;
        match self.work {
            Work::Restore(_) if address => Step::Restore(RestoreStep::AddressAdded),
            Work::Restore(_) => Step::Restore(RestoreStep::RoutingAdded),
            Work::Collect(_) if address => Step::Collect(CollectStep::AddressRemoved),
            Work::Collect(_) => Step::Collect(CollectStep::RoutingRemoved),
        }
    }

    fn maintained(&self, what: Maintenance) -> Outcome {
        Outcome::Maintained { what, address: self.address() }
    }

    fn step(&mut self, reply: Reply) -> Next<Outcome> {
        match (&self.at, reply) {
            (At::Fresh, Reply::Record(read)) => {
                if read.map_err(|f| registry_halt(&f))?.is_some() {
                    return Ok(Some(self.maintained(Maintenance::NothingToDo)));
                }
                self.crossed = Some(Step::Collect(CollectStep::RecordAbsent));
                self.at = At::Address;
                Ok(None)
            }
            (At::Address | At::Routing, Reply::Host(done)) => self.after_kernel(done),
            (At::Verify, Reply::Observed(observed)) => match observed {
                Ok(view) => self.after_verify(&view),
                Err(failure) => self.refused(failure),
            },
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    fn after_kernel(&mut self, done: Result<bool, HostFailure>) -> Next<Outcome> {
        match done {
            Ok(changed) => self.changed |= changed,
            Err(failure) => return self.refused(failure),
        }
        self.crossed = Some(self.boundary());
        self.at = match self.work {
            Work::Restore(_) | Work::Collect(_) if self.at == At::Address => At::Routing,
            Work::Restore(_) => At::Verify,
            Work::Collect(_) => return Ok(Some(self.ended(Maintenance::Collected))),
        };
        Ok(None)
    }

    fn after_verify(&mut self, view: &KernelView) -> Next<Outcome> {
        if view.is_complete() {
            self.crossed = Some(Step::Restore(RestoreStep::KernelVerified));
            return Ok(Some(self.ended(Maintenance::Restored)));
        }
        let text = format!(
            "the kernel is missing what was just restored for {} (link up: {}, address: {}, \
             routing: {}): another program on this node removes it",
            self.address(),
            view.link_up,
            view.address,
            view.routing
        );
        self.at = At::Address;
        Err(Halt::Retry(timing::BACKOFF_BASE, Exit::KernelRefused, text))
    }

    fn ended(&self, what: Maintenance) -> Outcome {
        self.maintained(if self.changed { what } else { Maintenance::NothingToDo })
    }

    /// A later epoch, or a release of this one, came first: nothing to maintain.
    fn refused(&mut self, failure: HostFailure) -> Next<Outcome> {
        match failure.kind {
            HostKind::Superseded => Ok(Some(self.maintained(Maintenance::NothingToDo))),
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
        if let Some(wait) = self.waiting.action() {
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
        if self.waiting.waited(&reply) {
            return;
        }
        match self.step(reply) {
            Ok(None) => self.waiting.progress(self.crossed),
            Ok(Some(outcome)) => self.at = At::Done(outcome),
            Err(halt) => {
                if let Err((exit, message)) = self.waiting.halt(halt, now) {
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
}
