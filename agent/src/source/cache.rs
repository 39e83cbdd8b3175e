//! The cache of one kind, filled by lists and watches, with the objects that need a fresh read. No
//! I/O.
//!
//! Guarantees: an object that disappears from the list or watch, or goes back to an older state, is
//! doubtful: it counts as neither present nor absent until a fresh read confirms it. Caveats:
//! cached data is stale by nature and authorises no change.

use std::collections::{BTreeMap, BTreeSet};

/// The cache of one kind.
#[derive(Debug)]
pub(super) struct Cache<K, T> {
    /// Listed and watched objects; none for an object that cannot be parsed.
    reported: BTreeMap<K, Option<T>>,
    /// Results of later fresh reads; each holds until the watch reports the same object.
    fresh: BTreeMap<K, Option<T>>,
    doubts: BTreeSet<K>,
    /// Reported objects that a list in progress has not shown yet.
    unlisted: BTreeSet<K>,
    complete: bool,
    /// Whether the second object is older than the first.
    is_older: fn(&T, &T) -> bool,
}

/// The state of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a, T> {
    /// The object exists.
    Present(&'a T),
    /// The object exists but cannot be parsed.
    Invalid,
    /// A fresh read found no object.
    Absent,
    /// Unknown until a fresh read.
    Doubtful,
}

impl<K: Ord + Clone, T> Cache<K, T> {
    pub(super) fn new(is_older: fn(&T, &T) -> bool) -> Self {
        Self {
            reported: BTreeMap::new(),
            fresh: BTreeMap::new(),
            doubts: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            complete: false,
            is_older,
        }
    }

