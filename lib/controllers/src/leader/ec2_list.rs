//! The leader's list of the cluster's interfaces in EC2, and what the Lease publishes of it.
//!
//! Guarantees: what is published authorises nothing; it is a reason for an agent to query EC2
//! itself. An address is named only if a complete list does not show it on its ENI. Caveats: reads
//! of EC2 lag, and a list takes seconds, so an address that was just moved may be named.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::failure::CloudKind;
use firecamp_core::ids::EniId;
use firecamp_core::managed_interface::DescribedInterface;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;

use super::round_robin::RoundRobin;
use super::{NodeReadiness, View, timing};

/// The most addresses that are named at once: each is a query by its agent, so these are at most
/// one a second.
const NAMED_AT_ONCE: usize = 60;

/// What the leader has observed in EC2, as the Lease publishes it to all agents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ec2Observation {
    /// Grows by one with each answer of EC2: a complete list, or a throttle. Agents measure the age
    /// of the observation by it, each with its own clock.
    pub count: u64,
    /// The number of Nodes in the leader's last list.
    pub nodes: u32,
    /// EC2 has throttled the last list.
    pub throttled: bool,
    /// Addresses of ready Nodes that the last list does not show on their ENIs.
    pub misplaced: BTreeSet<Ipv4Addr>,
}

/// An answer of EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListAnswer {
    /// A complete list, with the number of Nodes and the addresses to name.
    Complete(u32, BTreeSet<Ipv4Addr>),
    /// The list was throttled.
    Throttled,
}

impl Ec2Observation {
    /// Nothing was observed yet.
    #[cfg(feature = "serde")]
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// EC2 has answered. A throttled list names no address.
    pub(super) fn answered(&mut self, answer: ListAnswer) {
        self.count = self.count.wrapping_add(1);
        match answer {
            ListAnswer::Complete(nodes, misplaced) => {
                (self.nodes, self.throttled, self.misplaced) = (nodes, false, misplaced);
            }
            ListAnswer::Throttled => {
                self.throttled = true;
                self.misplaced.clear();
            }
        }
    }
}

/// The lists of a term.
#[derive(Debug)]
pub(super) struct Ec2Lists {
    /// When the next list is due.
    next: Moment,
    named: RoundRobin<Ipv4Addr>,
    /// The last answer, until it is taken.
    answer: Option<ListAnswer>,
}

impl Ec2Lists {
    /// The first list is due at once.
    pub(super) fn new(now: Moment) -> Self {
        Self { next: now, named: RoundRobin::default(), answer: None }
    }

    /// Whether a list starts now. It counts as started.
    pub(super) fn starts(&mut self, now: Moment) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now.plus(timing::EC2_LIST_EVERY);
        }
        due
    }

    /// A list has ended. A failure other than a throttle is no answer.
    pub(super) fn ended(
        &mut self,
        read: Result<&[DescribedInterface], CloudKind>,
        view: Option<&View>,
    ) {
        self.answer = match (read, view) {
            (Ok(listed), Some(view)) => {
                let misplaced = misplaced(view, listed);
                let named = self.named.take(misplaced.iter().collect(), NAMED_AT_ONCE);
                let nodes = u32::try_from(view.nodes.len()).unwrap_or(u32::MAX);
                Some(ListAnswer::Complete(nodes, named.into_iter().copied().collect()))
            }
            (Err(CloudKind::Throttled), _) => Some(ListAnswer::Throttled),
            (Ok(_), None) | (Err(_), _) => None,
        };
    }

    /// The answer of the last list, once.
    pub(super) fn take_answer(&mut self) -> Option<ListAnswer> {
        self.answer.take()
    }
}

/// The attached addresses of ready Nodes that are not on their ENIs. The leader releases those of
/// other Nodes itself.
fn misplaced(view: &View, listed: &[DescribedInterface]) -> BTreeSet<Ipv4Addr> {
    let listed: BTreeMap<&EniId, &BTreeSet<Ipv4Addr>> =
        listed.iter().map(|one| (&one.id, &one.addresses)).collect();
    let is_misplaced = |record: &StaticIp| {
        let Some(it) = record.attachment.as_ref().filter(|it| it.state == State::Attached) else {
            return false;
        };
        let placed = |eni: &EniId| listed.get(eni).is_some_and(|all| all.contains(&record.address));
        let ready = view.lifecycle(&it.node) == Some(NodeReadiness::Ready);
        ready && it.eni.as_ref().is_some_and(|eni| !placed(eni))
    };
    let found = view.readable().filter(|(_, observed)| is_misplaced(&observed.record));
    found.map(|(address, _)| *address).collect()
}
