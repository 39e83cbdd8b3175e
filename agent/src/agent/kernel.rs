//! Looks at the kernel: at what it tells of, and every so often at everything.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::outside::KernelTarget;
use firecamp_host::Change;
use tokio::time::Instant;

use super::Agent;
use crate::outside::{Kernel, World};
use crate::status::System;

/// What of the kernel has to be looked at.
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

impl<W: World> Agent<'_, W> {
    pub(super) fn heard(&mut self, changes: Vec<Change>) {
        self.told.get_or_insert_with(Instant::now);
        self.heard = true;
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

    /// Local reads of the kernel: milliseconds, and bounded by themselves.
    pub(super) async fn look(&mut self) {
        let stale = std::mem::replace(&mut self.stale, Stale::Nothing);
        if stale == Stale::Nothing {
            return;
        }
        self.status.asks(System::Kernel);
        let survey = self.outside.host().survey().await;
        self.status.read(System::Kernel, &survey);
        let Ok(survey) = survey else {
            self.stale = Stale::All;
            return;
        };
        self.state.surveyed(survey);
        if stale == Stale::All {
            self.look_at_links().await;
        }
        let mut targets = self.state.targets();
        targets.retain(|target| stale.has(target));
        let views = self.outside.host().views(&targets).await;
        for (target, view) in targets.into_iter().zip(views) {
            self.status.read(System::Kernel, &view);
            match view {
                Ok(view) => self.state.viewed(target, view),
                Err(_told) => self.state.not_viewed(target.address),
            }
        }
    }
}
