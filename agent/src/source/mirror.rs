//! What lists and watches have told of one kind, and what of it has to be read afresh before it is
//! believed. No I/O.
//!
//! Guarantees: an object that was there and is not told any more, or is told as it was before, is
//! doubtful: until a fresh read has confirmed it, it is neither there nor absent. Caveats: what is
//! told is old by nature, and authorises nothing.

use std::collections::{BTreeMap, BTreeSet};

/// One kind.
#[derive(Debug)]
pub(super) struct Mirror<K, T> {
    /// What was told; none for what is there and cannot be read.
    told: BTreeMap<K, Option<T>>,
    /// What fresh reads said since: it stands until something is told of the same object.
    fresh: BTreeMap<K, Option<T>>,
    doubts: BTreeSet<K>,
    complete: bool,
    /// Whether the second is from before the first.
    goes_back: fn(&T, &T) -> bool,
}

/// What is known of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a, T> {
    /// It is there.
    There(&'a T),
    /// It is there, and nobody can read it.
    Unread,
    /// A fresh read has found none.
    Absent,
    /// Only a fresh read can say.
    Doubtful,
}

impl<K: Ord + Clone, T> Mirror<K, T> {
    pub(super) fn new(goes_back: fn(&T, &T) -> bool) -> Self {
        Self {
            told: BTreeMap::new(),
            fresh: BTreeMap::new(),
            doubts: BTreeSet::new(),
            complete: false,
            goes_back,
        }
    }

    /// Everything has been listed at least once.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What is there, as far as anybody told.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.told.keys()
    }

    pub(super) fn known(&self, key: &K) -> Known<'_, T> {
        if self.doubts.contains(key) {
            return Known::Doubtful;
        }
        match (self.fresh.get(key), self.told.get(key)) {
            (Some(Some(object)), _) | (None, Some(Some(object))) => Known::There(object),
            (Some(None), _) => Known::Absent,
            (None, Some(None)) => Known::Unread,
            (None, None) => Known::Doubtful,
        }
    }

    /// Takes in a whole list.
    pub(super) fn listed(&mut self, all: impl IntoIterator<Item = (K, Option<T>)>) {
        let mut before = std::mem::take(&mut self.told);
        for (key, object) in all {
            self.set(key.clone(), object, before.remove(&key).flatten().as_ref());
        }
        for key in before.into_keys() {
            self.gone(key);
        }
        // Whatever else was read afresh was so before this list.
        let told = &self.told;
        self.fresh.retain(|key, _| told.contains_key(key));
        self.complete = true;
    }

    /// Takes in one object.
    pub(super) fn changed(&mut self, key: K, object: Option<T>) {
        let before = self.told.remove(&key).flatten();
        self.set(key, object, before.as_ref());
    }

    fn set(&mut self, key: K, object: Option<T>, before: Option<&T>) {
        let fresh = self.fresh.remove(&key);
        let last = fresh.as_ref().map_or(before, |fresh| fresh.as_ref());
        let back = object.as_ref().zip(last).is_some_and(|(new, old)| (self.goes_back)(old, new));
        if back || matches!(fresh, Some(None)) {
            self.doubts.insert(key.clone());
        } else {
            self.doubts.remove(&key);
        }
        self.told.insert(key, object);
    }

    /// Takes in that an object is not among them any more.
    pub(super) fn gone(&mut self, key: K) {
        self.told.remove(&key);
        self.fresh.remove(&key);
        self.doubts.insert(key);
    }

    /// Takes in what a fresh read said.
    pub(super) fn confirmed(&mut self, key: K, object: Option<T>) {
        self.doubts.remove(&key);
        self.fresh.insert(key, object);
    }

    /// Forgets what nobody asks for any more.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<K>) {
        let told = &self.told;
        let of_use = |key: &K| wanted.contains(key) || told.contains_key(key);
        self.doubts.retain(of_use);
        self.fresh.retain(|key, _| of_use(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects are their versions.
    fn mirror(listed: &[(&'static str, u64)]) -> Mirror<&'static str, u64> {
        let mut mirror = Mirror::new(|old, new| new < old);
        mirror.listed(listed.iter().map(|(key, object)| (*key, Some(*object))));
        mirror
    }

    #[test]
    fn what_is_told_is_there_until_it_is_told_to_be_gone() {
        let mut it = mirror(&[("a", 1), ("b", 1)]);
        assert!(it.is_complete());
        assert_eq!(it.known(&"a"), Known::There(&1));
        it.changed("a", Some(2));
        assert_eq!(it.known(&"a"), Known::There(&2));
        it.gone("a");
        assert_eq!(it.known(&"a"), Known::Doubtful);
        it.confirmed("a", None);
        assert_eq!(it.known(&"a"), Known::Absent);
        assert_eq!(it.known(&"b"), Known::There(&1));
    }

    #[test]
    fn f036_what_a_list_leaves_out_is_doubtful_and_not_absent() {
        let mut it = mirror(&[("a", 1)]);
        it.listed([]);
        assert_eq!(it.known(&"a"), Known::Doubtful);
        assert_eq!(it.known(&"never seen"), Known::Doubtful);
        it.confirmed("a", Some(1));
        assert_eq!(it.known(&"a"), Known::There(&1));
        it.listed([]);
        assert_eq!(it.known(&"a"), Known::Doubtful, "each list that leaves it out");
    }

    #[test]
    fn f037_an_object_that_goes_back_is_read_afresh_and_the_fresh_word_stands() {
        let mut it = mirror(&[("a", 5)]);
        it.listed([("a", Some(3))]);
        assert_eq!(it.known(&"a"), Known::Doubtful);
        it.confirmed("a", Some(5));
        assert_eq!(it.known(&"a"), Known::There(&5));
        it.listed([("a", Some(3))]);
        assert_eq!(it.known(&"a"), Known::Doubtful, "the old list again");
        it.confirmed("a", Some(3));
        assert_eq!(it.known(&"a"), Known::There(&3), "the registry was restored from a backup");
        it.changed("a", Some(4));
        assert_eq!(it.known(&"a"), Known::There(&4));
    }

    #[test]
    fn f037_an_object_that_a_fresh_read_did_not_find_does_not_come_back_by_an_old_list() {
        let mut it = mirror(&[("a", 5)]);
        it.gone("a");
        it.confirmed("a", None);
        it.changed("a", Some(5));
        assert_eq!(it.known(&"a"), Known::Doubtful);
    }

    #[test]
    fn what_cannot_be_read_is_there_all_the_same() {
        let mut it = mirror(&[("a", 1)]);
        it.changed("a", None);
        assert_eq!(it.known(&"a"), Known::Unread);
        it.listed([("a", None)]);
        assert_eq!(it.known(&"a"), Known::Unread);
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let mut it = mirror(&[("a", 1), ("b", 1)]);
        it.gone("a");
        it.confirmed("c", Some(1));
        it.keep(&BTreeSet::from(["b"]));
        assert_eq!((it.doubts.len(), it.fresh.len()), (0, 0));
        assert_eq!(it.known(&"b"), Known::There(&1));
    }
}
