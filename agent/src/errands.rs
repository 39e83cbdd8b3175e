//! Errands as the loop keeps and tells them.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::Duty;
use firecamp_core::machine::{Mended, Outcome};
use firecamp_engine::Ended;
use tokio::time::Instant;

use crate::status::Kind;

/// After an errand that mended nothing its address rests so long, then twice as long each time.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// An errand under way.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) duty: Duty,
    pub(crate) begun: Instant,
}

/// An address that is left alone for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    pub(crate) until: Instant,
    last: Duration,
}

impl Rest {
    /// Twice as long as the last one.
    pub(crate) fn after(last: Option<Self>) -> Self {
        let last = last.map_or(FIRST_REST, |rest| rest.last.saturating_mul(2)).min(LONGEST_REST);
        Self { until: Instant::now() + last, last }
    }
}

/// Whether an errand has changed something for the better.
pub(crate) fn has_mended(ended: &Ended) -> bool {
    match ended {
        Ended::Outcome(Outcome::Mended { what, .. }) => *what != Mended::NothingToDo,
        Ended::Outcome(Outcome::Released { .. } | Outcome::Attached(_)) => true,
        Ended::Outcome(Outcome::Failed(_)) | Ended::Interrupted => false,
    }
}

pub(crate) fn kind(duty: &Duty) -> Kind {
    match duty {
        Duty::GiveWay { .. } => Kind::GiveWay,
        Duty::Release { .. } => Kind::Release,
        Duty::Reassert { .. } => Kind::Reassert,
        Duty::Restore { .. } => Kind::Restore,
        Duty::Collect { .. } => Kind::Collect,
    }
}

/// What an errand came to, in one line of the log.
pub(crate) fn tell(duty: &Duty, address: Ipv4Addr, ended: &Ended) {
    match ended {
        Ended::Outcome(Outcome::Failed(why)) => {
            tracing::warn!(%address, duty = name(duty), reason = why.exit.reason(),
                error = %why.message, "An errand has failed; it is planned anew");
        }
        Ended::Outcome(
            outcome @ (Outcome::Mended { .. } | Outcome::Released { .. } | Outcome::Attached(_)),
        ) => tracing::info!(%address, duty = name(duty), ?outcome, "An errand has ended"),
        Ended::Interrupted => tracing::info!(%address, duty = name(duty), "An errand was ended"),
    }
}

/// A duty's name in the log.
pub(crate) fn name(duty: &Duty) -> &'static str {
    match duty {
        Duty::GiveWay { .. } => "give-way",
        Duty::Release { .. } => "release",
        Duty::Reassert { .. } => "reassert",
        Duty::Restore { .. } => "restore",
        Duty::Collect { .. } => "collect",
    }
}
