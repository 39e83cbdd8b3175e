//! Whose turn it is, where not everything can be done in one pass.

use std::collections::BTreeSet;

/// So many of each thing have their turn in one pass, and all of them within a few passes: what a
/// large cluster has much of must not hold up what is more urgent, and what is always refused must
/// not hold up the others.
#[derive(Debug, Clone)]
pub(crate) struct Turns<K> {
    /// Where the last turn ended.
    last: Option<K>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { last: None }
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
        self.last = turn.last().map(|key| (*key).clone());
        turn
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
    fn those_that_went_meanwhile_leave_no_gap() {
        let mut turns = Turns::default();
        assert_eq!(taken(&mut turns, &[1, 2, 3, 4, 5, 6], 3), [1, 2, 3]);
        assert_eq!(taken(&mut turns, &[1, 2, 5], 2), [5, 1]);
        assert_eq!(taken(&mut turns, &[], 2), [0_u32; 0]);
    }
}
