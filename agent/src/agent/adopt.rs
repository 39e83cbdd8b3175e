//! Adopts orphaned addresses of pools with `orphanPolicy: Adopt`, after each query of EC2.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_controllers::publish::Notice;
use firecamp_core::agent::{Ec2Query, Orphan, orphans};
use firecamp_core::interface::Interface;
use firecamp_core::time::Moment;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Agent;
use crate::adopt::{AdoptionResult, AgentIdentity, attempt};
use crate::ports::{Environment, claimed};
use crate::preflight::usable;
use crate::work_result::WorkResult;

/// Bound of one attempt; its reads have shorter timeouts.
const ATTEMPT_BOUND: std::time::Duration = std::time::Duration::from_mins(1);

impl<W: Environment> Agent<'_, W> {
    /// Checks the result of a query of EC2; `listing` is none if the query failed.
    pub(super) fn check_orphans(
        &mut self,
        listing: Option<&[Interface]>,
        work: &mut JoinSet<WorkResult>,
    ) {
        let begun = self.budget.last_started(Ec2Query::Interfaces);
        let (Some(listing), Some(begun), Some(pools)) = (listing, begun, self.state.pass().pools)
        else {
            self.adopter.reset();
            return;
        };
        let usable = usable(self.preflight.verdicts());
        let found = orphans(listing, &usable, &pools, &self.cluster);
        if found.is_empty() {
            self.adopter.reset();
            return;
        }
        let systems = self.ports.systems();
        work.spawn_local(async move {
            let addresses = found.iter().map(|orphan| orphan.address).collect();
            let recorded = claimed(&systems.registry, addresses).await;
            WorkResult::Orphans(found, recorded, begun)
        });
    }

    /// Attempts to adopt the orphans whose grace period is over, after fresh reads.
    pub(super) fn orphans(
        &mut self,
        found: &BTreeSet<Orphan>,
        recorded: &BTreeMap<Ipv4Addr, bool>,
        begun: Moment,
        work: &mut JoinSet<WorkResult>,
    ) {
        let due = self.adopter.observe(found, recorded, (begun, self.now()));
        let Some(identity) = self.state.identity() else { return };
        let instance = identity.instance.clone();
        for orphan in due {
            let (node, cluster) = (self.state.node().clone(), self.cluster.clone());
            let own = AgentIdentity { node, cluster, instance: instance.clone() };
            let systems = self.ports.systems();
            work.spawn_local(async move {
                let tried = timeout(ATTEMPT_BOUND, attempt(&orphan, &own, &systems)).await;
                let late = |_elapsed| {
                    AdoptionResult::Failed(format!("no result within {ATTEMPT_BOUND:?}"))
                };
                WorkResult::AdoptionTried(orphan, tried.unwrap_or_else(late))
            });
        }
    }

    /// Logs the result of each attempt; attempts are rare.
    pub(super) fn tried(&mut self, Orphan { address, eni, .. }: &Orphan, tried: &AdoptionResult) {
        match tried {
            AdoptionResult::Adopted => {
                tracing::info!(%address, %eni,
                    "orphaned address adopted: StaticIP created as the pool requires");
                self.status.adopted.inc();
                self.shared_status.notice(Notice::Adopted(*address));
            }
            AdoptionResult::Refused(why) => tracing::warn!(%address, %eni, reason = %why,
                "orphaned address not adopted"),
            AdoptionResult::Moot => {
                tracing::info!(%address, %eni, "orphaned address already has a StaticIP");
            }
            AdoptionResult::Failed(why) => tracing::warn!(%address, %eni, error = %why,
                "adoption of orphaned address failed; will retry"),
        }
    }
}
