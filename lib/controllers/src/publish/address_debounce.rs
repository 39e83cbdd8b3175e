//! Debounces causes, so that an idle node writes nothing: a cause is reported once it has lasted,
//! and cleared once it has been absent for a while.

use std::time::Duration;

use firecamp_core::time::Moment;

/// One debounced cause.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Debounced {
    /// The reported message, if the cause is reported.
    text: Option<String>,
    /// Since when the cause differs from what is reported.
    since: Option<Moment>,
}

impl Debounced {
    /// A cause that an earlier process reported.
    pub(crate) fn reported(text: &str) -> Self {
        Self { text: Some(text.to_owned()), since: None }
    }

    /// The reported message.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Whether time alone may change the report.
    pub(crate) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Processes the current cause, given as its message. A cause is reported after it was present
    /// for `enter`, and cleared after it was absent for `leave`. The first message stays while the
    /// cause is reported.
    pub(crate) fn step(
        &mut self,
        now: Moment,
        cause: Option<&str>,
        enter: Duration,
        leave: Duration,
    ) {
        if cause.is_some() == self.text.is_some() {
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(now);
        let needed = if cause.is_some() { enter } else { leave };
        if now.since(since) >= needed {
            self.since = None;
            self.text = cause.map(str::to_owned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTER: Duration = Duration::from_secs(10);
    const LEAVE: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn a_cause_is_reported_after_enter_and_cleared_after_leave() {
        let mut cause = Debounced::default();
        for second in 0..10 {
            cause.step(at(second), Some("bad"), ENTER, LEAVE);
            assert_eq!(cause.text(), None, "after {second} s");
        }
        cause.step(at(10), Some("bad"), ENTER, LEAVE);
        assert_eq!(cause.text(), Some("bad"));
        cause.step(at(20), None, ENTER, LEAVE);
        cause.step(at(79), None, ENTER, LEAVE);
        assert_eq!(cause.text(), Some("bad"));
        cause.step(at(80), None, ENTER, LEAVE);
        assert_eq!(cause.text(), None);
    }

    #[test]
    fn a_flapping_cause_is_never_reported_and_the_first_message_stays() {
        let mut cause = Debounced::default();
        for second in 0..100 {
            cause.step(at(second), (second % 5 != 0).then_some("bad"), ENTER, LEAVE);
            assert_eq!(cause.text(), None);
        }
        let mut cause = Debounced::reported("first message");
        cause.step(at(0), Some("other message"), ENTER, LEAVE);
        assert_eq!(cause.text(), Some("first message"));
    }
}
