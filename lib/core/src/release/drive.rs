//! The release machine's interface to its runner.

use std::net::Ipv4Addr;

use super::{At, Release};
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::decide;
use crate::machine::{Failure, Machine, Outcome, Span};
use crate::ports::Holder;
use crate::record::{Stored, Write};
use crate::step::Step;
use crate::time::Moment;

impl Machine for Release {
    fn action(&self) -> Action {
        if let Some(wait) = self.waiting.action() {
            return wait;
        }
        let with = |make: fn(Ipv4Addr, Holder) -> Action| {
            self.recorded().map_or(Action::Done, |(address, holder)| make(address, holder))
        };
        match &self.at {
            At::Fix => Action::ReadMember,
            At::Stop => Action::AwaitStop,
            At::Pod => Action::ReadPod,
            At::Fresh | At::Again | At::Parked => with(|address, _| Action::ReadRecord(address)),
            At::Drain => with(|address, _| Action::ReadSockets(address)),
            At::Address => with(Action::RemoveAddress),
            At::Routing => with(Action::RemoveRouting),
            At::Park => self.park(),
            At::Unassign(unassign) => unassign.action(&self.input),
            At::Done(_) => Action::Done,
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        self.crossed = None;
        let span = Span { requested: self.requested, now };
        self.requested = now;
        // A stop signal while the epoch is still being read ends that, and changes nothing.
        if reply == Reply::Stopping && self.at == At::Fix {
            self.at = At::Done(Outcome::Failed(self.unread()));
            return;
        }
        if self.waiting.waited(&reply) {
            return;
        }
        match self.step(reply, span) {
            Ok(None) => self.waiting.progress(self.crossed),
            Ok(Some(outcome)) => self.at = At::Done(outcome),
            Err(halt) => self.halt(halt, now),
        }
    }

    fn crossed(&self) -> Option<Step> {
        self.crossed
    }

    fn outcome(&self) -> Option<&Outcome> {
        if let At::Done(outcome) = &self.at { Some(outcome) } else { None }
    }
}

impl Release {
    /// The failure of a release whose stop signal came before the record was read.
    fn unread(&self) -> Failure {
        let (exit, why) = self.unread.clone().unwrap_or_else(|| {
            (Exit::RegistryUnavailable, "the registry has not answered yet".to_owned())
        });
        let message = format!(
            "failed to read the record of {} before the stop signal; nothing was changed: {why}",
            self.input.member
        );
        Failure { exit, message, address: None }
    }

    fn recorded(&self) -> Option<(Ipv4Addr, Holder)> {
        let holder = Holder { pod: self.input.pod.clone(), epoch: self.epoch };
        self.address().map(|address| (address, holder))
    }

    fn park(&self) -> Action {
        match &self.stored {
            Some(stored) => Action::Write(Box::new(Write::UpdateStaticIp(Stored {
                version: stored.version.clone(),
                object: decide::parked(&stored.object),
            }))),
            None => Action::Done,
        }
    }
}
