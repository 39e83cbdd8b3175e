//! Checks of the node itself: files, links, EC2 permissions.

use firecamp_core::agent::Operation;
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::EniId;
use firecamp_core::machine::{Maintenance, Outcome, Release};
use firecamp_engine::Ended;
use firecamp_node::preflight::facts::{Permission, Right};
use tokio::task::JoinSet;

use super::Agent;
use crate::ports::{Environment, Kernel};
use crate::status::System;
use crate::work_result::WorkResult;

impl<W: Environment> Agent<'_, W> {
    /// Starts a read of the node's files.
    pub(super) fn read_node_files(&mut self, work: &mut JoinSet<WorkResult>) {
        if !self.reading_files {
            self.reading_files = true;
            self.ports.node_facts(work);
        }
    }

    /// Reads the links and whether they are up.
    pub(super) async fn read_links(&mut self) {
        let links = self.ports.host().links().await;
        self.status.read(System::Kernel, &links);
        if let Ok(links) = links {
            self.preflight.links(&links);
            self.links = links;
        }
    }

    /// Sets links up that the operating system left down.
    pub(super) fn raise_links(&mut self, work: &mut JoinSet<WorkResult>) {
        let now = self.now();
        let Self { preflight, raiser, links, state, .. } = self;
        let usable = |id: &EniId| {
            let mut own = preflight.verdicts().iter().filter(|one| one.eni == *id);
            own.any(|one| one.is_usable() && preflight.serves(one))
        };
        for (eni, mac) in raiser.due(links, state.enis(), usable, now) {
            tracing::info!(%eni, %mac, "setting unconfigured link up");
            self.ports.raise(eni, mac, work);
        }
    }

    /// Derives EC2 permissions from the result of an operation.
    pub(super) fn record_permission(&mut self, operation: &Operation, ended: &Ended) {
        let right = match operation {
            Operation::Reassert { .. } => Right::AssignPrivateIpAddresses,
            Operation::Release { .. } => Right::UnassignPrivateIpAddresses,
            Operation::Withdraw { .. } | Operation::Restore { .. } | Operation::Collect { .. } => {
                return;
            }
        };
        match ended {
            Ended::Outcome(Outcome::Failed(why)) if why.exit == Exit::CloudRefused => {
                self.preflight.tried(right, Permission::Denied(why.message.clone()));
            }
            Ended::Outcome(
                Outcome::Maintained { what: Maintenance::Reasserted, .. }
                | Outcome::Released { release: Release::Unassigned, .. },
            ) => self.preflight.tried(right, Permission::Allowed),
            Ended::Outcome(
                Outcome::Failed(_)
                | Outcome::Maintained { .. }
                | Outcome::Released { .. }
                | Outcome::Attached(_),
            )
            | Ended::Interrupted => {}
        }
    }
}

/// Logs the result of setting a link up.
pub(super) fn report_raised(eni: &EniId, done: &Result<bool, HostFailure>) {
    match done {
        Ok(true) => tracing::info!(%eni, "link set up"),
        Ok(false) => tracing::info!(%eni, "link left unchanged: already up or has an address"),
        Err(why) => tracing::warn!(%eni, error = %why, "failed to set link up"),
    }
}
