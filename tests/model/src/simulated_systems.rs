//! EC2, IMDS and the kernels.

use crate::config::Config;
use crate::fixture::{FOREIGN, HolderId, NO_ENI, NODES, small};
use crate::model::ProtocolModel;
use crate::reply::Answer;
use crate::state::{Address, Call, CallKind, Kernel, Lock, ModelState, Reassigned, Violation};

/// How many changes IMDS can lag.
const BEHIND: u8 = 3;
/// Ticks until packets follow the owner, at the latest: the protocol's settle time.
const SWITCH: u8 = 2;
/// A look-up that was started shows what Describe showed this many ticks before it is fetched.
pub(crate) const BEGUN: u8 = 2;

impl Address {
    /// EC2 assigns the address. Describe may show earlier owners, and packets follow later.
    pub(crate) fn give(&mut self, to: u8, config: &Config) {
        if self.owner == to {
            return;
        }
        let lag = config.lag;
        if lag > 0 {
            self.stale[usize::from(self.owner)] = lag + BEGUN;
        }
        self.stale[usize::from(to)] = 0;
        self.foreign = 0;
        self.owner = to;
        self.due = if self.path == to { 0 } else { SWITCH };
        if config.instant {
            self.switch(false);
            for node in 0..self.imds.len() {
                self.advance(small(node), 1);
            }
        }
    }

    /// Packets go to the owner from now on; IMDS of both nodes will show it.
    pub(crate) fn switch(&mut self, fifo: bool) {
        let (from, to) = (self.path, self.owner);
        (self.path, self.due) = (to, 0);
        if self.reassigned == Reassigned::Restoring {
            self.reassigned = Reassigned::No;
        }
        if from == to {
            return;
        }
        for node in [from, to].into_iter().filter(|n| usize::from(*n) < NODES) {
            let imds = &mut self.imds[usize::from(node)];
            imds.pending += 1;
            if !fifo {
                imds.pending %= 2;
            } else if imds.pending > BEHIND {
                imds.pending -= 2;
            }
        }
    }

    /// IMDS of a node shows the next of the changes that it lags.
    pub(crate) fn advance(&mut self, node: u8, changes: u8) -> bool {
        let imds = &mut self.imds[usize::from(node)];
        let changes = changes.min(imds.pending);
        imds.shown ^= changes % 2 == 1;
        imds.pending -= changes;
        imds.shown
    }

    pub(crate) fn kernel_at(&mut self, node: u8) -> &mut Kernel {
        &mut self.kernel[usize::from(node)]
    }
}

impl ProtocolModel {
    /// After this many ticks every look-up that an Assign may rest on shows the current owner: it
    /// was sent at most T before the epoch was acquired, or T before the Assign.
    pub(crate) fn shown_by(&self) -> u8 {
        self.config.lag + 2 * BEGUN
    }

    /// A call takes effect.
    pub(crate) fn land(&self, state: &mut ModelState, call: Call) -> Answer {
        let config = &self.config;
        let address = &mut state.addresses[usize::from(call.member)];
        match call.what {
            _ if address.owner == call.eni && call.what != CallKind::Unassign => Answer::Done,
            CallKind::Assign if address.owner != NO_ENI => Answer::HeldElsewhere,
            CallKind::Assign | CallKind::Force => {
                let foreign = address.owner == FOREIGN && address.foreign >= self.shown_by();
                address.give(call.eni, config);
                if address.reassigned != Reassigned::No {
                    let restored = address.due == 0;
                    address.reassigned =
                        if restored { Reassigned::No } else { Reassigned::Restoring };
                }
                if foreign {
                    state.record_violation(Violation::Foreign);
                }
                Answer::Done
            }
            CallKind::Unassign if address.owner != call.eni => Answer::NotOnInterface,
            CallKind::Unassign => {
                address.give(NO_ENI, config);
                if !self.config.unassign && !self.config.evicts {
                    state.record_violation(Violation::Lost);
                }
                Answer::Done
            }
        }
    }

    /// One locked step: the lock's record is compared and written, then the kernel is changed.
    pub(crate) fn kernel_write(&self, state: &mut ModelState, at: KernelWrite) -> Answer {
        let fixture = &self.machines.fixture;
        let kernel = state.addresses[at.member].kernel_at(at.node);
        let holder = fixture.holder(at.holder);
        let permitted = kernel.lock.is_none_or(|lock| {
            let record = fixture.lock_record(lock);
            if at.adds { record.permits_adding(&holder) } else { record.permits_removing(&holder) }
        });
        if !permitted {
            return Answer::Superseded;
        }
        kernel.lock = Some(Lock { holder: at.holder, held: at.adds });
        if at.address {
            kernel.present = at.adds;
        }
        Answer::Kernel
    }
}

/// A write to a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelWrite {
    pub(crate) member: usize,
    pub(crate) node: u8,
    pub(crate) holder: HolderId,
    /// Adds; otherwise it removes.
    pub(crate) adds: bool,
    /// The address itself; otherwise its routing, which an address on a primary ENI does not have.
    pub(crate) address: bool,
}
