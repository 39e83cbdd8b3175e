//! What has to be seen again before anybody acts on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::time::Moment;

#[derive(Debug, Clone)]
struct Suspicion<V> {
    what: V,
    since: Moment,
    passes: u32,
}

/// Suspicions from pass to pass. One that a pass does not find any more is forgotten, one that
/// changes begins anew, and one whose pass could not be finished stays as it is.
#[derive(Debug, Clone)]
pub(crate) struct Suspects<K, V>(BTreeMap<K, Suspicion<V>>);

impl<K, V> Default for Suspects<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: PartialEq> Suspects<K, V> {
    pub(crate) fn pass(&mut self, found: BTreeMap<K, V>, unknown: &BTreeSet<K>, now: Moment) {
        let mut before = std::mem::take(&mut self.0);
        for (key, what) in found {
            let again = before.remove(&key).filter(|last| last.what == what);
            let (since, passes) = again.map_or((now, 0), |last| (last.since, last.passes));
            self.0.insert(key, Suspicion { what, since, passes: passes.saturating_add(1) });
        }
        before.retain(|key, _| unknown.contains(key));
        self.0.append(&mut before);
    }

    /// Those that two passes found and that are as old as `grace` says.
    pub(crate) fn due(
        &self,
        now: Moment,
        grace: impl Fn(&K, &V) -> Duration,
    ) -> impl Iterator<Item = (&K, &V)> {
        let due = move |(key, it): &(&K, &Suspicion<V>)| {
            it.passes >= 2 && now.since(it.since) >= grace(key, &it.what)
        };
        self.0.iter().filter(due).map(|(key, it)| (key, &it.what))
    }
}
