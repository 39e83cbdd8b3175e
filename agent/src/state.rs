//! What the agent has observed, and the sight that its planner is given. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Duty, KernelMark, Look, Memory, Pass, Sight, Snapshot};
use firecamp_core::attach::kernel_target;
use firecamp_core::ids::{ClusterName, EniId, Member, NodeName};
use firecamp_core::node::Eni;
use firecamp_core::outside::{KernelTarget, KernelView, Owner, PodView};
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_host::Survey;

use crate::source::Listing;

/// EC2 is asked for one address at most so often, and only if IMDS does not list it.
pub(crate) const EC2_PAUSE: Duration = Duration::from_mins(1);

/// Where an address is in EC2, as far as is known.
#[derive(Debug, Clone, Default)]
struct Place {
    in_place: Option<bool>,
    asked: Option<Moment>,
}

/// Everything that was observed last.
#[derive(Debug)]
pub(crate) struct Observed {
    node: NodeName,
    cluster: ClusterName,
    enis: Vec<Eni>,
    /// The ENIs come from the metadata service, not from a snapshot.
    enis_seen: bool,
    listing: Option<Listing>,
    /// The listing comes from the registry, not from a snapshot.
    listed: bool,
    survey: Option<Survey>,
    views: BTreeMap<Ipv4Addr, (KernelTarget, KernelView)>,
    places: BTreeMap<Ipv4Addr, Place>,
    memories: BTreeMap<Ipv4Addr, Memory>,
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
            enis_seen: false,
            listing,
            listed: false,
            survey: None,
            views: BTreeMap::new(),
            places: BTreeMap::new(),
            memories: BTreeMap::new(),
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

    /// Takes in what the metadata service lists: a presence confirms, an absence proves nothing.
    pub(crate) fn identified(&mut self, enis: Vec<Eni>) {
        self.enis = enis;
        self.enis_seen = true;
        for (address, eni) in self.attached() {
            let place = self.places.entry(address).or_default();
            let here = self.enis.iter().any(|one| one.id == eni && one.listed.contains(&address));
            match place.in_place {
                _ if here => place.in_place = Some(true),
                Some(true) => place.in_place = None,
                Some(false) | None => {}
            }
        }
    }

    /// Takes in whom EC2 shows.
    pub(crate) fn owned(&mut self, address: Ipv4Addr, owner: &Owner) {
        let Some(eni) = self.attached().remove(&address) else { return };
        let here = matches!(owner, Owner::Eni(shown) if shown.id == eni);
        self.places.entry(address).or_default().in_place = Some(here);
    }

    /// A re-assert has ended: where the address is has to be seen anew.
    pub(crate) fn reasserted(&mut self, address: Ipv4Addr) {
        self.places.entry(address).or_default().in_place = None;
    }

    /// Takes in a complete look at the kernel.
    pub(crate) fn surveyed(&mut self, survey: Survey) {
        self.survey = Some(survey);
        let attached = self.attached();
        self.views.retain(|address, _| attached.contains_key(address));
    }

    /// Takes in what the kernel has of one target.
    pub(crate) fn viewed(&mut self, target: KernelTarget, view: KernelView) {
        self.views.insert(target.address, (target, view));
    }

    /// What could not be looked at is not known.
    pub(crate) fn not_viewed(&mut self, address: Ipv4Addr) {
        self.views.remove(&address);
    }

    /// The addresses that records have attached to this node, and their ENIs.
    fn attached(&self) -> BTreeMap<Ipv4Addr, EniId> {
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
        self.attached().into_iter().filter_map(target).collect()
    }

    /// What the node's kernel or locks have, whoever it belongs to.
    pub(crate) fn known(&self) -> BTreeSet<Ipv4Addr> {
        let survey = self.survey.iter();
        survey.flat_map(|all| all.kernel.keys().chain(all.locks.keys())).copied().collect()
    }

    /// The addresses that EC2 is to be asked for now.
    pub(crate) fn unplaced(&mut self, now: Moment) -> Vec<StaticIp> {
        let attached = self.attached();
        let Some(listing) = self.listing.as_ref().filter(|_| self.enis_seen) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for address in attached.keys() {
            let place = self.places.entry(*address).or_default();
            let asked = place.asked.is_some_and(|at| now.since(at) < EC2_PAUSE);
            if place.in_place != Some(true) && !asked {
                place.asked = Some(now);
                found.extend(listing.records.get(address).cloned());
            }
        }
        found
    }

    /// The planner's sight of everything.
    pub(crate) fn sight(&mut self, now: Moment) -> Sight {
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
            enis: self.enis_seen.then(|| self.enis.clone()),
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
        let listing = self.listing.as_ref().filter(|_| self.listed && self.enis_seen)?;
        let attached = self.attached();
        let bare = |eni: &Eni| Eni { listed: BTreeSet::new(), prefixes: 0, ..eni.clone() };
        let here = |record: &&StaticIp| attached.contains_key(&record.address);
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
