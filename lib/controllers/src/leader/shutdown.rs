//! The end of the process: what runs may end, then the leader releases the Lease.

use std::time::Duration;

use firecamp_core::time::Moment;

use super::{Effect, LeaderController, Report};

/// When the process ends, a running operation gets this long, and so does the release of the
/// Lease: both fit into the termination grace period. The next leader continues from the records.
const LAST_CALL: Duration = Duration::from_millis(300);

/// What happens until the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shutdown {
    /// What runs may end until then.
    Finishing(Moment),
    /// The leader releases the Lease until then.
    Releasing(Moment),
    Complete,
}

impl Shutdown {
    pub(super) fn begin(now: Moment) -> Self {
        Self::Finishing(now.plus(LAST_CALL))
    }

    pub(super) fn deadline(self) -> Option<Moment> {
        match self {
            Self::Finishing(deadline) | Self::Releasing(deadline) => Some(deadline),
            Self::Complete => None,
        }
    }

    pub(super) fn is_complete(self) -> bool {
        self == Self::Complete
    }
}

impl LeaderController {
    /// Goes on with the end of the process, if it has begun.
    pub(super) fn shut_down(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let is_running = self.term.is_some() || self.election.is_waiting();
        let next = match self.shutdown {
            Some(Shutdown::Finishing(deadline)) if !is_running || now >= deadline => {
                self.release_lease(now, effects)
            }
            Some(Shutdown::Releasing(_)) if !is_running => Shutdown::Complete,
            // The next reader of the Lease learns whether the write took effect.
            Some(Shutdown::Releasing(deadline)) if now >= deadline => {
                effects.push(Effect::Report(Report::LeaseNotReleasedInTime));
                Shutdown::Complete
            }
            Some(Shutdown::Finishing(_) | Shutdown::Releasing(_) | Shutdown::Complete) | None => {
                return;
            }
        };
        self.shutdown = Some(next);
    }

    /// Drops what still runs, and starts to release the Lease if this agent holds it.
    fn release_lease(&mut self, now: Moment, effects: &mut Vec<Effect>) -> Shutdown {
        self.election.abandon();
        if self.term.take().is_some() {
            effects.extend([Effect::DropOperation, Effect::Report(Report::TermEnded)]);
        }
        if !self.election.holds(now) {
            return Shutdown::Complete;
        }
        effects.push(self.election.release(now));
        Shutdown::Releasing(now.plus(LAST_CALL))
    }
}