    /// Whether the kind was listed at least once.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The keys of the listed and watched objects.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.reported.keys()
    }

    /// The listed and watched objects that can be parsed, without later fresh reads.
    pub(super) fn reported(&self) -> impl Iterator<Item = (&K, &T)> {
        self.reported.iter().filter_map(|(key, object)| Some((key, object.as_ref()?)))
    }

    pub(super) fn known(&self, key: &K) -> Known<'_, T> {
        if self.doubts.contains(key) {
            return Known::Doubtful;
        }
        match (self.fresh.get(key), self.reported.get(key)) {
            (Some(Some(object)), _) | (None, Some(Some(object))) => Known::Present(object),
            (Some(None), _) => Known::Absent,
            (None, Some(None)) => Known::Invalid,
            (None, None) => Known::Doubtful,
        }
    }

    /// A list begins, perhaps again after one that did not end.
    pub(super) fn list_begins(&mut self) {
        self.unlisted = self.reported.keys().cloned().collect();
    }

    /// A list is complete, and its objects are applied: the others are gone.
    pub(super) fn listed(&mut self) {
        for key in std::mem::take(&mut self.unlisted) {
            self.gone(key);
        }
        // Fresh reads of other objects are older than this list.
        let reported = &self.reported;
        self.fresh.retain(|key, _| reported.contains_key(key));
        self.complete = true;
    }

    /// Applies an added, modified or listed object.
    pub(super) fn changed(&mut self, key: K, object: Option<T>) {
        self.unlisted.remove(&key);
        let before = self.reported.get(&key).and_then(Option::as_ref);
        let fresh = self.fresh.remove(&key);
        let last = fresh.as_ref().map_or(before, Option::as_ref);
        let back = object.as_ref().zip(last).is_some_and(|(new, old)| (self.is_older)(old, new));
        if back || matches!(fresh, Some(None)) {
            self.doubts.insert(key.clone());
        } else {
            self.doubts.remove(&key);
        }
        self.reported.insert(key, object);
    }

    /// Applies a deletion, or that an object left the watch.
    pub(super) fn gone(&mut self, key: K) {
        self.unlisted.remove(&key);
        self.reported.remove(&key);
        self.fresh.remove(&key);
        self.doubts.insert(key);
    }

    /// Applies a fresh read.
    pub(super) fn confirmed(&mut self, key: K, object: Option<T>) {
        self.doubts.remove(&key);
        self.fresh.insert(key, object);
    }

    /// Drops doubts and fresh reads of objects that are neither wanted nor listed.
    pub(super) fn retain(&mut self, wanted: &BTreeSet<K>) {
        let reported = &self.reported;
        let is_needed = |key: &K| wanted.contains(key) || reported.contains_key(key);
        self.doubts.retain(is_needed);
        self.fresh.retain(|key, _| is_needed(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache whose objects are their versions.
    fn cache(listed: &[(&'static str, u64)]) -> Cache<&'static str, u64> {
        let mut cache = Cache::new(|old, new| new < old);
        list(&mut cache, listed);
        cache
    }

    fn list(cache: &mut Cache<&'static str, u64>, all: &[(&'static str, u64)]) {
        cache.list_begins();
        for (key, object) in all {
            cache.changed(key, Some(*object));
        }
        cache.listed();
    }

    #[test]
    fn listed_object_is_present_until_it_is_deleted() {
        let mut it = cache(&[("a", 1), ("b", 1)]);
        assert!(it.is_complete());
        assert_eq!(it.known(&"a"), Known::Present(&1));
        it.changed("a", Some(2));
        assert_eq!(it.known(&"a"), Known::Present(&2));
        it.gone("a");
        assert_eq!(it.known(&"a"), Known::Doubtful);
        it.confirmed("a", None);
        assert_eq!(it.known(&"a"), Known::Absent);
        assert_eq!(it.known(&"b"), Known::Present(&1));
    }

    #[test]
    fn f036_object_missing_from_a_list_is_doubtful_not_absent() {
        let mut it = cache(&[("a", 1)]);
        list(&mut it, &[]);
        assert_eq!(it.known(&"a"), Known::Doubtful);
        assert_eq!(it.known(&"never seen"), Known::Doubtful);
        it.confirmed("a", Some(1));
        assert_eq!(it.known(&"a"), Known::Present(&1));
        list(&mut it, &[]);
        assert_eq!(it.known(&"a"), Known::Doubtful, "after each list without it");
    }

    #[test]
    fn f037_object_that_goes_back_needs_a_fresh_read_which_then_holds() {
        let mut it = cache(&[("a", 5)]);
        list(&mut it, &[("a", 3)]);
        assert_eq!(it.known(&"a"), Known::Doubtful);
        it.confirmed("a", Some(5));
        assert_eq!(it.known(&"a"), Known::Present(&5));
        list(&mut it, &[("a", 3)]);
        assert_eq!(it.known(&"a"), Known::Doubtful, "the old list again");
        it.confirmed("a", Some(3));
        assert_eq!(it.known(&"a"), Known::Present(&3), "the registry was restored from a backup");
        it.changed("a", Some(4));
        assert_eq!(it.known(&"a"), Known::Present(&4));
    }

    #[test]
    fn f037_absent_object_does_not_return_by_an_old_list() {
        let mut it = cache(&[("a", 5)]);
        it.gone("a");
        it.confirmed("a", None);
        it.changed("a", Some(5));
        assert_eq!(it.known(&"a"), Known::Doubtful);
    }

    #[test]
    fn unparsable_object_is_not_absent() {
        let mut it = cache(&[("a", 1)]);
        it.list_begins();
        it.changed("a", None);
        assert_eq!(it.known(&"a"), Known::Invalid);
        it.listed();
        assert_eq!(it.known(&"a"), Known::Invalid);
    }

    #[test]
    fn unneeded_doubts_and_fresh_reads_are_dropped() {
        let mut it = cache(&[("a", 1), ("b", 1)]);
        it.gone("a");
        it.confirmed("c", Some(1));
        it.retain(&BTreeSet::from(["b"]));
        assert_eq!((it.doubts.len(), it.fresh.len()), (0, 0));
        assert_eq!(it.known(&"b"), Known::Present(&1));
    }
}
