//! What the agent has observed, and the sight that its planner is given. No I/O.

mod facts;
mod places;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::{Duty, KernelMark, Look, Memory, Pass, Sight, Snapshot};
use firecamp_core::attach::kernel_target;
use firecamp_core::ids::{ClusterName, EniId, Epoch, Member, NodeName};
use firecamp_core::lock::Hold;
use firecamp_core::node::{Eni, NodeIdentity};
use firecamp_core::outside::{KernelTarget, KernelView, PodView};
use firecamp_core::record::{Attachment, State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_host::Survey;

pub(crate) use self::facts::Failing;
use self::places::Place;
use crate::source::Listing;

/// Everything that was observed last.
#[derive(Debug)]
pub(crate) struct Observed {
    node: NodeName,
    cluster: ClusterName,
    enis: Vec<Eni>,
    /// What the metadata service says; none as long as the ENIs are those of a snapshot.
    identity: Option<NodeIdentity>,
    listing: Option<Listing>,
    /// The listing comes from the registry, not from a snapshot.
    listed: bool,
    survey: Option<Survey>,
    views: BTreeMap<Ipv4Addr, (KernelTarget, KernelView)>,
    places: BTreeMap<Ipv4Addr, Place>,
    memories: BTreeMap<Ipv4Addr, Memory>,
    /// Since when the registry has been seen to have an address attached here, by its epoch.
    since: BTreeMap<Ipv4Addr, (Epoch, Moment)>,
}

impl Observed {
    /// Nothing seen yet but what the last snapshot tells.
    pub(crate) fn new(node: NodeName, cluster: ClusterName, last: Option<Snapshot>) -> Self {
        let last = last.filter(|last| last.node == node);
        let enis = last.as_ref().map(|last| last.enis.clone()).unwrap_or_default();
        let listing = last.map(|last| {
            let records = last.records.into_iter().map(|record| (record.address, record));
            // Pods are not in it: nothing is released by what was true before.
            Listing { records: records.collect(), ..Listing::default() }
        });
        Self {
            node,
            cluster,
            enis,
            identity: None,
            listing,
            listed: false,
            survey: None,
            views: BTreeMap::new(),
            places: BTreeMap::new(),
            memories: BTreeMap::new(),
            since: BTreeMap::new(),
        }
    }

    /// Registry and kernel have both been seen by this process.
    pub(crate) fn is_complete(&self) -> bool {
        self.listed && self.survey.is_some()
    }

    /// Takes in what the registry lists. What it has and cannot read stays as it was.
    pub(crate) fn listed(&mut self, mut listing: Listing) {
        if let Some(before) = self.listing.take() {
            for (address, record) in before.records {
                if listing.unread.contains(&address) {
                    listing.pods.entry(record.member.clone()).or_insert_with(|| {
                        before.pods.get(&record.member).cloned().unwrap_or(PodView::Vouched)
                    });
                    listing.records.insert(address, record);
                }
            }
        }
        self.memories.retain(|address, _| listing.records.contains_key(address));
        self.places.retain(|address, _| listing.records.contains_key(address));
        self.listing = Some(listing);
        self.listed = true;
    }

    /// Takes in a complete look at the kernel.
    pub(crate) fn surveyed(&mut self, survey: Survey) {
        self.survey = Some(survey);
        let held = self.held();
        self.views.retain(|address, _| held.contains_key(address));
    }

    /// Takes in what the kernel has of one target.
    pub(crate) fn viewed(&mut self, target: KernelTarget, view: KernelView) {
        self.views.insert(target.address, (target, view));
    }

    /// What could not be looked at is not known.
    pub(crate) fn not_viewed(&mut self, address: Ipv4Addr) {
        self.views.remove(&address);
    }

    /// The instance, once the metadata service has said which one it is.
    pub(crate) fn identity(&self) -> Option<&NodeIdentity> {
        self.identity.as_ref()
    }

    /// The node.
    pub(crate) fn node(&self) -> &NodeName {
        &self.node
    }

    /// The node's ENIs.
    pub(crate) fn enis(&self) -> &[Eni] {
        &self.enis
    }

    /// The addresses that records have attached to this node, and their ENIs.
    pub(crate) fn held(&self) -> BTreeMap<Ipv4Addr, EniId> {
        let records = self.listing.iter().flat_map(|listing| listing.records.values());
        let here = |record: &StaticIp| {
            let it = record.attachment.as_ref()?;
            let here = it.node == self.node && it.state == State::Attached;
            it.eni.clone().filter(|_eni| here).map(|eni| (record.address, eni))
        };
        records.filter_map(here).collect()
    }

    /// Where the addresses of this node belong in its kernel.
    pub(crate) fn targets(&self) -> Vec<KernelTarget> {
        let target = |(address, id): (Ipv4Addr, EniId)| {
            let eni = self.enis.iter().find(|eni| eni.id == id)?;
            Some(kernel_target(address, eni))
        };
        self.held().into_iter().filter_map(target).collect()
    }

    /// What of ours is in the node's kernel, or held by its locks, whoever it belongs to.
    pub(crate) fn known(&self) -> BTreeSet<Ipv4Addr> {
        let Some(survey) = &self.survey else { return BTreeSet::new() };
        let ours = survey.kernel.iter().filter(|(_, mark)| **mark == KernelMark::Ours);
        let held = survey.locks.iter().filter(|(_, last)| last.hold == Hold::Held);
        let held = held.map(|(address, _)| *address);
        ours.map(|(address, _)| *address).chain(held).collect()
    }

    /// Whether a lock of this node has as held what the registry was not seen to have attached
    /// here yet: the record is older, or is not there. Where it is newer the lock is.
    pub(crate) fn has_unproved(&self) -> bool {
        let (Some(listing), Some(survey)) = (&self.listing, &self.survey) else { return false };
        let held = survey.locks.iter().filter(|(_, last)| last.hold == Hold::Held);
        held.into_iter().any(|(address, last)| {
            let Some(record) = listing.records.get(address) else { return true };
            let under_way = |it: &Attachment| it.state == State::Attaching;
            match record.epoch.cmp(&last.holder.epoch) {
                Ordering::Less => true,
                Ordering::Equal => record.attachment.as_ref().is_some_and(under_way),
                Ordering::Greater => false,
            }
        })
    }

    /// Whether the registry was seen to have a record of the address.
    pub(crate) fn has_record(&self, address: Ipv4Addr) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.records.contains_key(&address))
    }

    /// Whether the kernel does not answer for an address that belongs here, whoever has put there
    /// what it has: not without its link either, though a rule may have outlived that.
    pub(crate) fn is_lacking(&self, address: Ipv4Addr) -> bool {
        match self.views.get(&address) {
            Some((_target, view)) => !view.is_complete(),
            None => self.survey.as_ref().is_some_and(|survey| survey.mark(address).is_none()),
        }
    }

    /// The planner's sight of everything.
    pub(crate) fn sight(&mut self, now: Moment) -> Sight {
        self.note_holds(now);
        let mut sight = Sight::new(self.node.clone(), self.cluster.clone(), BTreeSet::new());
        let (Some(listing), Some(survey)) = (&self.listing, &self.survey) else { return sight };
        for (address, record) in &listing.records {
            // Whose pod is not known is treated as somebody vouched for it: nothing is released.
            let pod = listing.pods.get(&record.member).cloned().unwrap_or(PodView::Vouched);
            let look = Look {
                record,
                lock: survey.locks.get(address),
                in_kernel: survey.kernel.get(address) == Some(&KernelMark::Ours),
                kernel: self.views.get(address).cloned(),
                pod,
                in_place: self.places.get(address).and_then(|place| place.in_place),
            };
            sight.add(look, self.memories.entry(*address).or_default(), now);
        }
        sight
    }

    /// The address that a duty is about, and the member in whose name it is done. What no record
    /// claims is nobody's.
    pub(crate) fn subject(&self, duty: &Duty) -> Option<(Ipv4Addr, Member)> {
        let records = &self.listing.as_ref()?.records;
        let of = |address: &Ipv4Addr| {
            records.get(address).map(|record| (*address, record.member.clone()))
        };
        match duty {
            Duty::GiveWay { address, .. }
            | Duty::Reassert { address, .. }
            | Duty::Restore { target: KernelTarget { address, .. }, .. } => of(address),
            Duty::Collect { address, .. } => {
                Member::new("nobody", "nobody").ok().map(|nobody| (*address, nobody))
            }
            Duty::Release { member, .. } => {
                let held = records.values().find(|record| record.member == *member);
                held.map(|record| (record.address, member.clone()))
            }
        }
    }

    /// A re-assert of the address begins.
    pub(crate) fn reasserts(&mut self, address: Ipv4Addr, now: Moment) {
        self.memories.entry(address).or_default().reasserts(now);
    }

    /// What a pass of the collector starts from. What only a snapshot tells is not seen.
    pub(crate) fn pass(&self) -> Pass {
        Pass {
            kernel: self.survey.as_ref().map(|survey| survey.kernel.clone()),
            enis: self.identity.is_some().then(|| self.enis.clone()),
            pools: self.listing.as_ref().and_then(|listing| listing.pools.clone()),
            claimed: BTreeMap::new(),
        }
    }

    /// Who acted last on an address on this node.
    pub(crate) fn survey(&self) -> Option<&Survey> {
        self.survey.as_ref()
    }

    /// What the next agent on this node starts with: only what this one has seen itself.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let listing = self.listing.as_ref().filter(|_| self.listed && self.identity.is_some())?;
        let held = self.held();
        let bare = |eni: &Eni| Eni { listed: BTreeSet::new(), prefixes: 0, ..eni.clone() };
        let here = |record: &&StaticIp| held.contains_key(&record.address);
        Some(Snapshot {
            node: self.node.clone(),
            enis: self.enis.iter().map(bare).collect(),
            records: listing.records.values().filter(here).cloned().collect(),
        })
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
