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
    /// Its machine came to its outcome.
    Outcome(&'a Outcome),
    /// SIGTERM ended it.
    Interrupted,
    /// SIGKILL ended it.
    Killed,
}

/// A process that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// When it ended.
    pub now: Moment,
    /// The number that its run id ends with.
    pub slot: u32,
    /// How long it ran, frozen times excluded.
    pub awake: Duration,
    /// How long it was frozen.
    pub asleep: Duration,
    /// It was frozen at some time, or a request of its took seconds.
    pub frozen: bool,
    /// How long it may run; none for what runs as long as its pod.
    pub limit: Option<Duration>,
    /// When it was told to stop.
    pub signalled: Option<Moment>,
    /// What it met.
    pub causes: Causes,
    /// The EC2 calls that it made.
    pub calls: u16,
    /// Those of them that change something.
    pub mutations: u16,
}

/// What may come after the deadline: the bound of the longest single call, the wait for calls
/// without an answer, and what has landed is completed.
const AFTER_DEADLINE: Duration = Duration::from_secs(20);

/// No incarnation sends more mutations than this, whatever it meets: with the longest deadline
/// and the shortest back-off of the trouble that repeats them.
const MUTATIONS: u16 = 60;

/// A metadata service lists an address no longer after it has left, and no longer counts the Assign
/// that brought it.
const NEWS_FOR: Duration = timing::CALL_BOUND.saturating_add(timing::METADATA_LAG);

/// No pod of a script has more.
const LONGEST_GRACE: Duration = Duration::from_secs(30);

/// Look-ups of candidates in a first attach: one for each address of the pool.
const FIRST_LOOKS: u16 = 6;

impl Audit {
    /// A process has ended.
    pub fn ended(&mut self, life: &Life, end: &End<'_>) {
        if let End::Outcome(outcome) = end {
            self.explained(life, outcome);
            self.budget(life, outcome);
        }
        // Whoever was cut off leaves marks, and those cost the next one reads.
        let whole = matches!(end, End::Outcome(Outcome::Attached(_) | Outcome::Released { .. }));
        self.calm &= whole;
        if life.mutations > MUTATIONS {
            let (slot, count) = (life.slot, life.mutations);
            self.broken(Promise::S6, life.now, || format!("process {slot} sent {count} mutations"));
        }
        self.in_time(life);
    }

    fn in_time(&mut self, life: &Life) {
        if let (None, Some(told)) = (life.limit, life.signalled) {
            let took = life.now.since(told).saturating_sub(life.asleep);
            if took > LONGEST_GRACE.saturating_add(AFTER_DEADLINE) {
                let slot = life.slot;
                self.broken(Promise::S7, life.now, || {
                    format!("process {slot} was told to stop {took:?} ago")
                });
            }
        }
        let Some(limit) = life.limit else { return };
        if life.awake > limit.saturating_add(AFTER_DEADLINE) {
            let Life { slot, awake, .. } = *life;
            self.broken(Promise::S7, life.now, || {
                format!("process {slot} ran for {awake:?} of its {limit:?}")
            });
        }
    }

    /// Calm runs: a member restarted on its node costs no mutation and at most one call, a moved
    /// one costs one and at most two.
    fn budget(&mut self, life: &Life, outcome: &Outcome) {
        let Outcome::Attached(attached) = outcome else { return };
        // A release that was still under way when it began costs it looks, or a refusal.
        let raced = life.causes.any(&[Cause::Conflict, Cause::Held]);
        let (calls, mutations) = match (self.calm && !raced, attached.path) {
            (false, _) => return,
            // The first attach of all looks for a free address, and others may be quicker.
            (true, _) if attached.epoch.0 == 1 => (2 + FIRST_LOOKS, 1),
            (true, Path::SameNode) => (1, 0),
            // So soon after an earlier life on this node presence proves nothing: one look more.
            (true, Path::Moved) => (2 + u16::from(self.was_here(life, attached)), 1),
        };
        if life.calls > calls || life.mutations > mutations {
            let Life { slot, calls, mutations, .. } = *life;
            self.broken(Promise::S6, life.now, || {
                format!(
                    "process {slot} made {calls} calls, {mutations} of them mutating: {attached:?}"
                )
            });
        }
    }

    fn was_here(&self, life: &Life, attached: &Attached) -> bool {
        let known = self.known.iter().find(|known| known.address == attached.address);
        let (Some(known), Some(eni)) = (known, EniIx::of(&attached.eni)) else { return false };
        let here = |left: EniIx| left.node() == eni.node();
        // The process looked at its note when it began.
        let news = NEWS_FOR + life.awake;
        known.left.iter().any(|(left, at)| here(*left) && life.now.since(*at) < news)
    }

    fn explained(&mut self, life: &Life, outcome: &Outcome) {
        let Outcome::Failed(failure) = outcome else { return };
        if !fits(failure, life) {
            let causes = life.causes;
            let text = failure.message.clone();
            let exit = failure.exit;
            let slot = life.slot;
            self.broken(Promise::S9, life.now, || {
                format!("process {slot} ended with {exit:?} ({text}), having met {causes:?}")
            });
        }
    }
}

fn fits(failure: &Failure, life: &Life) -> bool {
    let causes = life.causes;
    match failure.exit {
        Exit::Success
        | Exit::Usage
        | Exit::VersionMismatch
        | Exit::ControllerMismatch
        | Exit::Internal
        | Exit::Interrupted => false,
        Exit::Superseded => causes.any(&[Cause::PodGone, Cause::Conflict, Cause::LockLost]),
        // Without a record yet, another member was quicker to allocate what the claim names.
        Exit::AddressUnavailable => {
            causes.has(Cause::Held) || (failure.address.is_none() && causes.has(Cause::Shown))
        }
        Exit::NoCapacity => causes.any(&[Cause::Full, Cause::PoolUsed]),
        Exit::CloudRefused => causes.has(Cause::Denied),
        Exit::TimedOut => {
            let out_of_time = life
                .limit
                .is_none_or(|limit| life.awake.saturating_add(Duration::from_secs(15)) >= limit);
            out_of_time
                || life.frozen
                || causes.any(&[Cause::CloudTrouble, Cause::Throttled, Cause::Busy])
        }
        Exit::RegistryUnavailable => causes.has(Cause::RegistryAway) || causes.has(Cause::Conflict),
        Exit::RegistryInvalid => causes.has(Cause::RegistryWrong),
        Exit::RegistryRefused => causes.has(Cause::RegistryRefused),
        Exit::NodeUnsuitable => causes.any(&[Cause::NoLink, Cause::NoEni, Cause::EniGone]),
        Exit::DiskRefused => causes.has(Cause::DiskFailed),
        Exit::KernelRefused => causes.any(&[Cause::KernelRefused, Cause::Busy, Cause::NoLink]),
    }
}
