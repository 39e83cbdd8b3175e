//! Reads the kernel: what an event concerns, and periodically everything.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::ports::KernelTarget;
use firecamp_host::Change;
use tokio::time::Instant;

use super::Agent;
use crate::ports::{Environment, Kernel};
use crate::status::System;

/// The part of the kernel that must be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stale {
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

impl<W: Environment> Agent<'_, W> {
    pub(super) fn handle_kernel_events(&mut self, changes: Vec<Change>) {
        self.reported.get_or_insert_with(Instant::now);
        self.kernel_changed = true;
        for change in changes {
            match change {
                Change::Address(address) => match &mut self.stale {
                    Stale::All => {}
                    Stale::Some(known) => {
                        known.insert(address);
                    }
                    Stale::Nothing => self.stale = Stale::Some([address].into()),
                },
                Change::Overrun => {
                    self.status.overruns.inc();
                    self.stale = Stale::All;
                }
                Change::Link | Change::Routing => self.stale = Stale::All,
            }
        }
    }

    /// Reads the stale part of the kernel. Local reads take milliseconds and have timeouts.
    pub(super) async fn refresh_kernel(&mut self) {
        let stale = std::mem::replace(&mut self.stale, Stale::Nothing);
        if stale == Stale::Nothing {
            return;
        }
        self.status.read_started(System::Kernel);
        let kernel_snapshot = self.ports.host().kernel_snapshot().await;
        self.status.read(System::Kernel, &kernel_snapshot);
        let Ok(kernel_snapshot) = kernel_snapshot else {
            self.stale = Stale::All;
            return;
        };
        self.state.set_kernel_snapshot(kernel_snapshot);
        if stale == Stale::All {
            self.read_links().await;
        }
        let mut targets = self.state.targets();
        targets.retain(|target| stale.has(target));
        let views = self.ports.host().views(&targets).await;
        for (target, view) in targets.into_iter().zip(views) {
            self.status.read(System::Kernel, &view);
            match view {
                Ok(view) => self.state.viewed(target, view),
                Err(_logged) => self.state.not_viewed(target.address),
            }
        }
    }
}
