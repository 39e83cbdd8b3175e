//! How processes end: S6, S7 and S9.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::machine::{Attached, Failure, Outcome, Path};
use firecamp_core::time::Moment;

use crate::names::EniIx;

use super::{Audit, Cause, Causes, Promise};

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// Its machine reached an outcome.
    Outcome(&'a Outcome),
    /// SIGTERM ended it.
    Interrupted,
    /// SIGKILL ended it.
    Killed,
}

/// A process that has ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedProcess {
    /// When it ended.
    pub now: Moment,
    /// The number in its run ID.
    pub slot: u32,
    /// How long it ran, excluding the time it was frozen.
    pub awake: Duration,
    /// How long it was frozen.
    pub asleep: Duration,
    /// It was frozen at some time, or one of its requests took seconds.
    pub frozen: bool,
    /// Its deadline; none for a process that runs as long as its pod.
    pub limit: Option<Duration>,
    /// When it received SIGTERM.
    pub signalled: Option<Moment>,
    /// The faults that it met.
    pub causes: Causes,
    /// The number of its EC2 calls.
    pub calls: u16,
    /// The number of these that are mutations.
    pub mutations: u16,
}

/// What may follow the deadline: the longest single call, the wait for unanswered calls, and
/// completing what has landed.
const AFTER_DEADLINE: Duration = Duration::from_secs(20);

/// No process sends more mutations than this, with the longest deadline and the shortest backoff.
const MUTATIONS: u16 = 60;

/// How long the metadata service may list an address that has left, or an Assign may still explain
/// the listing.
const EVENTS_FOR: Duration = timing::CALL_BOUND.saturating_add(timing::METADATA_LAG);

/// The longest grace period in any script.
const LONGEST_GRACE: Duration = Duration::from_secs(30);

/// Lookups of candidates in a first attach: one for each address of the pool.
const FIRST_LOOKUPS: u16 = 6;

impl Audit {
    /// A process has ended.
    pub fn ended(&mut self, process: &EndedProcess, end: &End<'_>) {
        if let End::Outcome(outcome) = end {
            self.explained(process, outcome);
            self.budget(process, outcome);
        }
        // A process that was cut short leaves pending mutations, and these cost its successor
        // reads.
        let completed =
            matches!(end, End::Outcome(Outcome::Attached(_) | Outcome::Released { .. }));
        self.calm &= completed;
        if process.mutations > MUTATIONS {
            let (slot, count) = (process.slot, process.mutations);
            self.broken(Promise::S6, process.now, || {
                format!("process {slot} sent {count} mutations")
            });
        }
        self.in_time(process);
    }

    fn in_time(&mut self, process: &EndedProcess) {
        if let (None, Some(notified)) = (process.limit, process.signalled) {
            let took = process.now.since(notified).saturating_sub(process.asleep);
            if took > LONGEST_GRACE.saturating_add(AFTER_DEADLINE) {
                let slot = process.slot;
                self.broken(Promise::S7, process.now, || {
                    format!("process {slot} received SIGTERM {took:?} ago")
                });
            }
        }
        let Some(limit) = process.limit else { return };
        if process.awake > limit.saturating_add(AFTER_DEADLINE) {
            let EndedProcess { slot, awake, .. } = *process;
            self.broken(Promise::S7, process.now, || {
                format!("process {slot} ran for {awake:?}, its deadline is {limit:?}")
            });
        }
    }

    /// Budgets of calm runs. A restart on the same node: no mutation and at most one call. A move:
    /// one mutation and at most two calls.
    fn budget(&mut self, process: &EndedProcess, outcome: &Outcome) {
        let Outcome::Attached(attached) = outcome else { return };
        // A release that was in progress when it began costs it lookups, or a refusal.
        let raced = process.causes.any(&[Cause::Conflict, Cause::Held]);
        let (calls, mutations) = match (self.calm && !raced, attached.path) {
            (false, _) => return,
            // A first attach looks for a free address, and others may acquire it first.
            (true, _) if attached.epoch.0 == 1 => (2 + FIRST_LOOKUPS, 1),
            (true, Path::SameNode) => (1, 0),
            // So soon after an earlier incarnation on this node, presence in IMDS proves nothing:
            // one extra lookup.
            (true, Path::Moved) => (2 + u16::from(self.was_here(process, attached)), 1),
        };
        if process.calls > calls || process.mutations > mutations {
            let EndedProcess { slot, calls, mutations, .. } = *process;
            self.broken(Promise::S6, process.now, || {
                format!(
                    "process {slot} made {calls} calls, {mutations} of them mutating: {attached:?}"
                )
            });
        }
    }

    fn was_here(&self, process: &EndedProcess, attached: &Attached) -> bool {
        let known = self.known.iter().find(|known| known.address == attached.address);
        let (Some(known), Some(eni)) = (known, EniIx::of(&attached.eni)) else { return false };
        let here = |left: EniIx| left.node() == eni.node();
        // The process read its note when it began.
        let news = EVENTS_FOR + process.awake;
        known.left.iter().any(|(left, at)| here(*left) && process.now.since(*at) < news)
    }

    fn explained(&mut self, process: &EndedProcess, outcome: &Outcome) {
        let Outcome::Failed(failure) = outcome else { return };
        if !fits(failure, process) {
            let causes = process.causes;
            let text = failure.message.clone();
            let exit = failure.exit;
            let slot = process.slot;
            self.broken(Promise::S9, process.now, || {
                format!("process {slot} ended with {exit:?} ({text}), having met {causes:?}")
            });
        }
    }
}

fn fits(failure: &Failure, process: &EndedProcess) -> bool {
    let causes = process.causes;
    match failure.exit {
        Exit::Success
        | Exit::Usage
        | Exit::VersionMismatch
        | Exit::ControllerMismatch
        | Exit::NamespaceNotAllowed
        | Exit::Internal
        | Exit::Interrupted => false,
        Exit::AgentUnavailable => causes.has(Cause::AgentLost),
        Exit::TokenRefused => causes.has(Cause::PodNotLiving),
        Exit::Superseded => causes.any(&[Cause::PodGone, Cause::Conflict, Cause::LockSuperseded]),
        // Without a record, another member may have allocated the address that the claim names.
        Exit::AddressUnavailable => {
            causes.has(Cause::Held) || (failure.address.is_none() && causes.has(Cause::Shown))
        }
        Exit::NoCapacity => causes.any(&[Cause::Full, Cause::PoolUsed]),
        Exit::CloudRefused => causes.has(Cause::Denied),
        Exit::TimedOut => {
            let out_of_time = process
                .limit
                .is_none_or(|limit| process.awake.saturating_add(Duration::from_secs(15)) >= limit);
            out_of_time
                || process.frozen
                || causes.any(&[Cause::CloudTransient, Cause::Throttled, Cause::Busy])
        }
        Exit::RegistryUnavailable => {
            causes.has(Cause::RegistryUnavailable) || causes.has(Cause::Conflict)
        }
        Exit::RegistryInvalid => causes.has(Cause::RegistryInvalid),
        Exit::RegistryRefused => causes.has(Cause::RegistryRefused),
        Exit::NodeUnsuitable => causes.any(&[Cause::NoLink, Cause::NoEni, Cause::EniGone]),
        Exit::DiskRefused => causes.has(Cause::DiskFailed),
        Exit::KernelRefused => causes.any(&[Cause::KernelRefused, Cause::Busy, Cause::NoLink]),
    }
}
