//! The agent's observations, from which it builds the planner's input. No I/O.

mod facts;
mod placement;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::{
    AddressReadings, KernelOwner, Memory, Observation, Operation, Orphan, Pass, Snapshot,
    is_adopted,
};
use firecamp_core::ids::{ClusterName, EniId, Epoch, Member, NodeName, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::ports::{KernelTarget, KernelView, PodView};
use firecamp_core::record::{Attachment, Pool, State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_node::kernel::KernelSnapshot;

use self::placement::Placement;
use super::LocalPods;
use super::without_address::WithoutAddress;

/// The result of a list. What could not be read is left out, and is never treated as absent.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The records that may concern the node.
    pub records: BTreeMap<Ipv4Addr, StaticIp>,
    /// The addresses whose records exist but cannot be read.
    pub unread: BTreeSet<Ipv4Addr>,
    /// The pods of their members; a missing entry is unknown.
    pub pods: BTreeMap<Member, PodView>,
    /// All pools, the oldest first, if all could be read.
    pub pools: Option<Vec<Pool>>,
    /// Whether one of the pools wants FireCamp to make interfaces.
    pub wants_interfaces: bool,
    /// The pods of this node, if all were listed.
    pub local_pods: Option<LocalPods>,
}

/// The last observations.
#[derive(Debug)]
pub(super) struct Observed {
    node: NodeName,
    cluster: ClusterName,
    enis: Vec<Eni>,
    /// The last read of the metadata service; none while the ENIs are those of a snapshot.
    identity: Option<NodeIdentity>,
    listing: Option<Listing>,
    /// The listing is from the registry, not from a snapshot.
    listed: bool,
    kernel_snapshot: Option<KernelSnapshot>,
    views: BTreeMap<Ipv4Addr, (KernelTarget, KernelView)>,
    places: BTreeMap<Ipv4Addr, Placement>,
    memories: BTreeMap<Ipv4Addr, Memory>,
    /// When each address was first observed as attached here, by epoch.
    since: BTreeMap<Ipv4Addr, (Epoch, Moment)>,
    without_address: WithoutAddress,
}

impl Observed {
    /// Starts with the last snapshot, if it is of this node.
    pub(super) fn new(node: NodeName, cluster: ClusterName, last: Option<Snapshot>) -> Self {
        let last = last.filter(|last| last.node == node);
        let enis = last.as_ref().map(|last| last.enis.clone()).unwrap_or_default();
        let listing = last.map(|last| {
            let records = last.records.into_iter().map(|record| (record.address, record));
            // A snapshot has no pods: a stale state releases nothing.
            Listing { records: records.collect(), ..Listing::default() }
        });
        Self {
            node,
            cluster,
            enis,
            identity: None,
            listing,
            listed: false,
            kernel_snapshot: None,
            views: BTreeMap::new(),
            places: BTreeMap::new(),
            memories: BTreeMap::new(),
            since: BTreeMap::new(),
            without_address: WithoutAddress::default(),
        }
    }

    /// Whether this process has read both registry and kernel.
    pub(super) fn is_complete(&self) -> bool {
        self.listed && self.kernel_snapshot.is_some()
    }

    /// Applies a list of the registry. Keeps the old state of unreadable records.
    pub(super) fn listed(&mut self, mut listing: Listing) {
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
        for (address, memory) in &mut self.memories {
            if !listing.records.contains_key(address) {
                memory.forget();
            }
        }
        self.places.retain(|address, _| listing.records.contains_key(address));
        self.listing = Some(listing);
        self.listed = true;
    }

    /// Applies a snapshot of the kernel.
    pub(super) fn set_kernel_snapshot(&mut self, kernel_snapshot: KernelSnapshot) {
        self.kernel_snapshot = Some(kernel_snapshot);
        let held = self.held();
        self.views.retain(|address, _| held.contains_key(address));
    }

    /// Applies the kernel state of one target.
    pub(super) fn viewed(&mut self, target: KernelTarget, view: KernelView) {
        self.views.insert(target.address, (target, view));
    }

    /// Forgets the kernel state of a target that could not be read.
    pub(super) fn not_viewed(&mut self, address: Ipv4Addr) {
        self.views.remove(&address);
    }

    /// The identity of the instance, once read from the metadata service.
    pub(super) fn identity(&self) -> Option<&NodeIdentity> {
        self.identity.as_ref()
    }

    pub(super) fn node(&self) -> &NodeName {
        &self.node
    }

    pub(super) fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The node's ENIs.
    pub(super) fn enis(&self) -> &[Eni] {
        &self.enis
    }

    /// The addresses attached to this node by record, and their ENIs.
    pub(super) fn held(&self) -> BTreeMap<Ipv4Addr, EniId> {
        let records = self.listing.iter().flat_map(|listing| listing.records.values());
        let here = |record: &StaticIp| {
            let it = record.attachment.as_ref()?;
            let here = it.node == self.node && it.state == State::Attached;
            it.eni.clone().filter(|_eni| here).map(|eni| (record.address, eni))
        };
        records.filter_map(here).collect()
    }

    /// Whether a record names the interface. True until the registry was read.
    pub(super) fn names(&self, eni: &EniId) -> bool {
        let listing = self.listing.as_ref().filter(|_| self.listed);
        listing.is_none_or(|listing| {
            let mut attached = listing.records.values().filter_map(|it| it.attachment.as_ref());
            attached.any(|attachment| attachment.eni.as_ref() == Some(eni))
        })
    }

    /// Whether an address is attached to this node by record.
    pub(super) fn holds_any(&self) -> bool {
        !self.held().is_empty()
    }

    /// The ids of the node's ENIs.
    pub(super) fn eni_ids(&self) -> BTreeSet<EniId> {
        self.enis.iter().map(|eni| eni.id.clone()).collect()
    }

    /// The kernel targets of the addresses of this node.
    pub(super) fn targets(&self) -> Vec<KernelTarget> {
        let target = |(address, id): (Ipv4Addr, EniId)| {
            let eni = self.enis.iter().find(|eni| eni.id == id)?;
            Some(KernelTarget::on(address, eni))
        };
        self.held().into_iter().filter_map(target).collect()
    }

    /// FireCamp's addresses in the kernel and addresses held by a lock, whoever holds them now.
    pub(super) fn known(&self) -> BTreeSet<Ipv4Addr> {
        let Some(kernel_snapshot) = &self.kernel_snapshot else { return BTreeSet::new() };
        let ours = kernel_snapshot.kernel.iter().filter(|(_, mark)| **mark == KernelOwner::Ours);
        let held = kernel_snapshot.locks.iter().filter(|(_, last)| last.hold == Hold::Held);
        let held = held.map(|(address, _)| *address);
        ours.map(|(address, _)| *address).chain(held).collect()
    }

    /// Whether a lock of this node holds an address that the registry does not yet show as attached
    /// here: the record is missing or older. If the record is newer, the lock is stale.
    pub(super) fn has_unconfirmed_lock(&self) -> bool {
        let (Some(listing), Some(kernel_snapshot)) = (&self.listing, &self.kernel_snapshot) else {
            return false;
        };
        let held = kernel_snapshot.locks.iter().filter(|(_, last)| last.hold == Hold::Held);
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

    /// Whether the registry has a record of the address.
    pub(super) fn has_record(&self, address: Ipv4Addr) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.records.contains_key(&address))
    }

    /// Whether the kernel lacks a part of an address that belongs here, whoever configured the
    /// existing parts. True also without the link, although a rule may have outlived it.
    pub(super) fn is_missing(&self, address: Ipv4Addr) -> bool {
        match self.views.get(&address) {
            Some((_target, view)) => !view.is_complete(),
            None => self
                .kernel_snapshot
                .as_ref()
                .is_some_and(|kernel_snapshot| kernel_snapshot.mark(address).is_none()),
        }
    }

    /// The planner's input.
    pub(super) fn observation(&mut self, now: Moment) -> Observation {
        self.note_holds(now);
        let mut observation =
            Observation::new(self.node.clone(), self.cluster.clone(), BTreeSet::new());
        let (Some(listing), Some(kernel_snapshot)) = (&self.listing, &self.kernel_snapshot) else {
            return observation;
        };
        let records = &listing.records;
        self.memories.retain(|at, memory| records.contains_key(at) || memory.is_pausing(now));
        for (address, record) in records {
            // An unknown pod counts as vouched for: nothing is released. Nor is anything
            // re-asserted until the agent knows where the pod runs.
            let pod = listing.pods.get(&record.member);
            let place = self.places.get(address).filter(|_| pod.is_some());
            let readings = AddressReadings {
                record,
                lock: kernel_snapshot.locks.get(address),
                in_kernel: kernel_snapshot.kernel.get(address) == Some(&KernelOwner::Ours),
                kernel: self.views.get(address).cloned(),
                pod: pod.cloned().unwrap_or(PodView::Vouched),
                in_place: place.and_then(|place| place.in_place),
            };
            observation.add(readings, self.memories.entry(*address).or_default(), now);
        }
        observation
    }

    /// The address of an operation, and its member. An orphaned address has the member
    /// `nobody/nobody`.
    pub(super) fn subject(&self, operation: &Operation) -> Option<(Ipv4Addr, Member)> {
        let records = &self.listing.as_ref()?.records;
        let of = |address: &Ipv4Addr| {
            records.get(address).map(|record| (*address, record.member.clone()))
        };
        match operation {
            Operation::Withdraw { address, .. }
            | Operation::Reassert { address, .. }
            | Operation::Evict { address, .. }
            | Operation::Restore { target: KernelTarget { address, .. }, .. } => of(address),
            Operation::Collect { address, .. } => {
                Member::new("nobody", "nobody").ok().map(|nobody| (*address, nobody))
            }
            Operation::Release { member, .. } => {
                let held = records.values().find(|record| record.member == *member);
                held.map(|record| (record.address, member.clone()))
            }
        }
    }

    /// A re-assert of the address starts.
    pub(super) fn reasserts(&mut self, address: Ipv4Addr, now: Moment) {
        self.memories.entry(address).or_default().reasserts(now);
    }

    /// The input of a collector pass, without data that only a snapshot has.
    pub(super) fn pass(&self) -> Pass {
        Pass {
            kernel: self
                .kernel_snapshot
                .as_ref()
                .map(|kernel_snapshot| kernel_snapshot.kernel.clone()),
            enis: self.identity.is_some().then(|| self.enis.clone()),
            pools: self.listing.as_ref().and_then(|listing| listing.pools.clone()),
            claimed: BTreeMap::new(),
        }
    }

    /// Whether the metadata service lists an address without a record that its pool adopts, after
    /// queries of EC2.
    pub(super) fn awaits_adoption(&self, usable: &BTreeSet<EniId>) -> bool {
        let pools = self.pools().unwrap_or_default();
        let orphan = |eni: &Eni, address: Ipv4Addr| Orphan {
            eni: eni.id.clone(),
            subnet: eni.subnet.clone(),
            address,
        };
        let awaits = |eni: &Eni| {
            let mut without = eni.listed.iter().filter(|address| !self.has_record(**address));
            without.any(|address| is_adopted(pools, &orphan(eni, *address)))
        };
        self.enis.iter().filter(|eni| usable.contains(&eni.id)).any(awaits)
    }

    /// All pools, if they were read.
    pub(super) fn pools(&self) -> Option<&[Pool]> {
        self.listing.as_ref()?.pools.as_deref()
    }

    /// The pods of this node, if they were read.
    pub(super) fn local_pods(&self) -> Option<&LocalPods> {
        self.listing.as_ref()?.local_pods.as_ref()
    }

    /// The pods of this node that run with a pool's label and were found to have no address since
    /// the last call, and how many there are in all.
    pub(super) fn without_address(&mut self, now: Moment) -> (Vec<(Member, PodUid)>, usize) {
        let listing = self.listing.as_ref().filter(|_| self.listed);
        let locks = self.kernel_snapshot.iter().flat_map(|snapshot| snapshot.locks.values());
        let held = locks.filter(|lock| lock.hold == Hold::Held);
        let locked = held.map(|lock| lock.holder.pod.clone()).collect();
        let found = listing.map(|listing| self.without_address.step((listing, &locked), now));
        (found.unwrap_or_default(), self.without_address.count())
    }

    /// The record of the address's lock.
    pub(super) fn lock(&self, address: Ipv4Addr) -> Option<&LockRecord> {
        self.kernel_snapshot.as_ref()?.locks.get(&address)
    }

    /// The snapshot for the next agent on this node, of data that this process has read itself.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
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
#[path = "observed_tests.rs"]
mod tests;
