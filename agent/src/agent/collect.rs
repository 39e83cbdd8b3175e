//! What no record claims: looked for in passes, removed by errands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::{Duty, Leftover};
use firecamp_core::ids::EniId;
use tokio::task::JoinSet;

use super::Agent;
use crate::outside::World;
use crate::work::News;

impl<W: World> Agent<'_, W> {
    /// The first half of a pass: whose records are there?
    pub(super) fn look_for_claims(&mut self, work: &mut JoinSet<News>) {
        if self.pass.is_none() {
            let mut pass = self.state.pass();
            // A record that was seen clears its address: only an absence has to be fresh.
            let (seen, unseen) =
                pass.wanted().into_iter().partition(|address| self.state.has_record(*address));
            pass.claimed = BTreeSet::into_iter(seen).map(|address| (address, true)).collect();
            self.outside.look_for_claims(unseen, work);
            self.pass = Some(pass);
        }
    }

    /// The second half of a pass: what is due is removed from the kernel; what EC2 has is told.
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
        for (eni, address) in in_ec2.difference(&self.unclaimed) {
            self.tell_unclaimed(eni, *address);
        }
        for address in unknown.difference(&self.unknown) {
            tracing::warn!(%address,
                "The kernel has this address with our protocol number, and neither a record nor \
                 this node's lock knows it: whoever added it has to remove it");
        }
        (self.unclaimed, self.unknown) = (in_ec2, unknown);
        self.status.unclaimed.set(i64::try_from(self.collector.suspects()).unwrap_or(i64::MAX));
    }

    /// Once for each: nothing proves that the assignment is ours, so a person has to act.
    fn tell_unclaimed(&self, eni: &EniId, address: Ipv4Addr) {
        let locks = self.state.survey().map(|survey| &survey.locks);
        let was_ours = locks.is_some_and(|locks| locks.contains_key(&address));
        tracing::warn!(%address, %eni, was_ours,
            "No record claims this address, and it takes a slot of its ENI: to keep it, create its \
             claim with spec.address and its StaticIP with spec.reservedOn of this ENI; to be rid \
             of it, unassign it in EC2");
    }

    /// Removed as whoever acted last on it here. What nobody is known to have acted on is not
    /// ours, whatever its protocol number.
    pub(super) fn collection(&self, address: Ipv4Addr) -> Option<Duty> {
        let last = self.state.survey()?.locks.get(&address)?;
        Some(Duty::Collect { address, holder: last.holder.clone() })
    }
}
