//! The leader's list of the cluster's interfaces in EC2, and what the Lease publishes of it.
//!
//! Guarantees: what is published authorises nothing; it is a reason for an agent to query EC2
//! itself. An address is named only if a complete list does not show it on its ENI. Caveats: reads
//! of EC2 lag, and a list takes seconds, so an address that was just moved may be named.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::failure::CloudKind;
use firecamp_core::ids::{EniId, NodeName};
use firecamp_core::managed_interface::DescribedInterface;
use firecamp_core::record::State;
use firecamp_core::time::Moment;

use super::round_robin::RoundRobin;
use super::{NodeReadiness, ObservedNode, View, timing};

/// The most nodes of which an address is named at once: each makes one query, so these are at most
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
    /// Addresses that the last list does not show on their ENIs, one for each node.
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
    /// The nodes with an ENI that lacks an address, and those with an ENI that is not listed.
    turns: [RoundRobin<NodeName>; 2],
    /// How many lists have ended.
    lists: usize,
    /// The last answer, until it is taken.
    answer: Option<ListAnswer>,
}

impl Ec2Lists {
    /// The first list is due at once.
    pub(super) fn new(now: Moment) -> Self {
        Self { next: now, turns: Default::default(), lists: 0, answer: None }
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
                let nodes = u32::try_from(view.nodes.len()).unwrap_or(u32::MAX);
                Some(ListAnswer::Complete(nodes, self.name(&misplaced(view, listed))))
            }
            (Err(CloudKind::Throttled), _) => Some(ListAnswer::Throttled),
            (Ok(_), None) | (Err(_), _) => None,
        };
    }

    /// The addresses to name: one of each node, because its one query covers all. Nodes whose ENI
    /// is not in the list come last: perhaps it lacks the cluster's tag, and stays so.
    fn name(&mut self, misplaced: &[ByNode; 2]) -> BTreeSet<Ipv4Addr> {
        self.lists = self.lists.wrapping_add(1);
        let mut named = BTreeSet::new();
        for (turn, of) in self.turns.iter_mut().zip(misplaced) {
            let room = NAMED_AT_ONCE.saturating_sub(named.len());
            for node in turn.take(of.keys().collect(), room) {
                let addresses = of.get(node).map(Vec::as_slice).unwrap_or_default();
                let place = self.lists.checked_rem(addresses.len()).unwrap_or_default();
                named.extend(addresses.get(place));
            }
        }
        named
    }

    /// The answer of the last list, once.
    pub(super) fn take_answer(&mut self) -> Option<ListAnswer> {
        self.answer.take()
    }
}

/// Addresses by the node that they are attached to.
type ByNode = BTreeMap<NodeName, Vec<Ipv4Addr>>;

/// The attached addresses that their ENIs in the list lack, and those whose ENIs the list lacks.
/// The leader itself releases those of Nodes that are gone or not ready.
fn misplaced(view: &View, listed: &[DescribedInterface]) -> [ByNode; 2] {
    let listed: BTreeMap<&EniId, &BTreeSet<Ipv4Addr>> =
        listed.iter().map(|one| (&one.id, &one.addresses)).collect();
    let mut misplaced = [ByNode::new(), ByNode::new()];
    let [elsewhere, unlisted] = &mut misplaced;
    for (address, observed) in view.readable() {
        let attachment = observed.record.attachment.as_ref();
        let Some(it) = attachment.filter(|it| it.state == State::Attached) else { continue };
        // One whose Node cannot be read has perhaps an agent.
        let is_ready = |node: &ObservedNode| node.lifecycle == NodeReadiness::Ready;
        let is_there = |node: &Option<ObservedNode>| node.as_ref().is_none_or(is_ready);
        let Some(eni) = it.eni.as_ref().filter(|_| view.nodes.get(&it.node).is_some_and(is_there))
        else {
            continue;
        };
        let of = match listed.get(eni) {
            Some(addresses) if addresses.contains(address) => continue,
            Some(_) => &mut *elsewhere,
            None => &mut *unlisted,
        };
        of.entry(it.node.clone()).or_default().push(*address);
    }
    misplaced
}
