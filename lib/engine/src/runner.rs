//! The loop: ask the machine, perform, tell the machine.

use std::future::Future;
use std::pin::Pin;

use firecamp_core::action::{Action, Delay, Reply};
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{Member, PoolName};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::outside::{Cloud, HostNet, MemberFile, Owner, Registry};
use firecamp_core::time::Moment;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::begin::Begin;
use crate::crash::CrashPoint;
use crate::dice::Dice;
use crate::perform::Systems;
use crate::progress::{Progress, told};
use crate::trace::Trace;

/// What the signal to stop means to a run.
#[derive(Debug, Clone)]
pub enum Signal {
    /// End at once, beginning nothing more (init container).
    Interrupt(CancellationToken),
    /// It is what the machine waits for (stop container).
    Stop(CancellationToken),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The machine came to its outcome.
    Outcome(Outcome),
    /// The signal interrupted it. Nothing is undone: the next run converges.
    Interrupted,
}

/// What one run is about.
#[derive(Debug, Clone)]
pub struct Run {
    /// The member.
    pub member: Member,
    /// The pool for a member that has no claim yet.
    pub pool: Option<PoolName>,
    /// The signal to stop.
    pub signal: Signal,
    /// What its waits are drawn from.
    pub dice: Dice,
}

type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Owner, CloudFailure>> + Send + 'a>>;

enum Begun<'a> {
    Nothing,
    Asked(Lookup<'a>),
    Answered(Result<Owner, CloudFailure>),
}

/// Runs a machine to its end.
///
/// Guarantees: one action at a time, every call bounded, no task left behind. The only thing that
/// runs beside an action is an owner look-up that the machine began.
pub async fn run<B, C, H, R, F>(work: B, systems: &Systems<C, H, R, F>, run: &Run) -> Ended
where
    B: Begin,
    C: Cloud,
    H: HostNet,
    R: Registry,
    F: MemberFile,
{
    let origin = Instant::now();
    let now = || Moment(origin.elapsed());
    let begun = now();
    let mut trace = Trace::begin(&work, begun);
    let mut machine = work.begin(begun);
    let mut runner = Runner { systems, run, origin, begun: Begun::Nothing, told: false };
    let mut progress = Progress::default();
    let crash = CrashPoint::from_environment();
    loop {
        let action = machine.action();
        if let Some(outcome) = machine.outcome() {
            trace.ended(Some(outcome));
            return Ended::Outcome(outcome.clone());
        }
        let asked = now();
        progress.asked(&action, asked);
        trace.asked(&action, asked);
        let Some(reply) = runner.next(&action, &crash).await else {
            trace.ended(None);
            return Ended::Interrupted;
        };
        told(&reply);
        let answered = now();
        trace.told(&reply, answered);
        machine.reply(reply, answered);
        if let Some(step) = machine.crossed() {
            progress.crossed(step);
            trace.crossed(step);
            crash.after(step);
        }
    }
}

struct Runner<'a, C, H, R, F> {
    systems: &'a Systems<C, H, R, F>,
    run: &'a Run,
    origin: Instant,
    begun: Begun<'a>,
    /// The machine has been told of the signal to stop.
    told: bool,
}

impl<C: Cloud, H: HostNet, R: Registry, F: MemberFile> Runner<'_, C, H, R, F> {
    /// The reply to the action; none if the run was interrupted.
    async fn next(&mut self, action: &Action, crash: &CrashPoint) -> Option<Reply> {
        if let Signal::Interrupt(token) = &self.run.signal
            && token.is_cancelled()
        {
            return None;
        }
        if let Action::BeginOwner(address, subnet) = action {
            let (systems, address, subnet) = (self.systems, *address, subnet.clone());
            let lookup = async move { systems.owner(address, &subnet).await };
            self.begun = Begun::Asked(Box::pin(lookup));
            return Some(Reply::Begun);
        }
        if let Action::AwaitOwner | Action::ReadOwner(..) = action {
            match std::mem::replace(&mut self.begun, Begun::Nothing) {
                Begun::Answered(answer) if *action == Action::AwaitOwner => {
                    return Some(Reply::Owner(answer));
                }
                Begun::Asked(lookup) if *action == Action::AwaitOwner => {
                    return self.unless_stopped(lookup).await.map(Reply::Owner);
                }
                // A look-up now is asked for: one that was begun earlier is forgotten.
                Begun::Answered(_) | Begun::Asked(_) | Begun::Nothing => {}
            }
        }
        self.beside(action, crash).await
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Signal::Interrupt(token) = &self.run.signal else { return Some(work.await) };
        tokio::select! {
            biased;
            () = token.cancelled() => None,
            done = work => Some(done),
        }
    }

    /// Performs the action, and lets a look-up that was begun go on beside it.
    async fn beside(&mut self, action: &Action, crash: &CrashPoint) -> Option<Reply> {
        let mut begun = std::mem::replace(&mut self.begun, Begun::Nothing);
        let reply = {
            let mut work = std::pin::pin!(self.unless_stopped(self.perform(action, crash)));
            loop {
                let Begun::Asked(lookup) = &mut begun else { break work.await };
                let answer = tokio::select! {
                    biased;
                    done = &mut work => break done,
                    answer = lookup => answer,
                };
                begun = Begun::Answered(answer);
            }
        };
        self.begun = begun;
        if reply == Some(Reply::Stopping) {
            self.told = true;
        }
        reply
    }

    async fn perform(&self, action: &Action, crash: &CrashPoint) -> Reply {
        match (action, &self.run.signal) {
            (Action::Wait(delay), Signal::Stop(token)) if !self.told => tokio::select! {
                biased;
                () = token.cancelled() => Reply::Stopping,
                () = wait(delay, &self.run.dice) => Reply::Waited,
            },
            (Action::Wait(delay), Signal::Stop(_) | Signal::Interrupt(_)) => {
                wait(delay, &self.run.dice).await;
                Reply::Waited
            }
            (Action::AwaitStop, Signal::Stop(token) | Signal::Interrupt(token)) => {
                token.cancelled().await;
                Reply::Stopping
            }
            (_, Signal::Stop(_) | Signal::Interrupt(_)) => {
                let now = || Moment(self.origin.elapsed());
                let pool = self.run.pool.as_ref();
                let asked = self.systems.perform(&self.run.member, pool, action, now);
                crash.during(action, asked).await.unwrap_or(Reply::Waited)
            }
        }
    }
}

/// The one place that lets time pass.
async fn wait(delay: &Delay, dice: &Dice) {
    sleep(delay.drawn(|whole| whole.mul_f64(dice.part()))).await;
}
