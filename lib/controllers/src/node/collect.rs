//! Finds addresses without a record in passes; operations remove them from the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::{Collector, Leftover, Operation, Pass};
use firecamp_core::ids::EniId;
use firecamp_core::time::Moment;

use super::observed::Observed;
use super::{Effect, Report, Task};

/// The addresses of this node without a record.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    collector: Collector,
    /// The pass that waits for reads of the registry.
    pass: Option<Pass>,
    /// Addresses to remove from the kernel.
    due: Vec<Ipv4Addr>,
    /// Addresses in EC2 without a record that were already reported.
    orphaned: BTreeSet<(EniId, Ipv4Addr)>,
    /// Addresses with FireCamp's protocol number but neither record nor lock, already reported.
    unknown: BTreeSet<Ipv4Addr>,
}

impl Leftovers {
    /// Starts a pass: reads whether the addresses of the node have records.
    pub(super) fn begin(&mut self, observed: &Observed) -> Option<Task> {
        if self.pass.is_some() {
            return None;
        }
        let mut pass = observed.pass();
        // A known record clears its address; only absence needs a fresh read.
        let (seen, unseen) =
            pass.wanted().into_iter().partition(|address| observed.has_record(*address));
        pass.claimed = BTreeSet::into_iter(seen).map(|address| (address, true)).collect();
        self.pass = Some(pass);
        Some(Task::QueryClaims(unseen))
    }

    /// Completes a pass: schedules leftovers for removal from the kernel, reports orphans in EC2.
    pub(super) fn complete(
        &mut self,
        claimed: BTreeMap<Ipv4Addr, bool>,
        observed: &Observed,
        now: Moment,
    ) -> Vec<Effect> {
        let Some(mut pass) = self.pass.take() else { return Vec::new() };
        pass.claimed.extend(claimed);
        let (mut in_ec2, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for found in self.collector.pass(&pass, now) {
            match found {
                Leftover::Kernel(address) if collection(observed, address).is_some() => {
                    self.due.push(address);
                }
                Leftover::Kernel(address) => drop(unknown.insert(address)),
                Leftover::Eni(eni, address) => drop(in_ec2.insert((eni, address))),
            }
        }
        // Each is reported once. Nothing proves that FireCamp assigned it, so an operator must act.
        let orphaned = in_ec2.difference(&self.orphaned).map(|(eni, address)| Report::Orphaned {
            address: *address,
            eni: eni.clone(),
            was_ours: observed.lock(*address).is_some(),
        });
        let reported = unknown.difference(&self.unknown).copied().map(Report::Unknown);
        let suspects = Report::Suspects(self.collector.suspects());
        let effects = orphaned.chain(reported).chain([suspects]).map(Effect::Report).collect();
        (self.orphaned, self.unknown) = (in_ec2, unknown);
        effects
    }

    /// The operations that remove leftovers from the kernel now.
    pub(super) fn take_operations(&mut self, observed: &Observed) -> Vec<Operation> {
        let due = std::mem::take(&mut self.due);
        due.into_iter().filter_map(|address| collection(observed, address)).collect()
    }
}

/// The operation that removes a leftover, in the name of its last holder by the lock. Without a
/// lock record the address is not FireCamp's, whatever its protocol number.
fn collection(observed: &Observed, address: Ipv4Addr) -> Option<Operation> {
    Some(Operation::Collect { address, holder: observed.lock(address)?.holder.clone() })
}
