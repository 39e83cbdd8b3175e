//! The loop: get the machine's action, perform it, pass the reply to the machine.

use std::future::Future;
use std::pin::Pin;

use firecamp_core::action::{Action, Delay, Reply};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{Member, PoolName};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::ports::{Cloud, HostNet, MemberFile, Owner, Registry};
use firecamp_core::time::Moment;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use crate::crash::CrashPoint;
use crate::input::Begin;
use crate::perform::Systems;
use crate::progress::{Progress, ProgressEvent};
use crate::rng::Rng;
use crate::stop_signal::Signal;
use crate::trace::Trace;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The machine has an outcome.
    Outcome(Outcome),
    /// The signal interrupted it. Nothing is undone; the next run converges.
    Interrupted,
}

/// The context of one run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The member.
    pub member: Member,
    /// The pool for a member that has no claim yet.
    pub pool: Option<PoolName>,
    /// The stop signal.
    pub signal: Signal,
    /// The source of random waits and of the run id.
    pub rng: Rng,
    /// Whom to tell the progress, besides the log.
    pub watcher: Option<Sender<ProgressEvent>>,
}

type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Owner, CloudFailure>> + Send + 'a>>;

enum Begun<'a> {
    Nothing,
    Running(Lookup<'a>),
    Answered(Result<Owner, CloudFailure>),
}

/// Runs a machine to its end.
///
/// Guarantees: one action at a time, every call bounded, no task left running. Only an owner
/// look-up that the machine began runs beside an action.
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
    let mut throttled = false;
    let mut runner = Runner { systems, run, origin, begun: Begun::Nothing, stopping: false };
    let mut progress = Progress::new(run.watcher.as_ref());
    let crash = CrashPoint::from_environment();
    loop {
        let mut action = machine.action();
        if throttled && let Action::Wait(delay) = &mut action {
            pause(delay, &run.rng);
        }
        if let Some(outcome) = machine.outcome() {
            trace.ended(Some(outcome));
            return Ended::Outcome(outcome.clone());
        }
        let requested = now();
        progress.requested(&action, requested);
        trace.requested(&action, requested);
        let Some(reply) = runner.next(&action, &crash).await else {
            trace.ended(None);
            return Ended::Interrupted;
        };
        progress.replied(&reply);
        throttled = is_throttle(&reply);
        let answered = now();
        trace.replied(&reply, answered);
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
    /// The machine has received the stop signal.
    stopping: bool,
}

impl<C: Cloud, H: HostNet, R: Registry, F: MemberFile> Runner<'_, C, H, R, F> {
    /// The reply to the action; none if the run was interrupted.
    async fn next(&mut self, action: &Action, crash: &CrashPoint) -> Option<Reply> {
        if let Action::BeginOwner(address, subnet) = action {
            let (systems, address, subnet) = (self.systems, *address, subnet.clone());
            let lookup = async move { systems.owner(address, &subnet).await };
            self.begun = Begun::Running(Box::pin(lookup));
            return Some(Reply::Begun);
        }
        if let Action::AwaitOwner | Action::ReadOwner(..) = action {
            match std::mem::replace(&mut self.begun, Begun::Nothing) {
                Begun::Answered(answer) if *action == Action::AwaitOwner => {
                    return Some(Reply::Owner(answer));
                }
                Begun::Running(lookup) if *action == Action::AwaitOwner => {
                    return self.run.signal.unless_interrupted(lookup).await.map(Reply::Owner);
                }
                // The look-up must start now: one that was started earlier is discarded.
                Begun::Answered(_) | Begun::Running(_) | Begun::Nothing => {}
            }
        }
        self.beside(action, crash).await
    }

    /// Performs the action, while a look-up that was started continues.
    async fn beside(&mut self, action: &Action, crash: &CrashPoint) -> Option<Reply> {
        let mut begun = std::mem::replace(&mut self.begun, Begun::Nothing);
        let reply = {
            let mut work =
                std::pin::pin!(self.run.signal.unless_interrupted(self.perform(action, crash)));
            loop {
                let Begun::Running(lookup) = &mut begun else { break work.await };
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
            self.stopping = true;
        }
        reply
    }

    async fn perform(&self, action: &Action, crash: &CrashPoint) -> Reply {
        match (action, &self.run.signal) {
            (Action::Wait(delay), Signal::Stop(token)) if !self.stopping => tokio::select! {
                biased;
                () = token.cancelled() => Reply::Stopping,
                () = wait(delay, &self.run.rng) => Reply::Waited,
            },
            (Action::Wait(delay), Signal::Stop(_) | Signal::Interrupt(_)) => {
                wait(delay, &self.run.rng).await;
                Reply::Waited
            }
            (Action::AwaitStop, Signal::Stop(token) | Signal::Interrupt(token)) => {
                token.cancelled().await;
                Reply::Stopping
            }
            (_, Signal::Stop(_) | Signal::Interrupt(_)) => {
                let now = || Moment(self.origin.elapsed());
                let pool = self.run.pool.as_ref();
                let performed = self.systems.perform(&self.run.member, pool, action, now);
                crash.during(action, performed).await.unwrap_or(Reply::Waited)
            }
        }
    }
}

fn is_throttle(reply: &Reply) -> bool {
    let (Reply::Owner(Err(why)) | Reply::Cloud(Err(why))) = reply else { return false };
    why.kind == CloudKind::Throttled
}

/// A random wait after a throttle lasts until the end of the pause, if there is one.
fn pause(delay: &mut Delay, rng: &Rng) {
    if let (true, Some(left)) = (delay.jitter, rng.pause()) {
        (delay.length, delay.jitter) = (left, false);
    }
}

/// The only place that sleeps.
async fn wait(delay: &Delay, rng: &Rng) {
    sleep(delay.drawn(|whole| whole.mul_f64(rng.part()))).await;
}
