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
    /// A list begins. One that was not complete does not count.
    ListBegins,
    /// An object of that list. It replaces what was known of it at once, so that a list of tens of
    /// thousands is in memory only once.
    Listing(K, Option<T>),
    /// The list is complete: its objects exist, and no others.
    Listed,
    /// An object was added or modified.
    Set(K, Option<T>),
    /// An object was deleted.
    Deleted(K),
    /// Whether the API server answers.
    Current(bool),
}

impl<K, T> ObjectEvent<K, T> {
    /// What a complete list reports.
    pub fn list(all: impl IntoIterator<Item = (K, Option<T>)>) -> Vec<Self> {
        let listing = all.into_iter().map(|(key, object)| Self::Listing(key, object));
        [Self::ListBegins].into_iter().chain(listing).chain([Self::Listed]).collect()
    }

    fn object_mut(&mut self) -> Option<(&mut K, &mut Option<T>)> {
        match self {
            Self::Listing(key, object) | Self::Set(key, object) => Some((key, object)),
            Self::ListBegins | Self::Listed | Self::Deleted(_) | Self::Current(_) => None,
        }
    }
}

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

/// How far the cache of each kind is up to date.
#[derive(Debug, Default)]
struct Synced {
    static_ips: SyncedKind<Ipv4Addr>,
    claims: SyncedKind<Member>,
    pools: SyncedKind<PoolName>,
    sets: SyncedKind<NamespacedName>,
    nodes: SyncedKind<NodeName>,
    interfaces: SyncedKind<InterfaceName>,
    gated_pods: SyncedKind<Member>,
    services: SyncedKind<NamespacedName>,
    slices: SyncedKind<NamespacedName>,
    records: SyncedKind<NamespacedName>,
}

#[derive(Debug)]
struct SyncedKind<K> {
    /// Whether it was listed at least once.
    listed: bool,
    /// Whether the last list or watch failed.
    unavailable: bool,
    /// Cached objects that a list in progress has not shown yet.
    unlisted: BTreeSet<K>,
}

impl ClusterCache {
    /// The cluster, if all kinds are listed and up to date.
    pub(super) fn view(&self) -> Option<&View> {
        self.synced.is_current().then_some(&self.view)
    }

    /// The same, if Services and EndpointSlices are up to date, too.
    pub(super) fn names(&self) -> Option<&View> {
        let Synced { services, slices, .. } = &self.synced;
        self.view().filter(|_| services.is_current() && slices.is_current())
    }

    /// What is known about the DNSEndpoints.
    pub(super) fn records(&self) -> RecordsKnown {
        match (self.synced.records.listed, self.synced.records.unavailable) {
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
                if let ObjectEvent::Listed = event {
                    texts.drop_unused();
                }
                synced.static_ips.apply(&mut view.addresses, event);
            }
            ClusterEvent::Claims(mut event) => {
                if let Some((member, object)) = event.object_mut() {
                    member.share(texts);
                    if let Some(object) = object {
                        object.share(texts);
                    }
                }
                synced.claims.apply(&mut view.claims, event);
            }
            ClusterEvent::Pools(event) => synced.pools.apply(&mut view.pools, event),
            ClusterEvent::Sets(event) => synced.sets.apply(&mut view.sets, event),
            ClusterEvent::Nodes(event) => synced.nodes.apply(&mut view.nodes, event),
            ClusterEvent::GatedPods(event) => {
                synced.gated_pods.apply(&mut view.gated_pods, event);
            }
            ClusterEvent::Interfaces(event) => {
                synced.interfaces.apply(&mut view.interfaces, event);
            }
            ClusterEvent::Services(event) => {
                synced.services.apply(&mut view.services, event);
            }
            ClusterEvent::Slices(event) => synced.slices.apply(&mut view.slices, event),
            ClusterEvent::Records(event) => synced.records.apply(&mut view.records, event),
        }
    }
}

impl Synced {
    /// Whether all is listed and up to date without which nothing is planned. Interfaces do not
    /// count: until they are listed, none is removed.
    fn is_current(&self) -> bool {
        self.static_ips.is_current()
            && self.claims.is_current()
            && self.pools.is_current()
            && self.sets.is_current()
            && self.nodes.is_current()
            && self.gated_pods.is_current()
    }
}

impl<K> Default for SyncedKind<K> {
    fn default() -> Self {
        Self { listed: false, unavailable: false, unlisted: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> SyncedKind<K> {
    fn is_current(&self) -> bool {
        self.listed && !self.unavailable
    }

    fn apply<T, V: From<T>>(
        &mut self,
        objects: &mut BTreeMap<K, Option<V>>,
        event: ObjectEvent<K, T>,
    ) {
        match event {
            ObjectEvent::ListBegins => self.unlisted = objects.keys().cloned().collect(),
            ObjectEvent::Listed => {
                for key in std::mem::take(&mut self.unlisted) {
                    objects.remove(&key);
                }
                self.listed = true;
            }
            ObjectEvent::Listing(key, object) | ObjectEvent::Set(key, object) => {
                self.unlisted.remove(&key);
                objects.insert(key, object.map(V::from));
            }
            ObjectEvent::Deleted(key) => drop(objects.remove(&key)),
            ObjectEvent::Current(current) => self.unavailable = !current,
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
            (all, cache.synced.nodes.listed)
        };
        let listing = |text| ObjectEvent::Listing(name(text), None);
        let seen = |all: &str, listed| (all.to_owned(), listed);
        assert_eq!(tell(ObjectEvent::ListBegins), seen("", false));
        assert_eq!(tell(listing("a")), seen("a", false));
        assert_eq!(tell(listing("b")), seen("a b", false));
        assert_eq!(tell(ObjectEvent::Listed), seen("a b", true));
        // A list that does not end, and then one that does.
        assert_eq!(tell(ObjectEvent::ListBegins), seen("a b", true));
        assert_eq!(tell(listing("c")), seen("a b c", true));
        assert_eq!(tell(ObjectEvent::ListBegins), seen("a b c", true));
        assert_eq!(tell(listing("b")), seen("a b c", true));
        assert_eq!(tell(ObjectEvent::Listed), seen("b", true));
    }
}
