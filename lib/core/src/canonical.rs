//! One value for all states of a machine that have the same future, for exhaustive search.
//!
//! Moments are relative to now, ages that no comparison distinguishes are one age, and texts and
//! failure counts are dropped, because only people and the length of a backoff depend on them. A
//! wait with jitter may end at any moment, so its length becomes zero.

use std::time::Duration;

use crate::action::{Action, Delay};
use crate::contract::timing;
use crate::time::Moment;

/// Shifts a machine's moments so that now is [`Canonical::ORIGIN`].
#[derive(Debug, Clone, Copy)]
pub struct Canonical {
    now: Moment,
}

/// A moment further ahead never comes: only a sidecar runs that long.
const HORIZON: Duration = Duration::from_hours(1);
const NEVER: Moment = Moment(Duration::MAX);

impl Canonical {
    /// The canonical now.
    pub const ORIGIN: Moment = Moment(HORIZON);

    pub(crate) fn at(now: Moment) -> Self {
        Self { now }
    }

    /// Moments whose age matters only up to `bound`.
    pub(crate) fn age<'a>(
        self,
        moments: impl IntoIterator<Item = &'a mut Moment>,
        bound: Duration,
    ) {
        for moment in moments {
            let age = self.now.since(*moment).min(bound);
            *moment = Moment(self.ahead(*moment).0.saturating_sub(age));
        }
    }

    /// Moments that are not used any more.
    pub(crate) fn forget<'a>(moments: impl IntoIterator<Item = &'a mut Moment>) {
        for moment in moments {
            *moment = Self::ORIGIN;
        }
    }

    /// When the current action was requested: it matters only if its reply authorises something or
    /// shows an owner.
    pub(crate) fn requested(self, requested: &mut Moment, action: &Action) {
        let dates = matches!(
            action,
            Action::Write(_)
                | Action::ReadRecord(_)
                | Action::ReadOwner(..)
                | Action::BeginOwner(..)
        );
        if dates {
            self.age([requested], timing::CALL_BOUND);
        } else {
            Self::forget([requested]);
        }
    }

    /// Moments that matter only until they have come.
    pub(crate) fn due<'a>(self, moments: impl IntoIterator<Item = &'a mut Moment>) {
        for moment in moments {
            *moment = self.ahead(*moment);
        }
    }

    fn ahead(self, moment: Moment) -> Moment {
        let ahead = moment.since(self.now);
        if ahead > HORIZON { NEVER } else { Self::ORIGIN.plus(ahead) }
    }

    pub(crate) fn wait(delay: &mut Delay) {
        delay.why.clear();
        // The limit follows from the deadline.
        delay.limit = Duration::ZERO;
        if delay.jitter {
            delay.length = Duration::ZERO;
        }
    }
}
