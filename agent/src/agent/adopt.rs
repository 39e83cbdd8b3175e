//! What EC2 has and nobody claims, of pools that say so: looked for with each look at EC2.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_controllers::publish::Notice;
use firecamp_core::agent::{Ec2Look, Stray, strays};
use firecamp_core::interface::Interface;
use firecamp_core::time::Moment;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Agent;
use crate::adopt::{Own, Tried, attempt};
use crate::outside::{World, claimed};
use crate::preflight::usable;
use crate::work::News;

/// The most that one attempt may take: its reads have shorter bounds of their own.
const ATTEMPT_BOUND: std::time::Duration = std::time::Duration::from_mins(1);

impl<W: World> Agent<'_, W> {
    /// A look at EC2 has ended: none if it has failed.
    pub(super) fn look_for_strays(
        &mut self,
        listing: Option<&[Interface]>,
        work: &mut JoinSet<News>,
    ) {
        let begun = self.budget.asked(Ec2Look::Interfaces);
        let (Some(listing), Some(begun), Some(pools)) = (listing, begun, self.state.pass().pools)
        else {
            self.adopter.lost_sight();
            return;
        };
        let usable = usable(self.preflight.verdicts());
        let found = strays(listing, &usable, &pools, &self.cluster);
        if found.is_empty() {
            self.adopter.lost_sight();
            return;
        }
        let systems = self.outside.systems();
        work.spawn_local(async move {
            let addresses = found.iter().map(|stray| stray.address).collect();
            let recorded = claimed(&systems.registry, addresses).await;
            News::Strays(found, recorded, begun)
        });
    }

    /// What of them is due is looked at afresh, and adopted if nothing speaks against it.
    pub(super) fn strays(
        &mut self,
        found: &BTreeSet<Stray>,
        recorded: &BTreeMap<Ipv4Addr, bool>,
        begun: Moment,
        work: &mut JoinSet<News>,
    ) {
        let due = self.adopter.look(found, recorded, (begun, self.now()));
        let Some(identity) = self.state.identity() else { return };
        let instance = identity.instance.clone();
        for stray in due {
            let (node, cluster) = (self.state.node().clone(), self.cluster.clone());
            let own = Own { node, cluster, instance: instance.clone() };
            let systems = self.outside.systems();
            work.spawn_local(async move {
                let tried = timeout(ATTEMPT_BOUND, attempt(&stray, &own, &systems)).await;
                let late = |_elapsed| Tried::Failed(format!("not within {ATTEMPT_BOUND:?}"));
                News::Tried(stray, tried.unwrap_or_else(late))
            });
        }
    }

    /// Told each time that it was due, which is seldom.
    pub(super) fn tried(&mut self, Stray { address, eni, .. }: &Stray, tried: &Tried) {
        match tried {
            Tried::Adopted => {
                tracing::info!(%address, %eni,
                    "EC2 has this address and nobody claims it: it has a StaticIP now, as its \
                     pool says, and the pool's reclaim policy decides about it");
                self.status.adopted.inc();
                self.bulletin.notice(Notice::Adopted(*address));
            }
            Tried::Refused(why) => tracing::warn!(%address, %eni, reason = %why,
                "EC2 has this address and it has no StaticIP; it is not adopted"),
            Tried::Moot => tracing::info!(%address, %eni, "Somebody else has recorded the address"),
            Tried::Failed(why) => tracing::warn!(%address, %eni, error = %why,
                "Whether the address is to be adopted is not known; it is looked for anew"),
        }
    }
}
