//! The leader's cache of the cluster, filled by lists and watches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::ids::{InterfaceName, Member, NodeName, PoolName};
use firecamp_core::managed_interface::StoredInterface;
use firecamp_core::shared_texts::SharedTexts;

use super::names::{NamedService, NamespacedName, ObservedRecords, ObservedSlice};
use super::{
    GatedPod, ObservedClaim, ObservedNode, ObservedPool, ObservedStaticIp, StatefulSet, View,
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
    Sets(ObjectEvent<NamespacedName, StatefulSet>),
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
    /// An object of a list that is not complete yet. It replaces what was known of it at once, so
    /// that a list of tens of thousands is in memory only once.
    Listing(K, Option<T>),
    /// A list is complete: these objects exist, and no others.
    Listed(BTreeSet<K>),
    /// An object was added or modified.
    Set(K, Option<T>),
    /// An object was deleted.
    Deleted(K),
    /// Whether the API server answers.
    Current(bool),
}

impl<K: Ord + Clone, T> ObjectEvent<K, T> {
    /// What a complete list reports.
    pub fn list(all: impl IntoIterator<Item = (K, Option<T>)>) -> Vec<Self> {
        let mut keys = BTreeSet::new();
        let listing = |(key, object): (K, Option<T>)| {
            keys.insert(key.clone());
            Self::Listing(key, object)
        };
        let mut events: Vec<Self> = all.into_iter().map(listing).collect();
        events.push(Self::Listed(keys));
        events
    }

    fn object_mut(&mut self) -> Option<(&mut K, &mut Option<T>)> {
        match self {
            Self::Listing(key, object) | Self::Set(key, object) => Some((key, object)),
            Self::Listed(_) | Self::Deleted(_) | Self::Current(_) => None,
        }
    }
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
    /// The texts of StaticIPs and claims.
    texts: SharedTexts,
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
        let Self { view, synced, texts } = self;
        match event {
            ClusterEvent::StaticIps(mut event) => {
                if let Some((_address, Some(object))) = event.object_mut() {
                    object.share(texts);
                }
                if let ObjectEvent::Listed(_) = event {
                    texts.drop_unused();
                }
                synced.apply(Kind::StaticIps, &mut view.addresses, event);
            }
            ClusterEvent::Claims(mut event) => {
                if let Some((member, object)) = event.object_mut() {
                    member.share(texts);
                    if let Some(object) = object {
                        object.share(texts);
                    }
                }
                synced.apply(Kind::Claims, &mut view.claims, event);
            }
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

    fn apply<K: Ord, T, V: From<T>>(
        &mut self,
        kind: Kind,
        objects: &mut BTreeMap<K, Option<V>>,
        event: ObjectEvent<K, T>,
    ) {
        match event {
            ObjectEvent::Listed(all) => {
                objects.retain(|key, _| all.contains(key));
                self.listed.insert(kind);
            }
            ObjectEvent::Listing(key, object) | ObjectEvent::Set(key, object) => {
                objects.insert(key, object.map(V::from));
            }
            ObjectEvent::Deleted(key) => drop(objects.remove(&key)),
            ObjectEvent::Current(true) => drop(self.unavailable.remove(&kind)),
            ObjectEvent::Current(false) => drop(self.unavailable.insert(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(cache: &ClusterCache) -> Vec<&str> {
        cache.content().nodes.keys().map(NodeName::as_str).collect()
    }

    #[test]
    fn only_a_complete_list_shows_that_an_object_is_gone() {
        let mut cache = ClusterCache::default();
        let name = |text: &str| NodeName::new(text).unwrap();
        let mut tell = |event| {
            cache.apply(ClusterEvent::Nodes(event));
            let all = nodes(&cache).join(" ");
            (all, cache.synced.listed.contains(&Kind::Nodes))
        };
        assert_eq!(tell(ObjectEvent::Listing(name("a"), None)), ("a".to_owned(), false));
        assert_eq!(tell(ObjectEvent::Listing(name("b"), None)), ("a b".to_owned(), false));
        let all = BTreeSet::from(["a", "b"].map(name));
        assert_eq!(tell(ObjectEvent::Listed(all)), ("a b".to_owned(), true));
        // A list that does not end, and then one that does.
        assert_eq!(tell(ObjectEvent::Listing(name("c"), None)), ("a b c".to_owned(), true));
        assert_eq!(tell(ObjectEvent::Listing(name("b"), None)), ("a b c".to_owned(), true));
        assert_eq!(tell(ObjectEvent::Listed([name("b")].into())), ("b".to_owned(), true));
    }
}
