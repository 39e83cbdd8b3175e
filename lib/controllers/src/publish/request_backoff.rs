//! Backoff of failed steps.

use std::time::Duration;

use firecamp_core::time::Moment;

/// The pause after the first failure; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause, without jitter.
const LONGEST: Duration = Duration::from_mins(5);

/// The consecutive failures of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Retry {
    failures: u32,
    not_before: Option<Moment>,
}

impl Retry {
    /// Records a failure. `jitter` is any number: it extends the pause by up to half.
    pub(crate) fn failed(&mut self, now: Moment, jitter: u32) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        let more = pause.saturating_mul(jitter % 512) / 1024;
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now.plus(pause + more));
    }

    /// Whether the next attempt is due.
    pub(crate) fn is_open(&self, now: Moment) -> bool {
        self.not_before.is_none_or(|at| now >= at)
    }

    /// The number of consecutive failures.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_five_minutes_plus_up_to_half_jitter() {
        for jitter in [0, 511, 512, u32::MAX] {
            let (mut it, mut now) = (Retry::default(), Moment(Duration::ZERO));
            let mut last = Duration::ZERO;
            for _ in 0..20 {
                it.failed(now, jitter);
                let pause = (1..=500).map(Duration::from_secs).find(|d| it.is_open(now.plus(*d)));
                last = pause.unwrap();
                now = now.plus(last);
            }
            assert!((300..=450).contains(&last.as_secs()), "{jitter}: {last:?}");
        }
    }
}
