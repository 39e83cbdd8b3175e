//! Withdrawal: after a fresh read that confirms that its holder is superseded, removes exactly this
//! address from this node's kernel, under the lock. No EC2 call and no registry write.

use std::net::Ipv4Addr;

use super::PATIENCE;
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::failure::{HostFailure, HostKind};
use crate::machine::{Failure, Machine, Maintenance, Outcome};
use crate::ports::Holder;
use crate::record::{State, StaticIp, Stored};
use crate::retry_or_fail::{Halt, Next, Waiting, mismatch, registry_halt};
use crate::step::{Step, WithdrawStep};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    Fresh,
    Address,
    Routing,
    Done(Outcome),
}

/// The machine of [`Operation::Withdraw`](super::Operation::Withdraw).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Withdraw {
    address: Ipv4Addr,
    holder: Holder,
    waiting: Waiting,
    at: At,
    crossed: Option<Step>,
}

impl Withdraw {
    pub(super) fn new(address: Ipv4Addr, holder: Holder, now: Moment) -> Self {
        let waiting = Waiting::until(now.plus(PATIENCE));
        Self { address, holder, waiting, at: At::Fresh, crossed: None }
    }

    fn maintained(&self, what: Maintenance) -> Outcome {
        Outcome::Maintained { what, address: self.address }
    }

    fn step(&mut self, reply: Reply) -> Next<Outcome> {
        match (&self.at, reply) {
            (At::Fresh, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                if !self.is_superseded(stored.as_ref()) {
                    return Ok(Some(self.maintained(Maintenance::NothingToDo)));
                }
                self.crossed = Some(Step::Withdraw(WithdrawStep::HolderSuperseded));
                self.at = At::Address;
                Ok(None)
            }
            (At::Address, Reply::Host(done)) => {
                self.after_kernel(done, Step::Withdraw(WithdrawStep::AddressRemoved))
            }
            (At::Routing, Reply::Host(done)) => {
                self.after_kernel(done, Step::Withdraw(WithdrawStep::RoutingRemoved))
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    /// Whether the record that was just read names a later epoch, or the same epoch as not attached
    /// any more or as another pod's: a registry that was restored from a backup assigned the epoch
    /// again. A missing record proves nothing.
    fn is_superseded(&self, stored: Option<&Stored<StaticIp>>) -> bool {
        let Some(record) = stored.map(|s| &s.object) else { return false };
        let attached = record.attachment.as_ref().is_some_and(|a| match a.state {
            State::Attaching | State::Attached => a.pod == self.holder.pod,
            State::Parked | State::Releasing | State::Released => false,
        });
        let same = record.epoch == self.holder.epoch && !attached;
        record.epoch > self.holder.epoch || same
    }

    fn after_kernel(&mut self, done: Result<bool, HostFailure>, step: Step) -> Next<Outcome> {
        if let Err(failure) = done {
            return match failure.kind {
                HostKind::Superseded => Ok(Some(self.maintained(Maintenance::NothingToDo))),
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
        Ok(Some(self.maintained(Maintenance::Withdrawn)))
    }

    fn end(&mut self, exit: Exit, message: String) {
        let failure = Failure { exit, message, address: Some(self.address) };
        self.at = At::Done(Outcome::Failed(failure));
    }
}

impl Machine for Withdraw {
    fn action(&self) -> Action {
        if let Some(wait) = self.waiting.action() {
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
