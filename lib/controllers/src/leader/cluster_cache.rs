//! The leader's cache of the cluster, filled by lists and watches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::ids::{InterfaceName, Member, NodeName, PoolName};
use firecamp_core::managed_interface::StoredInterface;

use super::names::{NamedService, NamespacedName, ObservedRecords, ObservedSlice};
use super::{
    GatedPod, ObservedClaim, ObservedNode, ObservedPool, ObservedStaticIp, SetName, StatefulSet,
    View,
};

/// What a list or a watch reports.
#[derive(Debug)]
pub enum ClusterEvent {
    /// About StaticIPs.
    StaticIps(ObjectEvent<Ipv4Addr, ObservedStaticIp>),
    /// About StaticIPClaims.
    Claims(ObjectEvent<Member, ObservedClaim>),
    /// About StaticIPPools.
    Pools(ObjectEvent<PoolName, ObservedPool>),
    /// About StatefulSets.
    Sets(ObjectEvent<SetName, StatefulSet>),
    /// About Nodes.
    Nodes(ObjectEvent<NodeName, ObservedNode>),
    /// About interfaces that FireCamp makes.
    Interfaces(ObjectEvent<InterfaceName, StoredInterface>),
    /// About pods with FireCamp's scheduling gate. One that loses it counts as deleted.
    GatedPods(ObjectEvent<Member, GatedPod>),
    /// About Services that name members.
    Services(ObjectEvent<NamespacedName, NamedService>),
    /// About EndpointSlices of headless Services.
    Slices(ObjectEvent<NamespacedName, ObservedSlice>),
    /// About DNSEndpoints that FireCamp made.
    Records(ObjectEvent<NamespacedName, ObservedRecords>),
}

/// What a list or a watch reports about the objects of one kind. An object that exists and could
/// not be parsed is none.
#[derive(Debug)]
pub enum ObjectEvent<K, T> {
    /// A complete list.
    Listed(BTreeMap<K, Option<T>>),
    /// An object was added or modified.
    Set(K, Option<T>),
    /// An object was deleted.
    Deleted(K),
    /// Whether the API server answers.
    Current(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    StaticIps,
    Claims,
    Pools,
    Sets,
    Nodes,
    GatedPods,
    Interfaces,
    Services,
    Slices,
    Records,
}

/// The kinds without which nothing is planned. Interfaces are not among them: until they are
/// listed, none is removed.
const REQUIRED: [Kind; 6] =
    [Kind::StaticIps, Kind::Claims, Kind::Pools, Kind::Sets, Kind::Nodes, Kind::GatedPods];

/// What is known about DNSEndpoints, whose definition may not be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordsKnown {
    /// They are listed and up to date.
    Current,
    /// They are being listed, or the API server does not answer.
    NotYet,
    /// They were never listed, and the last attempt failed.
    NotServed,
}

/// The cached objects.
#[derive(Debug, Default)]
pub(super) struct ClusterCache {
    view: View,
    synced: Synced,
}

#[derive(Debug, Default)]
struct Synced {
    listed: BTreeSet<Kind>,
    /// Kinds whose last list or watch failed.
    unavailable: BTreeSet<Kind>,
}

impl ClusterCache {
    /// The cluster, if all kinds are listed and up to date.
    pub(super) fn view(&self) -> Option<&View> {
        self.synced.has(&REQUIRED).then_some(&self.view)
    }

    /// The same, if Services and EndpointSlices are up to date, too.
    pub(super) fn names(&self) -> Option<&View> {
        self.view().filter(|_| self.synced.has(&[Kind::Services, Kind::Slices]))
    }

    /// What is known about the DNSEndpoints.
    pub(super) fn records(&self) -> RecordsKnown {
        let Synced { listed, unavailable } = &self.synced;
        match (listed.contains(&Kind::Records), unavailable.contains(&Kind::Records)) {
            (true, false) => RecordsKnown::Current,
            (false, true) => RecordsKnown::NotServed,
            (true, true) | (false, false) => RecordsKnown::NotYet,
        }
    }

    /// What is known of the cluster, whether it is up to date or not.
    pub(super) fn content(&self) -> &View {
        &self.view
    }

    pub(super) fn apply(&mut self, event: ClusterEvent) {
        let Self { view, synced } = self;
        match event {
            ClusterEvent::StaticIps(event) => {
                synced.apply(Kind::StaticIps, &mut view.addresses, event);
            }
            ClusterEvent::Claims(event) => synced.apply(Kind::Claims, &mut view.claims, event),
            ClusterEvent::Pools(event) => synced.apply(Kind::Pools, &mut view.pools, event),
            ClusterEvent::Sets(event) => synced.apply(Kind::Sets, &mut view.sets, event),
            ClusterEvent::Nodes(event) => synced.apply(Kind::Nodes, &mut view.nodes, event),
            ClusterEvent::GatedPods(event) => {
                synced.apply(Kind::GatedPods, &mut view.gated_pods, event);
            }
            ClusterEvent::Interfaces(event) => {
                synced.apply(Kind::Interfaces, &mut view.interfaces, event);
            }
            ClusterEvent::Services(event) => {
                synced.apply(Kind::Services, &mut view.services, event);
            }
            ClusterEvent::Slices(event) => synced.apply(Kind::Slices, &mut view.slices, event),
            ClusterEvent::Records(event) => synced.apply(Kind::Records, &mut view.records, event),
        }
    }
}

impl Synced {
    /// Whether these kinds are listed and up to date.
    fn has(&self, kinds: &[Kind]) -> bool {
        kinds.iter().all(|kind| self.listed.contains(kind) && !self.unavailable.contains(kind))
    }

    fn apply<K: Ord, T>(
        &mut self,
        kind: Kind,
        objects: &mut BTreeMap<K, Option<T>>,
        event: ObjectEvent<K, T>,
    ) {
        match event {
            ObjectEvent::Listed(all) => {
                *objects = all;
                self.listed.insert(kind);
            }
            ObjectEvent::Set(key, object) => drop(objects.insert(key, object)),
            ObjectEvent::Deleted(key) => drop(objects.remove(&key)),
            ObjectEvent::Current(true) => drop(self.unavailable.remove(&kind)),
            ObjectEvent::Current(false) => drop(self.unavailable.insert(kind)),
        }
    }
}
