//! What of the kernel is read: what an event concerns, and periodically everything.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::ports::KernelTarget;
use firecamp_core::time::Moment;
use firecamp_node::kernel::Change;

use super::{Effect, Report};

/// The part of the kernel that must be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stale {
    Nothing,
    Some(BTreeSet<Ipv4Addr>),
    All,
}

impl Stale {
    fn has(&self, target: &KernelTarget) -> bool {
        match self {
            Self::Nothing => false,
            Self::Some(some) => some.contains(&target.address),
            Self::All => true,
        }
    }
}

/// The reads of the kernel.
#[derive(Debug)]
pub(super) struct KernelReads {
    stale: Stale,
    /// What the running read concerns.
    running: Option<Stale>,
    /// When the first kernel event arrived that no operation has handled yet.
    reported: Option<Moment>,
}

impl KernelReads {
    /// Nothing has been read yet.
    pub(super) fn new() -> Self {
        Self { stale: Stale::All, running: None, reported: None }
    }

    pub(super) fn changed(&mut self, changes: Vec<Change>, now: Moment, effects: &mut Vec<Effect>) {
        self.reported.get_or_insert(now);
        for change in changes {
            match change {
                Change::Address(address) => self.stale(address),
                Change::Overrun => {
                    effects.push(Effect::Report(Report::Overrun));
                    self.stale = Stale::All;
                }
                Change::Link | Change::Routing => self.stale = Stale::All,
            }
        }
    }

    /// This address must be read again.
    pub(super) fn stale(&mut self, address: Ipv4Addr) {
        match &mut self.stale {
            Stale::All => {}
            Stale::Some(known) => {
                known.insert(address);
            }
            Stale::Nothing => self.stale = Stale::Some([address].into()),
        }
    }

    /// Everything must be read again.
    pub(super) fn all_stale(&mut self) {
        self.stale = Stale::All;
    }

    /// Starts a read of what is stale, if anything is.
    pub(super) fn due(&mut self) -> Option<Effect> {
        let stale = std::mem::replace(&mut self.stale, Stale::Nothing);
        let links = match stale {
            Stale::Nothing => return None,
            Stale::Some(_) => false,
            Stale::All => true,
        };
        self.running = Some(stale);
        Some(Effect::ReadKernel { links })
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The targets among these that the running read concerns.
    pub(super) fn concerned(&self, mut targets: Vec<KernelTarget>) -> Vec<KernelTarget> {
        targets.retain(|target| self.running.as_ref().is_some_and(|stale| stale.has(target)));
        targets
    }

    pub(super) fn ended(&mut self) {
        self.running = None;
    }

    /// There is no snapshot: everything is still stale.
    pub(super) fn failed(&mut self) {
        self.ended();
        self.all_stale();
    }

    /// When the first kernel event arrived that no operation has handled yet.
    pub(super) fn reported(&self) -> Option<Moment> {
        self.reported
    }

    /// The plan has considered the kernel events so far.
    pub(super) fn handled(&mut self) {
        self.reported = None;
    }
}
