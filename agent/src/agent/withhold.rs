//! Withholds addresses: removes them from the kernel while this node is partitioned from the
//! registry and EC2 shows them on another ENI.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::agent::Operation;
use firecamp_core::failure::HostFailure;
use tokio::task::JoinSet;

use super::{Agent, Stale};
use crate::partition::{Finding, LostAddress};
use crate::ports::Environment;
use crate::work_result::WorkResult;

impl<W: Environment> Agent<'_, W> {
    /// Investigates the addresses that EC2 shows elsewhere.
    pub(super) fn investigate_losses(&mut self, work: &mut JoinSet<WorkResult>) {
        for lost in self.state.lost() {
            if !self.withheld.contains(&lost.address) && self.investigating.insert(lost.address) {
                self.ports.investigate(lost, work);
            }
        }
    }

    /// Investigates withheld addresses again: the registry may respond by now.
    pub(super) fn recheck_withheld(&mut self, work: &mut JoinSet<WorkResult>) {
        let held = self.state.holders();
        self.withheld
            .retain(|address| held.contains_key(address) && !self.state.is_in_place(*address));
        for address in self.withheld.clone() {
            let Some(lost) = held.get(&address) else { continue };
            if self.investigating.insert(address) {
                self.ports.investigate(LostAddress { withheld: true, ..lost.clone() }, work);
            }
        }
    }

    pub(super) fn loss_investigated(
        &mut self,
        LostAddress { address, eni, .. }: LostAddress,
        found: Finding,
        done: Option<Result<bool, HostFailure>>,
    ) {
        self.investigating.remove(&address);
        match (found, done) {
            (Finding::Partitioned(owner), Some(Ok(_))) => {
                tracing::warn!(%address, %eni, %owner,
                    "address withheld: EC2 shows it on another ENI and the registry does not \
                     respond; removed from the kernel until either names this node again");
                self.withheld.insert(address);
                self.stale = Stale::All;
            }
            (Finding::Partitioned(owner), Some(Err(why))) => {
                tracing::warn!(%address, %eni, %owner, error = %why,
                    "failed to withhold address that EC2 shows on another ENI");
            }
            (Finding::Ours, _) => {
                self.withheld.remove(&address);
            }
            (Finding::Partitioned(_), None) | (Finding::Moved | Finding::Unknown, _) => {}
        }
    }

    /// Whether the operation would restore a withheld address.
    pub(super) fn is_withheld(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Restore { target, .. } => self.withheld.contains(&target.address),
            Operation::Withdraw { .. }
            | Operation::Release { .. }
            | Operation::Reassert { .. }
            | Operation::Collect { .. } => false,
        }
    }
}

/// Addresses that this node holds by its lock but has removed from its kernel.
pub(super) type Withheld = BTreeSet<Ipv4Addr>;
