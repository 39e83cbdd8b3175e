//! Running operations, their backoff, log lines and notices.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::publish::Notice;
use firecamp_core::agent::Operation;
use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Member;
use firecamp_core::machine::{Maintenance, Outcome, Release};
use firecamp_engine::Ended;
use tokio::time::Instant;

use crate::status::Kind;

/// Backoff after the first operation without success; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// Backoff after EC2 denied an operation.
const REFUSED_BACKOFF: Duration = Duration::from_mins(1);

/// A running operation.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) operation: Operation,
    pub(crate) member: Member,
    pub(crate) begun: Instant,
}

impl Busy {
    /// Whether `operation` must wait until this one ends. Withdraw and restore change only the
    /// kernel and do not wait for a re-assert, which waits for EC2. The re-assert is not cancelled
    /// for them: it would leave its pending mutation in the record and an EC2 call in flight.
    pub(crate) fn excludes(&self, operation: &Operation) -> bool {
        let local = |operation: &Operation| {
            matches!(operation, Operation::Withdraw { .. } | Operation::Restore { .. })
        };
        let reassert = |operation: &Operation| matches!(operation, Operation::Reassert { .. });
        let beside = |one: &Operation, other: &Operation| reassert(one) && local(other);
        !beside(&self.operation, operation) && !beside(operation, &self.operation)
    }
}

/// The backoff of one kind of operation on one address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    until: Instant,
    last: Duration,
}

impl Backoff {
    /// Twice the last backoff, or `REFUSED_BACKOFF` if EC2 denied the operation.
    pub(crate) fn after(last: Option<Self>, ended: &Ended) -> Self {
        let last = last
            .map_or(FIRST_BACKOFF, |backoff| backoff.last.saturating_mul(2))
            .min(LONGEST_BACKOFF);
        let backoff = if is_refused(ended) { REFUSED_BACKOFF } else { last };
        Self { until: Instant::now() + backoff, last }
    }

    /// Whether the backoff has expired.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// Whether an operation repaired or released something.
pub(crate) fn has_mended(ended: &Ended) -> bool {
    match ended {
        Ended::Outcome(Outcome::Maintained { what, .. }) => *what != Maintenance::NothingToDo,
        // NotEnding, NotHolder: the observation was stale.
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
            Outcome::Maintained { .. } | Outcome::Released { .. } | Outcome::Attached(_),
        )
        | Ended::Interrupted => false,
    }
}

/// The notice of a successful operation.
pub(crate) fn notice(operation: &Operation, address: Ipv4Addr, mended: bool) -> Option<Notice> {
    let notice = match operation {
        Operation::Restore { .. } => Notice::Restored(address),
        Operation::Reassert { .. } => Notice::Reasserted(address),
        Operation::Release { .. } => Notice::Released(address),
        Operation::Withdraw { .. } | Operation::Collect { .. } => return None,
    };
    mended.then_some(notice)
}

pub(crate) fn kind(operation: &Operation) -> Kind {
    match operation {
        Operation::Withdraw { .. } => Kind::Withdraw,
        Operation::Release { .. } => Kind::Release,
        Operation::Reassert { .. } => Kind::Reassert,
        Operation::Restore { .. } => Kind::Restore,
        Operation::Collect { .. } => Kind::Collect,
    }
}

/// Log fields of an operation, as far as it has them.
struct Fields<'a> {
    epoch: Option<u64>,
    pod: Option<&'a str>,
    eni: Option<&'a str>,
}

fn fields(operation: &Operation) -> Fields<'_> {
    match operation {
        Operation::Withdraw { holder, .. }
        | Operation::Restore { holder, .. }
        | Operation::Collect { holder, .. } => {
            Fields { epoch: Some(holder.epoch.0), pod: Some(holder.pod.as_str()), eni: None }
        }
        Operation::Release { pod, .. } => {
            Fields { epoch: None, pod: Some(pod.as_str()), eni: None }
        }
        Operation::Reassert { epoch, eni, .. } => {
            Fields { epoch: Some(epoch.0), pod: None, eni: Some(eni.as_str()) }
        }
    }
}

/// Logs the start of an operation.
pub(crate) fn report_begin(operation: &Operation, (address, member): (Ipv4Addr, &Member)) {
    let (operation, Fields { epoch, pod, eni }) = (name(operation), fields(operation));
    tracing::info!(%address, %member, operation, epoch, podUID = pod, eni, "operation started");
}

/// Logs the result of an operation.
pub(crate) fn report(Busy { operation, member, .. }: &Busy, address: Ipv4Addr, ended: &Ended) {
    let (operation, Fields { epoch, pod, eni }) = (name(operation), fields(operation));
    match ended {
        Ended::Outcome(Outcome::Failed(why)) => {
            tracing::warn!(%address, %member, operation, epoch, podUID = pod, eni,
                reason = why.exit.reason(), error = %why.message,
                "operation failed");
        }
        Ended::Outcome(
            outcome
            @ (Outcome::Maintained { .. } | Outcome::Released { .. } | Outcome::Attached(_)),
        ) => tracing::info!(%address, %member, operation, epoch, podUID = pod, eni, ?outcome,
            "operation succeeded"),
        Ended::Interrupted => {
            tracing::info!(%address, %member, operation, epoch, podUID = pod, eni,
                "operation interrupted");
        }
    }
}

/// A operation's name in the log.
fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Withdraw { .. } => "withdraw",
        Operation::Release { .. } => "release",
        Operation::Reassert { .. } => "reassert",
        Operation::Restore { .. } => "restore",
        Operation::Collect { .. } => "collect",
    }
}
