//! Round-robin over keys, where one pass cannot process all of them.

use std::collections::BTreeSet;

/// Limits how many keys of one sort a pass processes, and covers all keys within a few passes: many
/// objects must not delay more urgent operations, and keys that always fail must not delay others.
#[derive(Debug, Clone)]
pub(crate) struct RoundRobin<K> {
    /// The last key of the last batch.
    last: Option<K>,
    /// The last key before the last batch, and the batch.
    before: Option<K>,
    batch: Vec<K>,
}

impl<K> Default for RoundRobin<K> {
    fn default() -> Self {
        Self { last: None, before: None, batch: Vec::new() }
    }
}

impl<K: Ord + Clone> RoundRobin<K> {
    /// The next keys, at most `at_once`.
    pub(crate) fn take<'a>(&mut self, mut all: BTreeSet<&'a K>, at_once: usize) -> Vec<&'a K> {
        let mut behind = match &self.last {
            Some(last) => all.split_off(last),
            None => std::mem::take(&mut all),
        };
        // The last key itself comes last.
        let first = self.last.as_ref().and_then(|last| behind.take(last));
        let batch = behind.into_iter().chain(all).chain(first).take(at_once);
        let batch: Vec<&K> = batch.collect();
        self.batch = batch.iter().map(|key| (*key).clone()).collect();
        self.before = std::mem::replace(&mut self.last, self.batch.last().cloned());
        batch
    }

    /// The last batch skipped these keys: the next batch starts with the first of them.
    pub(crate) fn skipped(&mut self, by: &BTreeSet<K>) {
        let Some(first) = self.batch.iter().position(|key| by.contains(key)) else { return };
        let had = first.checked_sub(1).and_then(|last| self.batch.get(last));
        self.last = had.or(self.before.as_ref()).cloned();
        self.batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(round_robin: &mut RoundRobin<u32>, all: &[u32], at_once: usize) -> Vec<u32> {
        round_robin.take(all.iter().collect(), at_once).into_iter().copied().collect()
    }

    #[test]
    fn every_key_gets_its_turn() {
        let mut round_robin = RoundRobin::default();
        let taken: Vec<_> = (0..4).map(|_| taken(&mut round_robin, &[1, 2, 3, 4, 5], 2)).collect();
        assert_eq!(taken, [[1, 2], [3, 4], [5, 1], [2, 3]]);
    }

    #[test]
    fn none_has_two_turns_at_once() {
        let mut round_robin = RoundRobin::default();
        assert_eq!(taken(&mut round_robin, &[1, 2], 5), [1, 2]);
        assert_eq!(taken(&mut round_robin, &[1, 2], 5), [1, 2]);
    }

    #[test]
    fn skipped_keys_come_first_in_the_next_batch() {
        let mut round_robin = RoundRobin::default();
        let skipped = |keys: &[u32]| keys.iter().copied().collect();
        assert_eq!(taken(&mut round_robin, &[1, 2, 3, 4], 4), [1, 2, 3, 4]);
        round_robin.skipped(&skipped(&[3, 4]));
        assert_eq!(taken(&mut round_robin, &[1, 2, 3, 4], 4), [3, 4, 1, 2]);
        round_robin.skipped(&skipped(&[3, 4, 1, 2]));
        assert_eq!(taken(&mut round_robin, &[1, 2, 3, 4], 4), [3, 4, 1, 2]);
        round_robin.skipped(&skipped(&[2]));
        assert_eq!(taken(&mut round_robin, &[1, 2, 3, 4], 4), [2, 3, 4, 1]);
    }

    #[test]
    fn removed_keys_leave_no_gap() {
        let mut round_robin = RoundRobin::default();
        assert_eq!(taken(&mut round_robin, &[1, 2, 3, 4, 5, 6], 3), [1, 2, 3]);
        assert_eq!(taken(&mut round_robin, &[1, 2, 5], 2), [5, 1]);
        assert_eq!(taken(&mut round_robin, &[], 2), [0_u32; 0]);
    }
}
