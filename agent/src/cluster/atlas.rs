//! The cluster as lists and watches tell it, while the Lease is held. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    AddressSeen, ClaimSeen, NodeSeen, PoolSeen, SetName, StatefulSet, View,
};
use firecamp_core::ids::{Member, NodeName, PoolName};
use firecamp_kube::{Event, Item, Key};

use crate::source::Told;

/// How many kinds are watched.
const KINDS: usize = 5;

/// Everything that was told.
#[derive(Debug, Default)]
pub(super) struct Atlas {
    view: View,
    listed: BTreeSet<&'static str>,
    /// The kinds whose server has not answered last.
    away: BTreeSet<&'static str>,
}

impl Atlas {
    /// The cluster, if all of it was listed and nothing of it is away.
    pub(super) fn view(&self) -> Option<&View> {
        (self.listed.len() == KINDS && self.away.is_empty()).then_some(&self.view)
    }

    pub(super) fn addresses(&mut self, told: Told<AddressSeen>) {
        let key = |key: &Key| key.name.parse::<Ipv4Addr>().ok();
        self.told("staticips", told, |view| &mut view.addresses, key);
    }

    pub(super) fn claims(&mut self, told: Told<ClaimSeen>) {
        let key = |key: &Key| Member::new(key.namespace.as_deref()?, &key.name).ok();
        self.told("staticipclaims", told, |view| &mut view.claims, key);
    }

    pub(super) fn pools(&mut self, told: Told<PoolSeen>) {
        self.told(
            "staticippools",
            told,
            |view| &mut view.pools,
            |key| PoolName::new(&key.name).ok(),
        );
    }

    pub(super) fn sets(&mut self, told: Told<StatefulSet>) {
        let key =
            |key: &Key| Some(SetName { namespace: key.namespace.clone()?, name: key.name.clone() });
        self.told("statefulsets", told, |view| &mut view.sets, key);
    }

    pub(super) fn nodes(&mut self, told: Told<NodeSeen>) {
        self.told("nodes", told, |view| &mut view.nodes, |key| NodeName::new(&key.name).ok());
    }

    fn told<K: Ord, T>(
        &mut self,
        kind: &'static str,
        told: Told<T>,
        map: impl FnOnce(&mut View) -> &mut BTreeMap<K, Option<T>>,
        parse: impl Fn(&Key) -> Option<K>,
    ) {
        let object = |item: Item<T>| {
            let key = parse(&item.key)?;
            let read = item.object.inspect_err(|why| {
                tracing::warn!(kind, name = item.key.name, error = why, "It cannot be read");
            });
            Some((key, read.ok()))
        };
        let map = map(&mut self.view);
        match told {
            Told::All(items) => {
                *map = items.into_iter().filter_map(object).collect();
                self.listed.insert(kind);
            }
            Told::One(Event::Set(item)) => map.extend(object(item)),
            Told::One(Event::Gone(key)) => {
                if let Some(key) = parse(&key) {
                    map.remove(&key);
                }
            }
            Told::One(Event::Bookmark) => {}
            Told::Current(true) => drop(self.away.remove(kind)),
            Told::Current(false) => drop(self.away.insert(kind)),
        }
    }
}
