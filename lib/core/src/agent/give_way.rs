//! The old holder gives way: a fresh read that confirms it, then exactly this address out of this
//! node's kernel, under the lock. No EC2 call, no write to the registry.

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
use crate::outside::Holder;
use crate::record::{State, StaticIp, Stored};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    Fresh,
    Address,
    Routing,
    Done(Outcome),
}

/// The machine of [`Duty::GiveWay`](super::Duty::GiveWay).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GiveWay {
    address: Ipv4Addr,
    holder: Holder,
    patience: Patience,
    at: At,
    crossed: Option<Step>,
}

impl GiveWay {
    pub(super) fn new(address: Ipv4Addr, holder: Holder, now: Moment) -> Self {
        let patience = Patience::until(now.plus(PATIENCE));
        let at = if planted(Bug::DropBySnapshot) { At::Address } else { At::Fresh };
        Self { address, holder, patience, at, crossed: None }
    }

    fn mended(&self, what: Mended) -> Outcome {
        Outcome::Mended { what, address: self.address }
    }

    fn step(&mut self, reply: Reply) -> Turn<Outcome> {
        match (&self.at, reply) {
            (At::Fresh, Reply::Record(read)) => {
                if planted(Bug::DeleteOnFailedRead) && read.is_err() {
                    self.at = At::Address;
                    return Ok(None);
                }
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                if !self.is_superseded(stored.as_ref()) {
                    return Ok(Some(self.mended(Mended::NothingToDo)));
                }
                self.crossed = Some(Step::GiveWay(1));
                self.at = At::Address;
                Ok(None)
            }
            (At::Address, Reply::Host(done)) => self.after_kernel(done, Step::GiveWay(2)),
            (At::Routing, Reply::Host(done)) => self.after_kernel(done, Step::GiveWay(3)),
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    /// The record, read afresh, names a later epoch, or the same one as no longer attached, or as
    /// another pod's: a registry that was restored from a backup has given it out once more. That
    /// there is no record proves nothing.
    fn is_superseded(&self, stored: Option<&Stored<StaticIp>>) -> bool {
        let Some(record) = stored.map(|s| &s.object) else { return false };
        let attached = record.attachment.as_ref().is_some_and(|a| match a.state {
            State::Attaching | State::Attached => a.pod == self.holder.pod,
            State::Parked | State::Releasing | State::Released => false,
        });
        let same = record.epoch == self.holder.epoch && !attached;
        record.epoch > self.holder.epoch || same
    }

    fn after_kernel(&mut self, done: Result<bool, HostFailure>, step: Step) -> Turn<Outcome> {
        if let Err(failure) = done {
            return match failure.kind {
                HostKind::Superseded => Ok(Some(self.mended(Mended::NothingToDo))),
                HostKind::Busy | HostKind::NoLink => {
                    Err(Halt::Retry(timing::BACKOFF_BASE, Exit::KernelRefused, failure.detail))
                }
                HostKind::Refused => Err(Halt::Fail(Exit::KernelRefused, failure.detail)),
            };
        }
        self.crossed = Some(step);
        if self.at == At::Address {
            self.at = At::Routing;
            return Ok(None);
        }
        Ok(Some(self.mended(Mended::GaveWay)))
    }

    fn end(&mut self, exit: Exit, message: String) {
        let failure = Failure { exit, message, address: Some(self.address) };
        self.at = At::Done(Outcome::Failed(failure));
    }
}

impl Machine for GiveWay {
    fn action(&self) -> Action {
        if let Some(wait) = self.patience.action() {
            return wait;
        }
        match &self.at {
            At::Fresh => Action::ReadRecord(self.address),
            At::Address => Action::RemoveAddress(self.address, self.holder.clone()),
            At::Routing => Action::RemoveRouting(self.address, self.holder.clone()),
            At::Done(_) => Action::Done,
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
