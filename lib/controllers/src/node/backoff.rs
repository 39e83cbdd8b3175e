//! How long the agent waits before it repeats an operation that did not succeed.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::Outcome;
use firecamp_core::time::Moment;

/// Backoff after the first operation without success; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// Backoff after EC2 denied an operation.
const REFUSED_BACKOFF: Duration = Duration::from_mins(1);

/// The backoff of one kind of operation on one address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    until: Moment,
    last: Duration,
}

impl Backoff {
    /// Twice the last backoff, or `REFUSED_BACKOFF` if EC2 denied the operation.
    pub(super) fn after(last: Option<Self>, outcome: Option<&Outcome>, now: Moment) -> Self {
        let last = last
            .map_or(FIRST_BACKOFF, |backoff| backoff.last.saturating_mul(2))
            .min(LONGEST_BACKOFF);
        let backoff = if is_refused(outcome) { REFUSED_BACKOFF } else { last };
        Self { until: now.plus(backoff), last }
    }

    pub(super) fn is_over(&self, now: Moment) -> bool {
        now >= self.until
    }
}

fn is_refused(outcome: Option<&Outcome>) -> bool {
    match outcome {
        Some(Outcome::Failed(why)) => why.exit == Exit::CloudRefused,
        Some(Outcome::Maintained { .. } | Outcome::Released { .. } | Outcome::Attached(_))
        | None => false,
    }
}
