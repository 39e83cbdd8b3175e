//! Findings that must persist before the leader acts on them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::time::Moment;

#[derive(Debug, Clone)]
struct Finding<V> {
    what: V,
    since: Moment,
    passes: u32,
}

/// Findings from pass to pass. A finding that a pass does not confirm is dropped, one that changes
/// starts over, and one that a pass could not check stays unchanged.
#[derive(Debug, Clone)]
pub(crate) struct Findings<K, V>(BTreeMap<K, Finding<V>>);

impl<K, V> Default for Findings<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: PartialEq> Findings<K, V> {
    pub(crate) fn pass(&mut self, found: BTreeMap<K, V>, unknown: &BTreeSet<K>, now: Moment) {
        let mut before = std::mem::take(&mut self.0);
        for (key, what) in found {
            let again = before.remove(&key).filter(|last| last.what == what);
            let (since, passes) = again.map_or((now, 0), |last| (last.since, last.passes));
            self.0.insert(key, Finding { what, since, passes: passes.saturating_add(1) });
        }
        before.retain(|key, _| unknown.contains(key));
        self.0.append(&mut before);
    }

    /// The findings that two passes confirmed and that are at least as old as `grace`.
    pub(crate) fn due(
        &self,
        now: Moment,
        grace: impl Fn(&K, &V) -> Duration,
    ) -> impl Iterator<Item = (&K, &V)> {
        let due = move |(key, it): &(&K, &Finding<V>)| {
            it.passes >= 2 && now.since(it.since) >= grace(key, &it.what)
        };
        self.0.iter().filter(due).map(|(key, it)| (key, &it.what))
    }
}
