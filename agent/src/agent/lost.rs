//! Addresses that EC2 shows elsewhere: looked into, and withheld where this node is cut off.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::agent::Duty;
use firecamp_core::failure::HostFailure;
use tokio::task::JoinSet;

use super::{Agent, Stale};
use crate::cut_off::{Finding, Lost};
use crate::outside::World;
use crate::work::News;

impl<W: World> Agent<'_, W> {
    /// Looks into what EC2 has just been seen to have elsewhere.
    pub(super) fn look_into_losses(&mut self, work: &mut JoinSet<News>) {
        for lost in self.state.lost() {
            if !self.withheld.contains(&lost.address) && self.looked_into.insert(lost.address) {
                self.outside.look_into(lost, work);
            }
        }
    }

    /// Asks whether the registry answers again, for what is withheld.
    pub(super) fn look_after_withheld(&mut self, work: &mut JoinSet<News>) {
        let held = self.state.holders();
        self.withheld
            .retain(|address| held.contains_key(address) && !self.state.is_in_place(*address));
        for address in self.withheld.clone() {
            let Some(lost) = held.get(&address) else { continue };
            if self.looked_into.insert(address) {
                self.outside.look_into(Lost { withheld: true, ..lost.clone() }, work);
            }
        }
    }

    pub(super) fn found_of_loss(
        &mut self,
        Lost { address, eni, .. }: Lost,
        found: Finding,
        done: Option<Result<bool, HostFailure>>,
    ) {
        self.looked_into.remove(&address);
        match (found, done) {
            (Finding::CutOff(owner), Some(Ok(_))) => {
                tracing::warn!(%address, %eni, %owner,
                    "EC2 has moved the address and the registry is away: this node stops \
                     answering for it until either says otherwise");
                self.withheld.insert(address);
                self.stale = Stale::All;
            }
            (Finding::CutOff(owner), Some(Err(why))) => {
                tracing::warn!(%address, %eni, %owner, error = %why,
                    "The address of another ENI cannot be taken out of the kernel");
            }
            (Finding::Ours, _) => {
                self.withheld.remove(&address);
            }
            (Finding::CutOff(_), None) | (Finding::Moved | Finding::Unknown, _) => {}
        }
    }

    /// Whether the duty would put back what is withheld.
    pub(super) fn is_withheld(&self, duty: &Duty) -> bool {
        match duty {
            Duty::Restore { target, .. } => self.withheld.contains(&target.address),
            Duty::GiveWay { .. }
            | Duty::Release { .. }
            | Duty::Reassert { .. }
            | Duty::Collect { .. } => false,
        }
    }
}

/// What this node does not answer for though it holds it.
pub(super) type Withheld = BTreeSet<Ipv4Addr>;
