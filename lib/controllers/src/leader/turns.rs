//! Whose turn it is, where not everything can be done in one pass.

use std::collections::BTreeSet;

/// So many of each thing have their turn in one pass, and all of them within a few passes: what a
/// large cluster has much of must not hold up what is more urgent, and what is always refused must
/// not hold up the others.
#[derive(Debug, Clone)]
pub(crate) struct Turns<K> {
    /// Where the last turn ended.
    last: Option<K>,
    /// Where it began, and whose it was.
    before: Option<K>,
    turn: Vec<K>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { last: None, before: None, turn: Vec::new() }
    }
}

impl<K: Ord + Clone> Turns<K> {
    /// The next ones, at most so many.
    pub(crate) fn take<'a>(&mut self, mut all: BTreeSet<&'a K>, at_once: usize) -> Vec<&'a K> {
        let mut behind = match &self.last {
            Some(last) => all.split_off(last),
            None => std::mem::take(&mut all),
        };
        // The last one itself comes last.
        let first = self.last.as_ref().and_then(|last| behind.take(last));
        let turn = behind.into_iter().chain(all).chain(first).take(at_once);
        let turn: Vec<&K> = turn.collect();
        self.turn = turn.iter().map(|key| (*key).clone()).collect();
        self.before = std::mem::replace(&mut self.last, self.turn.last().cloned());
        turn
    }

    /// There was no time for these in the last turn: the next one begins with the first of them.
    pub(crate) fn cut_short(&mut self, by: &BTreeSet<K>) {
        let Some(first) = self.turn.iter().position(|key| by.contains(key)) else { return };
        let had = first.checked_sub(1).and_then(|last| self.turn.get(last));
        self.last = had.or(self.before.as_ref()).cloned();
        self.turn.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(turns: &mut Turns<u32>, all: &[u32], at_once: usize) -> Vec<u32> {
        turns.take(all.iter().collect(), at_once).into_iter().copied().collect()
    }

    #[test]
    fn each_has_its_turn() {
        let mut turns = Turns::default();
        let taken: Vec<_> = (0..4).map(|_| taken(&mut turns, &[1, 2, 3, 4, 5], 2)).collect();
        assert_eq!(taken, [[1, 2], [3, 4], [5, 1], [2, 3]]);
    }

    #[test]
    fn none_has_two_turns_at_once() {
        let mut turns = Turns::default();
        assert_eq!(taken(&mut turns, &[1, 2], 5), [1, 2]);
        assert_eq!(taken(&mut turns, &[1, 2], 5), [1, 2]);
    }

    #[test]
    fn who_had_no_time_in_a_turn_comes_first_in_the_next() {
        let mut turns = Turns::default();
        let unasked = |keys: &[u32]| keys.iter().copied().collect();
        assert_eq!(taken(&mut turns, &[1, 2, 3, 4], 4), [1, 2, 3, 4]);
        turns.cut_short(&unasked(&[3, 4]));
        assert_eq!(taken(&mut turns, &[1, 2, 3, 4], 4), [3, 4, 1, 2]);
        turns.cut_short(&unasked(&[3, 4, 1, 2]));
        assert_eq!(taken(&mut turns, &[1, 2, 3, 4], 4), [3, 4, 1, 2]);
        turns.cut_short(&unasked(&[2]));
        assert_eq!(taken(&mut turns, &[1, 2, 3, 4], 4), [2, 3, 4, 1]);
    }

    #[test]
    fn those_that_went_meanwhile_leave_no_gap() {
        let mut turns = Turns::default();
        assert_eq!(taken(&mut turns, &[1, 2, 3, 4, 5, 6], 3), [1, 2, 3]);
        assert_eq!(taken(&mut turns, &[1, 2, 5], 2), [5, 1]);
        assert_eq!(taken(&mut turns, &[], 2), [0_u32; 0]);
    }
}
