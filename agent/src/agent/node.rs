//! The node itself: is it fit, and are its interfaces up?

use firecamp_core::agent::Duty;
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::EniId;
use firecamp_core::machine::{Mended, Outcome, Release};
use firecamp_engine::Ended;
use firecamp_node::preflight::facts::{Permission, Right};
use tokio::task::JoinSet;

use super::Agent;
use crate::outside::{Kernel, World};
use crate::status::System;
use crate::work::News;

impl<W: World> Agent<'_, W> {
    /// Reads the node's files again, beside the loop.
    pub(super) fn look_at_files(&mut self, work: &mut JoinSet<News>) {
        if !self.reading_files {
            self.reading_files = true;
            self.outside.node_facts(work);
        }
    }

    /// Which links there are, and whether they are up.
    pub(super) async fn look_at_links(&mut self) {
        let links = self.outside.host().links().await;
        self.status.read(System::Kernel, &links);
        if let Ok(links) = links {
            self.preflight.links(&links);
            self.links = links;
        }
    }

    /// Brings up what the system left down.
    pub(super) fn raise_links(&mut self, work: &mut JoinSet<News>) {
        let now = self.now();
        let Self { preflight, raiser, links, state, .. } = self;
        let usable = |id: &EniId| {
            let mut own = preflight.verdicts().iter().filter(|one| one.eni == *id);
            own.any(|one| one.is_usable() && preflight.serves(one))
        };
        for (eni, mac) in raiser.due(links, state.enis(), usable, now) {
            tracing::info!(%eni, %mac, "The link of an ENI is down and nobody configures it");
            self.outside.raise(eni, mac, work);
        }
    }

    /// What an errand says of EC2's policy.
    pub(super) fn judged_by(&mut self, duty: &Duty, ended: &Ended) {
        let right = match duty {
            Duty::Reassert { .. } => Right::AssignPrivateIpAddresses,
            Duty::Release { .. } => Right::UnassignPrivateIpAddresses,
            Duty::GiveWay { .. } | Duty::Restore { .. } | Duty::Collect { .. } => return,
        };
        match ended {
            Ended::Outcome(Outcome::Failed(why)) if why.exit == Exit::CloudRefused => {
                self.preflight.tried(right, Permission::Denied(why.message.clone()));
            }
            Ended::Outcome(
                Outcome::Mended { what: Mended::Reasserted, .. }
                | Outcome::Released { release: Release::Unassigned, .. },
            ) => self.preflight.tried(right, Permission::Allowed),
            Ended::Outcome(
                Outcome::Failed(_)
                | Outcome::Mended { .. }
                | Outcome::Released { .. }
                | Outcome::Attached(_),
            )
            | Ended::Interrupted => {}
        }
    }
}

/// What came of bringing up a link.
pub(super) fn tell_raised(eni: &EniId, done: &Result<bool, HostFailure>) {
    match done {
        Ok(true) => tracing::info!(%eni, "The link of an ENI is up"),
        Ok(false) => tracing::info!(%eni, "The link of an ENI was up or has an address"),
        Err(why) => tracing::warn!(%eni, error = %why, "The link of an ENI cannot be brought up"),
    }
}
