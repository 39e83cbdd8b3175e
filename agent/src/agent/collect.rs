//! Finds addresses without a record in passes; operations remove them from the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::{Leftover, Operation};
use firecamp_core::ids::EniId;
use tokio::task::JoinSet;

use super::Agent;
use crate::ports::Environment;
use crate::work_result::WorkResult;

impl<W: Environment> Agent<'_, W> {
    /// Starts a pass: reads whether the addresses of the node have records.
    pub(super) fn query_claims(&mut self, work: &mut JoinSet<WorkResult>) {
        if self.pass.is_none() {
            let mut pass = self.state.pass();
            // A known record clears its address; only absence needs a fresh read.
            let (seen, unseen) =
                pass.wanted().into_iter().partition(|address| self.state.has_record(*address));
            pass.claimed = BTreeSet::into_iter(seen).map(|address| (address, true)).collect();
            self.ports.query_claims(unseen, work);
            self.pass = Some(pass);
        }
    }

    /// Completes a pass: schedules leftovers for removal from the kernel, logs orphans in EC2.
    pub(super) fn collect(&mut self, claimed: BTreeMap<Ipv4Addr, bool>) {
        let Some(mut pass) = self.pass.take() else { return };
        pass.claimed.extend(claimed);
        let (mut in_ec2, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for found in self.collector.pass(&pass, self.now()) {
            match found {
                Leftover::Kernel(address) if self.collection(address).is_some() => {
                    self.leftovers.push(address);
                }
                Leftover::Kernel(address) => drop(unknown.insert(address)),
                Leftover::Eni(eni, address) => drop(in_ec2.insert((eni, address))),
            }
        }
        for (eni, address) in in_ec2.difference(&self.orphaned) {
            self.report_orphaned(eni, *address);
        }
        for address in unknown.difference(&self.unknown) {
            tracing::warn!(%address,
                "unknown kernel address with FireCamp's protocol number: no StaticIP and no lock \
                 of this node names it; remove it by hand");
        }
        (self.orphaned, self.unknown) = (in_ec2, unknown);
        self.status.orphaned.set(i64::try_from(self.collector.suspects()).unwrap_or(i64::MAX));
    }

    /// Logs an orphan once. Nothing proves that FireCamp assigned it, so an operator must act.
    fn report_orphaned(&self, eni: &EniId, address: Ipv4Addr) {
        let locks = self.state.kernel_snapshot().map(|kernel_snapshot| &kernel_snapshot.locks);
        let was_ours = locks.is_some_and(|locks| locks.contains_key(&address));
        tracing::warn!(%address, %eni, was_ours,
            "orphaned address: no StaticIP names it, but it occupies a slot of its ENI; to keep \
             it, create its claim with spec.address and its StaticIP with spec.reservedOn of this \
             ENI; otherwise unassign it in EC2");
    }

    /// The operation that removes a leftover, in the name of its last holder by the lock. Without
    /// a lock record the address is not FireCamp's, whatever its protocol number.
    pub(super) fn collection(&self, address: Ipv4Addr) -> Option<Operation> {
        let last = self.state.kernel_snapshot()?.locks.get(&address)?;
        Some(Operation::Collect { address, holder: last.holder.clone() })
    }
}
