//! What a failing attach undoes: the record, if EC2 definitely refused, or its own kernel objects,
//! if it was superseded after it had added them. Best effort: the outcome is already decided.

use std::net::Ipv4Addr;

use super::held::Acquired;
use super::input::AttachInput;
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::decide::{self, Whereabouts};
use crate::machine::Failure;
use crate::ports::Holder;
use crate::record::{Stored, Write};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    Record(Box<Write>),
    Address(Ipv4Addr, Holder),
    Routing(Ipv4Addr, Holder),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Undo {
    at: At,
    failure: Failure,
}

impl Undo {
    /// Restores the record from before this epoch; a superseded process leaves it alone.
    pub(super) fn record(
        held: &Acquired,
        input: &AttachInput,
        failure: Failure,
        found: Whereabouts,
    ) -> Option<Self> {
        if failure.exit == Exit::Superseded {
            return None;
        }
        let object = decide::abandoned(&held.stored.object, &held.before, &input.run, found);
        let version = held.stored.version.clone();
        let write = Box::new(Write::UpdateStaticIp(Stored { version, object }));
        Some(Self { at: At::Record(write), failure })
    }

    pub(super) fn kernel(address: Ipv4Addr, holder: Holder, failure: Failure) -> Self {
        Self { at: At::Address(address, holder), failure }
    }

    pub(super) fn action(&self) -> Action {
        match &self.at {
            At::Record(write) => Action::Write(write.clone()),
            At::Address(address, holder) => Action::RemoveAddress(*address, holder.clone()),
            At::Routing(address, holder) => Action::RemoveRouting(*address, holder.clone()),
        }
    }

    /// Ends on any reply, because none can improve the outcome.
    pub(super) fn reply(&mut self, _reply: Reply) -> Option<Failure> {
        if let At::Address(address, holder) = &self.at {
            self.at = At::Routing(*address, holder.clone());
            return None;
        }
        Some(self.failure.clone())
    }
}
