//! Debounces problems, so that an idle node publishes nothing.

use std::time::Duration;

use firecamp_core::time::Moment;

use crate::volumes::detect_problem::Verdict;
use crate::volumes::reason::LEAVE;

/// One debounced problem of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Watch {
    /// The reported message, if the problem is reported.
    reported: Option<String>,
    /// Since when the verdict differs from what is reported.
    since: Option<Moment>,
    /// Since when the verdict has been bad, reported or not.
    bad: Option<Moment>,
}

impl Watch {
    /// A problem that an earlier process reported.
    pub(crate) fn reported(message: &str) -> Self {
        Self { reported: Some(message.to_owned()), ..Self::default() }
    }

    /// The message to report.
    pub(crate) fn message(&self) -> Option<&str> {
        self.reported.as_deref()
    }

    /// Whether the problem is present or reported.
    pub(crate) fn is_open(&self) -> bool {
        self.bad.is_some() || self.reported.is_some()
    }

    /// How long the verdict has been bad, as far as this process knows.
    pub(crate) fn lasted(&self, now: Moment) -> Option<Duration> {
        Some(now.since(self.bad?))
    }

    /// Processes a verdict. A problem is reported once it has lasted for `patience`, and cleared
    /// after it was good for [`LEAVE`]. An unknown verdict changes nothing.
    pub(crate) fn step(&mut self, now: Moment, verdict: Verdict, patience: Duration) {
        let (wanted, age, needed) = match verdict {
            Verdict::Unknown => return,
            Verdict::Bad { message, age } => (Some(message), age, patience),
            Verdict::Good => (None, Duration::ZERO, LEAVE),
        };
        let begun = Moment(now.0.saturating_sub(age));
        self.bad = wanted.is_some().then(|| self.bad.map_or(begun, |bad| bad.min(begun)));
        if wanted.is_some() == self.reported.is_some() {
            self.since = None;
            self.reported = wanted;
            return;
        }
        let since = *self.since.get_or_insert(now);
        if now.since(since).max(age) >= needed {
            self.since = None;
            self.reported = wanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bad() -> Verdict {
        Verdict::Bad { message: "bad".to_owned(), age: Duration::ZERO }
    }

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    const PATIENCE: Duration = Duration::from_secs(90);

    #[test]
    fn a_problem_is_reported_after_its_patience_and_not_before() {
        let mut watch = Watch::default();
        for second in 0..90 {
            watch.step(at(second), bad(), PATIENCE);
            assert_eq!(watch.message(), None, "after {second} s");
        }
        watch.step(at(90), bad(), PATIENCE);
        assert_eq!(watch.message(), Some("bad"));
    }

    #[test]
    fn a_problem_older_than_its_patience_is_reported_immediately() {
        let mut watch = Watch::default();
        let old = Verdict::Bad { message: "old".to_owned(), age: PATIENCE };
        watch.step(at(0), old, PATIENCE);
        assert_eq!(watch.message(), Some("old"));
    }

    #[test]
    fn the_duration_of_a_problem_is_known_from_its_start_to_its_end() {
        let mut watch = Watch::default();
        assert_eq!(watch.lasted(at(5)), None);
        watch.step(at(10), bad(), PATIENCE);
        watch.step(at(30), Verdict::Unknown, PATIENCE);
        assert_eq!(watch.lasted(at(40)), Some(Duration::from_secs(30)));
        let age = Duration::from_mins(1);
        watch.step(at(100), Verdict::Bad { message: "bad".to_owned(), age }, PATIENCE);
        assert_eq!(watch.lasted(at(110)), Some(Duration::from_secs(100)), "longer than its age");
        watch.step(at(120), Verdict::Good, PATIENCE);
        assert_eq!(watch.lasted(at(120)), None);
        assert!(watch.message().is_some());
    }

    #[test]
    fn a_short_good_period_neither_clears_nor_prevents_a_report() {
        let mut watch = Watch::reported("bad");
        watch.step(at(0), Verdict::Good, PATIENCE);
        watch.step(at(59), Verdict::Good, PATIENCE);
        assert!(watch.message().is_some(), "not yet good for long enough");
        watch.step(at(60), bad(), PATIENCE);
        watch.step(at(61), Verdict::Good, PATIENCE);
        watch.step(at(120), Verdict::Good, PATIENCE);
        assert!(watch.message().is_some(), "counted anew");
        watch.step(at(121), Verdict::Good, PATIENCE);
        assert_eq!(watch.message(), None);
    }

    #[test]
    fn an_unknown_verdict_changes_nothing() {
        for mut watch in [Watch::default(), Watch::reported("bad")] {
            let before = watch.clone();
            for second in 0..1000 {
                watch.step(at(second), Verdict::Unknown, Duration::ZERO);
            }
            assert_eq!(watch, before);
        }
    }

    proptest! {
        #[test]
        fn a_flapping_verdict_changes_a_report_at_most_once_a_minute(
            verdicts in prop::collection::vec(0..3u8, 1..600),
            patience in 0..120u64,
        ) {
            let mut watch = Watch::default();
            let mut changes = 0;
            for (second, verdict) in (0..).zip(&verdicts) {
                let verdict = match verdict {
                    0 => Verdict::Good,
                    1 => bad(),
                    _ => Verdict::Unknown,
                };
                let before = watch.message().is_some();
                watch.step(at(second), verdict, Duration::from_secs(patience));
                changes += usize::from(before != watch.message().is_some());
            }
            // It begins at once, and each end takes a minute of nothing but good.
            let minutes = verdicts.len().div_ceil(60);
            prop_assert!(changes <= 1 + 2 * minutes, "{changes} in {minutes} minutes");
        }
    }
}
