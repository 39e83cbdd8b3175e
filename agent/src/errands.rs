//! Errands as the loop keeps and tells them.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::publish::Notice;
use firecamp_core::agent::Duty;
use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Member;
use firecamp_core::machine::{Mended, Outcome, Release};
use firecamp_engine::Ended;
use tokio::time::Instant;

use crate::status::Kind;

/// After an errand that mended nothing its address rests so long, then twice as long each time.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// After EC2 has refused an errand for what will not pass by itself.
const REFUSED_REST: Duration = Duration::from_mins(1);

/// An errand under way.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) duty: Duty,
    pub(crate) member: Member,
    pub(crate) begun: Instant,
}

impl Busy {
    /// Whether the duty has to wait until this errand has ended. What this node's kernel lacks or
    /// has too much of waits for no EC2, and a re-assert is not ended for it: it would leave its
    /// mark in the record, and a call under way that nobody waits for.
    pub(crate) fn excludes(&self, duty: &Duty) -> bool {
        let local = |duty: &Duty| matches!(duty, Duty::GiveWay { .. } | Duty::Restore { .. });
        let reassert = |duty: &Duty| matches!(duty, Duty::Reassert { .. });
        let beside = |one: &Duty, other: &Duty| reassert(one) && local(other);
        !beside(&self.duty, duty) && !beside(duty, &self.duty)
    }
}

/// One kind of errand is not begun for one address for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    until: Instant,
    last: Duration,
}

impl Rest {
    /// Twice as long as the last one, and longer where EC2 refused.
    pub(crate) fn after(last: Option<Self>, ended: &Ended) -> Self {
        let last = last.map_or(FIRST_REST, |rest| rest.last.saturating_mul(2)).min(LONGEST_REST);
        let rest = if is_refused(ended) { REFUSED_REST } else { last };
        Self { until: Instant::now() + rest, last }
    }

    /// Whether nothing is held back any more.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// Whether an errand has changed something for the better.
pub(crate) fn has_mended(ended: &Ended) -> bool {
    match ended {
        Ended::Outcome(Outcome::Mended { what, .. }) => *what != Mended::NothingToDo,
        // A pod that lives after all, or another holder: what was seen was old.
        Ended::Outcome(Outcome::Released { release, .. }) => match release {
            Release::Parked | Release::Unassigned => true,
            Release::NotEnding | Release::NotHolder => false,
        },
        Ended::Outcome(Outcome::Attached(_)) => true,
        Ended::Outcome(Outcome::Failed(_)) | Ended::Interrupted => false,
    }
}

fn is_refused(ended: &Ended) -> bool {
    match ended {
        Ended::Outcome(Outcome::Failed(why)) => why.exit == Exit::CloudRefused,
        Ended::Outcome(
            Outcome::Mended { .. } | Outcome::Released { .. } | Outcome::Attached(_),
        )
        | Ended::Interrupted => false,
    }
}

/// What is told of an errand that has mended something.
pub(crate) fn notice(duty: &Duty, address: Ipv4Addr, mended: bool) -> Option<Notice> {
    let notice = match duty {
        Duty::Restore { .. } => Notice::Restored(address),
        Duty::Reassert { .. } => Notice::Reasserted(address),
        Duty::Release { .. } => Notice::Released(address),
        Duty::GiveWay { .. } | Duty::Collect { .. } => return None,
    };
    mended.then_some(notice)
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

/// What a duty names, as far as it names it: keys of the log.
struct Keys<'a> {
    epoch: Option<u64>,
    pod: Option<&'a str>,
    eni: Option<&'a str>,
}

fn keys(duty: &Duty) -> Keys<'_> {
    match duty {
        Duty::GiveWay { holder, .. }
        | Duty::Restore { holder, .. }
        | Duty::Collect { holder, .. } => {
            Keys { epoch: Some(holder.epoch.0), pod: Some(holder.pod.as_str()), eni: None }
        }
        Duty::Release { pod, .. } => Keys { epoch: None, pod: Some(pod.as_str()), eni: None },
        Duty::Reassert { epoch, eni, .. } => {
            Keys { epoch: Some(epoch.0), pod: None, eni: Some(eni.as_str()) }
        }
    }
}

/// That an errand begins, in one line of the log.
pub(crate) fn tell_begin(duty: &Duty, (address, member): (Ipv4Addr, &Member)) {
    let (duty, Keys { epoch, pod, eni }) = (name(duty), keys(duty));
    tracing::info!(%address, %member, duty, epoch, podUID = pod, eni, "An errand begins");
}

/// What an errand came to, in one line of the log.
pub(crate) fn tell(Busy { duty, member, .. }: &Busy, address: Ipv4Addr, ended: &Ended) {
    let (duty, Keys { epoch, pod, eni }) = (name(duty), keys(duty));
    match ended {
        Ended::Outcome(Outcome::Failed(why)) => {
            tracing::warn!(%address, %member, duty, epoch, podUID = pod, eni,
                reason = why.exit.reason(), error = %why.message,
                "An errand has failed; it is planned anew");
        }
        Ended::Outcome(
            outcome @ (Outcome::Mended { .. } | Outcome::Released { .. } | Outcome::Attached(_)),
        ) => tracing::info!(%address, %member, duty, epoch, podUID = pod, eni, ?outcome,
            "An errand has ended"),
        Ended::Interrupted => {
            tracing::info!(%address, %member, duty, epoch, podUID = pod, eni,
                "An errand was ended");
        }
    }
}

/// A duty's name in the log.
fn name(duty: &Duty) -> &'static str {
    match duty {
        Duty::GiveWay { .. } => "give-way",
        Duty::Release { .. } => "release",
        Duty::Reassert { .. } => "reassert",
        Duty::Restore { .. } => "restore",
        Duty::Collect { .. } => "collect",
    }
}
