//! How long EC2 may take to answer a read.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// In a brown-out, an answer may take this many times as long as usual.
const GROWTH: u32 = 4;

/// The bound of the next answer: twice as long after each answer that did not come in time, and as
/// usual again after one that did.
#[derive(Debug)]
pub(super) struct AnswerBound {
    usual: Duration,
    next: Mutex<Duration>,
}

impl AnswerBound {
    /// With this bound while EC2 answers.
    pub(super) fn new(usual: Duration) -> Self {
        Self { usual, next: Mutex::new(usual) }
    }

    pub(super) fn next(&self) -> Duration {
        *self.lock()
    }

    /// No answer came within this time. Of requests that ran side by side, only the first doubles
    /// the bound.
    pub(super) fn elapsed(&self, within: Duration) {
        let longest = self.usual.saturating_mul(GROWTH);
        let mut next = self.lock();
        *next = (*next).max(within.saturating_mul(2).min(longest));
    }

    /// An answer took this long.
    pub(super) fn answered(&self, took: Duration) {
        if took <= self.usual {
            *self.lock() = self.usual;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Duration> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_bound_doubles_up_to_a_limit_and_returns_after_an_answer_in_usual_time() {
        let bound = AnswerBound::new(seconds(2));
        let bounds = [2, 4, 8, 8].map(|wanted| {
            assert_eq!(bound.next(), seconds(wanted));
            bound.elapsed(bound.next());
        });
        assert_eq!(bounds.len(), 4);
        bound.answered(seconds(3));
        assert_eq!(bound.next(), seconds(8), "EC2 is still slower than usual");
        bound.answered(seconds(2));
        assert_eq!(bound.next(), seconds(2));
    }

    #[test]
    fn requests_side_by_side_double_the_bound_once() {
        let bound = AnswerBound::new(seconds(2));
        let within = bound.next();
        for _ in 0..10 {
            bound.elapsed(within);
        }
        assert_eq!(bound.next(), seconds(4));
        bound.elapsed(seconds(1));
        assert_eq!(bound.next(), seconds(4), "a call that had little time says nothing");
    }
}
