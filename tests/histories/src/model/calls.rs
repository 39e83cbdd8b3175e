//! Calls in flight. Their effect does not depend on the process that sent them.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::record::Write;

use super::process::Slot;
use super::together::Together;
use crate::names::EniIx;
use crate::simulated_cluster::ec2::Lags;

/// What a call does when it lands. The flag of a write: the last read before it showed the
/// process's own pod, living.
#[derive(Debug)]
pub(super) enum Effect {
    Write(Box<Write>, bool),
    Assign { eni: EniIx, address: Ipv4Addr, force: bool, lags: Lags },
    Unassign { eni: EniIx, address: Ipv4Addr, lags: Lags },
    Together(Together),
}

/// A call in flight.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) slot: Slot,
    pub(super) generation: u32,
    pub(super) effect: Effect,
    /// The delay between the effect and the answer. None if the process has already received
    /// another reply.
    pub(super) answer: Option<Duration>,
    /// It lands after T.
    pub(super) after_deadline: bool,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Option<Call>>,
    /// The number of calls that have not landed yet.
    pub(super) open: u32,
}

impl Calls {
    pub(super) fn send(&mut self, call: Call) -> u32 {
        self.open = self.open.saturating_add(1);
        self.calls.push(Some(call));
        u32::try_from(self.calls.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    pub(super) fn take(&mut self, number: u32) -> Option<Call> {
        let at = usize::try_from(number).ok()?;
        self.open = self.open.saturating_sub(1);
        self.calls.get_mut(at)?.take()
    }
}
