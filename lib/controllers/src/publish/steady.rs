//! What keeps a quiet node quiet: causes count once they have lasted, and go once they have been
//! gone for a while.

use std::time::Duration;

use firecamp_core::time::Moment;

/// One cause, over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lasting {
    /// What is reported, if it is.
    text: Option<String>,
    /// Since when it has been otherwise than is reported.
    since: Option<Moment>,
}

impl Lasting {
    /// One that was reported before this process began.
    pub(crate) fn reported(text: &str) -> Self {
        Self { text: Some(text.to_owned()), since: None }
    }

    /// What is reported.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Time alone may change what is reported.
    pub(crate) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Takes in whether the cause is there, in words. It is reported after `enter` of presence and
    /// no longer after `leave` of absence. The words stand as long as it is reported.
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
    fn a_cause_is_reported_once_it_has_lasted_and_goes_once_it_has_been_gone() {
        let mut it = Lasting::default();
        for second in 0..10 {
            it.step(at(second), Some("bad"), ENTER, LEAVE);
            assert_eq!(it.text(), None, "after {second} s");
        }
        it.step(at(10), Some("bad"), ENTER, LEAVE);
        assert_eq!(it.text(), Some("bad"));
        it.step(at(20), None, ENTER, LEAVE);
        it.step(at(79), None, ENTER, LEAVE);
        assert_eq!(it.text(), Some("bad"));
        it.step(at(80), None, ENTER, LEAVE);
        assert_eq!(it.text(), None);
    }

    #[test]
    fn what_flaps_is_never_reported_and_its_words_do_not_matter() {
        let mut it = Lasting::default();
        for second in 0..100 {
            it.step(at(second), (second % 5 != 0).then_some("bad"), ENTER, LEAVE);
            assert_eq!(it.text(), None);
        }
        let mut it = Lasting::reported("first words");
        it.step(at(0), Some("other words"), ENTER, LEAVE);
        assert_eq!(it.text(), Some("first words"));
    }
}
