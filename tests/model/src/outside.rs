//! What EC2, IMDS and the kernels do.

use firecamp_core::bug::{Bug, planted};

use crate::cast::{Cast, FOREIGN, NOBODY, NODES, Who, small};
use crate::config::Config;
use crate::model::Small;
use crate::seen::Seen;
use crate::state::{Address, Call, Kernel, Lock, Stolen, What, World, Wrong};

/// Changes that IMDS can be behind.
const BEHIND: u8 = 3;
/// Ticks until packets follow the owner, at the latest: the protocol's settle time.
const SWITCH: u8 = 2;
/// A look-up that was begun shows what Describe showed so many ticks before it is fetched.
pub(crate) const BEGUN: u8 = 2;

impl Address {
    /// EC2's table changes. Describe may show what was, packets follow later.
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

    /// Packets go to the owner from now on; IMDS of both nodes will say so.
    pub(crate) fn switch(&mut self, fifo: bool) {
        let (from, to) = (self.path, self.owner);
        (self.path, self.due) = (to, 0);
        if self.stolen == Stolen::Mending {
            self.stolen = Stolen::No;
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

    /// IMDS of a node shows the next of the changes that it is behind.
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

impl Small {
    /// After so many ticks every look-up that an Assign may rest on shows the present owner: it
    /// was asked for at most T before the take, or T before the Assign.
    pub(crate) fn shown_by(&self) -> u8 {
        self.config.lag + 2 * BEGUN
    }

    /// A call takes effect.
    pub(crate) fn land(&self, world: &mut World, call: Call) -> Seen {
        let config = &self.config;
        let address = &mut world.addresses[usize::from(call.member)];
        match call.what {
            _ if address.owner == call.eni && call.what != What::Unassign => Seen::Done,
            What::Assign if address.owner != NOBODY => Seen::HeldElsewhere,
            What::Assign | What::Force => {
                let foreign = address.owner == FOREIGN && address.foreign >= self.shown_by();
                address.give(call.eni, config);
                if address.stolen != Stolen::No {
                    let mended = address.due == 0;
                    address.stolen = if mended { Stolen::No } else { Stolen::Mending };
                }
                if foreign {
                    world.blame(Wrong::Foreign);
                }
                Seen::Done
            }
            What::Unassign if address.owner != call.eni => Seen::NotOurs,
            What::Unassign => {
                address.give(NOBODY, config);
                if !self.config.unassign {
                    world.blame(Wrong::Lost);
                }
                Seen::Done
            }
        }
    }

    /// One locked step: the lock's record is compared and written, then the kernel is changed.
    pub(crate) fn kernel_write(&self, world: &mut World, at: KernelWrite) -> Seen {
        let cast = &self.machines.cast;
        let kernel = world.addresses[at.member].kernel_at(at.node);
        let holder = cast.holder(at.who);
        let permitted = kernel.lock.is_none_or(|lock| {
            let record = cast.lock_record(lock);
            if at.adds { record.permits_adding(&holder) } else { record.permits_removing(&holder) }
        });
        if !permitted && !at.compared {
            return Seen::Superseded;
        }
        kernel.lock = Some(Lock { who: at.who, held: at.adds });
        if at.address {
            kernel.present = at.adds;
        }
        if planted(Bug::PrefixMatch) && !at.adds {
            let text = Cast::address(at.member).to_string();
            for other in 0..cast.members() {
                if Cast::address(other).to_string().starts_with(&text) {
                    world.addresses[other].kernel_at(at.node).present = false;
                }
            }
        }
        Seen::Kernel
    }
}

/// A change of a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelWrite {
    pub(crate) member: usize,
    pub(crate) node: u8,
    pub(crate) who: Who,
    /// Adds, or removes.
    pub(crate) adds: bool,
    /// The address itself, or its routing, of which an address on a primary ENI has none.
    pub(crate) address: bool,
    /// The lock's record was compared before the lock was taken.
    pub(crate) compared: bool,
}
