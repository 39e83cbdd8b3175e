//! Withholds addresses: a node that is partitioned from the registry removes an address from its
//! kernel while EC2 shows it on another ENI, so that connections from this node reach the actual
//! holder.
//!
//! Guarantees: two reads of EC2 show the loss (the listing of this instance and the lookup of the
//! owner), and a fresh read of the registry got no answer. Nothing is released: the lock keeps its
//! holder, so the agent restores the address if EC2 shows it here again. Caveats: an address that
//! is on no ENI is not removed, because it hides no other holder.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::agent::Operation;
use firecamp_core::failure::{CloudFailure, HostFailure, RegistryFailure, RegistryKind};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::ports::{Holder, Owner};
use firecamp_core::record::{State, StaticIp};

use super::observed::Observed;
use super::{Effect, Report, Task};

/// An address that EC2 does not show where it was attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// Its subnet.
    pub subnet: SubnetId,
    /// The ENI to which it is attached by record.
    pub eni: EniId,
    /// The holder as far as this node knows.
    pub holder: Holder,
    /// The agent has already removed it from the kernel.
    pub withheld: bool,
}

/// The result of an investigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The registry answers, and this node holds the address: a re-assert follows.
    Ours,
    /// The registry answers, and another holder has the address: a withdraw follows.
    Moved,
    /// The registry is unavailable, and this ENI has the address.
    Partitioned(EniId),
    /// The registry is unavailable, and no other ENI has the address.
    Unknown,
}

impl LostAddress {
    /// The finding by the registry's answer, if there is one: while it answers, it alone decides.
    pub fn finding_by_record(
        &self,
        read: Option<&Result<Option<StaticIp>, RegistryFailure>>,
    ) -> Option<Finding> {
        let record = match read? {
            Ok(record) => record.as_ref(),
            Err(why) => return (why.kind != RegistryKind::Unavailable).then_some(Finding::Moved),
        };
        let held = record.and_then(|record| {
            let attachment = record.attachment.as_ref()?;
            let same = record.epoch == self.holder.epoch && attachment.state == State::Attached;
            (same && attachment.eni.as_ref() == Some(&self.eni)).then_some(())
        });
        Some(held.map_or(Finding::Moved, |()| Finding::Ours))
    }

    /// The finding by EC2's answer, without one of the registry.
    pub fn finding_by_owner(&self, owner: Result<Owner, CloudFailure>) -> Finding {
        match owner {
            Ok(Owner::Eni(other)) if other.id != self.eni => Finding::Partitioned(other.id),
            Ok(Owner::Eni(_) | Owner::Unassigned) | Err(_) => Finding::Unknown,
        }
    }
}

/// The misplaced addresses of a partitioned node.
#[derive(Debug, Default)]
pub(super) struct Withholding {
    /// Addresses that this node holds by its lock but has removed from its kernel.
    withheld: BTreeSet<Ipv4Addr>,
    /// Misplaced addresses under investigation.
    investigating: BTreeSet<Ipv4Addr>,
}

impl Withholding {
    /// Investigates the addresses that EC2 shows elsewhere.
    pub(super) fn investigate(&mut self, lost: Vec<LostAddress>) -> Vec<Effect> {
        let Self { withheld, investigating } = self;
        let due = lost
            .into_iter()
            .filter(|lost| !withheld.contains(&lost.address) && investigating.insert(lost.address));
        due.map(|lost| Effect::Start(Task::Investigate(lost))).collect()
    }

    /// Investigates withheld addresses again: the registry may respond by now.
    pub(super) fn recheck(&mut self, observed: &Observed) -> Vec<Effect> {
        let held = observed.holders();
        let Self { withheld, investigating } = self;
        withheld.retain(|address| held.contains_key(address) && !observed.is_in_place(*address));
        let due = withheld.iter().filter_map(|address| held.get(address));
        let due = due.filter(|lost| investigating.insert(lost.address));
        let again = |lost: &LostAddress| LostAddress { withheld: true, ..lost.clone() };
        due.map(|lost| Effect::Start(Task::Investigate(again(lost)))).collect()
    }

    /// An investigation has ended. Returns whether the kernel has changed.
    pub(super) fn investigated(
        &mut self,
        LostAddress { address, eni, .. }: LostAddress,
        found: Finding,
        done: Option<Result<bool, HostFailure>>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        self.investigating.remove(&address);
        match (found, done) {
            (Finding::Partitioned(owner), Some(done)) => {
                let done = done.map(|_changed| ());
                let withheld = done.is_ok();
                if withheld {
                    self.withheld.insert(address);
                }
                effects.push(Effect::Report(Report::Withheld { address, eni, owner, done }));
                withheld
            }
            (Finding::Ours, _) => {
                self.withheld.remove(&address);
                false
            }
            (Finding::Partitioned(_), None) | (Finding::Moved | Finding::Unknown, _) => false,
        }
    }

    /// Whether the operation would restore a withheld address.
    pub(super) fn forbids(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Restore { target, .. } => self.withheld.contains(&target.address),
            Operation::Withdraw { .. }
            | Operation::Release { .. }
            | Operation::Evict { .. }
            | Operation::Reassert { .. }
            | Operation::Collect { .. } => false,
        }
    }
}
