//! The leader's cache of the cluster, filled by lists and watches. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    ObservedClaim, ObservedNode, ObservedPool, ObservedStaticIp, SetName, StatefulSet, View,
};
use firecamp_core::ids::{Member, NodeName, PoolName};
use firecamp_kube::{Event, Item, Key};

use crate::source::Reported;

/// Number of watched kinds.
const KINDS: usize = 5;

/// The cached objects.
#[derive(Debug, Default)]
pub(super) struct ClusterCache {
    view: View,
    listed: BTreeSet<&'static str>,
    /// Kinds whose last list or watch failed.
    unavailable: BTreeSet<&'static str>,
}

impl ClusterCache {
    /// The cluster, if all kinds are listed and up to date.
    pub(super) fn view(&self) -> Option<&View> {
        (self.listed.len() == KINDS && self.unavailable.is_empty()).then_some(&self.view)
    }

    pub(super) fn addresses(&mut self, reported: Reported<ObservedStaticIp>) {
        let key = |key: &Key| key.name.parse::<Ipv4Addr>().ok();
        self.reported("staticips", reported, |view| &mut view.addresses, key);
    }

    pub(super) fn claims(&mut self, reported: Reported<ObservedClaim>) {
        let key = |key: &Key| Member::new(key.namespace.as_deref()?, &key.name).ok();
        self.reported("staticipclaims", reported, |view| &mut view.claims, key);
    }

    pub(super) fn pools(&mut self, reported: Reported<ObservedPool>) {
        self.reported(
            "staticippools",
            reported,
            |view| &mut view.pools,
            |key| PoolName::new(&key.name).ok(),
        );
    }

    pub(super) fn sets(&mut self, reported: Reported<StatefulSet>) {
        let key =
            |key: &Key| Some(SetName { namespace: key.namespace.clone()?, name: key.name.clone() });
        self.reported("statefulsets", reported, |view| &mut view.sets, key);
    }

    pub(super) fn nodes(&mut self, reported: Reported<ObservedNode>) {
        self.reported(
            "nodes",
            reported,
            |view| &mut view.nodes,
            |key| NodeName::new(&key.name).ok(),
        );
    }

    fn reported<K: Ord, T>(
        &mut self,
        kind: &'static str,
        reported: Reported<T>,
        map: impl FnOnce(&mut View) -> &mut BTreeMap<K, Option<T>>,
        parse: impl Fn(&Key) -> Option<K>,
    ) {
        let object = |item: Item<T>| {
            let key = parse(&item.key)?;
            let read = item.object.inspect_err(|why| {
                tracing::warn!(kind, name = item.key.name, error = why, "failed to parse object");
            });
            Some((key, read.ok()))
        };
        let map = map(&mut self.view);
        match reported {
            Reported::All(items) => {
                *map = items.into_iter().filter_map(object).collect();
                self.listed.insert(kind);
            }
            Reported::One(Event::Set(item)) => map.extend(object(item)),
            Reported::One(Event::Gone(key)) => {
                if let Some(key) = parse(&key) {
                    map.remove(&key);
                }
            }
            Reported::One(Event::Bookmark) => {}
            Reported::Current(true) => drop(self.unavailable.remove(kind)),
            Reported::Current(false) => drop(self.unavailable.insert(kind)),
        }
    }
}
