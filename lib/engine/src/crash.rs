//! Named crash points, in debug builds only: the process kills or freezes itself at a step
//! boundary of the protocol, so that tests with real binaries can check the recovery.
//!
//! `FIRECAMP_CRASH_AT=attach.7` (a boundary) or `attach.8` (an Assign was sent, and its answer not
//! received); `FIRECAMP_CRASH_HOW=kill` (default) or `freeze`. Release builds read neither.

use std::future::Future;

use firecamp_core::action::{Action, Reply};
#[cfg(debug_assertions)]
use firecamp_core::contract;
use firecamp_core::step::Step;

/// Where this process crashes, if anywhere.
#[derive(Debug)]
pub(crate) struct CrashPoint {
    #[cfg(debug_assertions)]
    armed: Option<(String, nix::sys::signal::Signal)>,
    /// It crashes only once: a process that was resumed continues when it comes there again.
    #[cfg(debug_assertions)]
    fired: std::sync::atomic::AtomicBool,
}

#[cfg(debug_assertions)]
impl CrashPoint {
    pub(crate) fn from_environment() -> Self {
        use nix::sys::signal::Signal;
        let freeze = std::env::var(contract::env::CRASH_HOW).is_ok_and(|how| how == "freeze");
        let signal = if freeze { Signal::SIGSTOP } else { Signal::SIGKILL };
        let armed = std::env::var(contract::env::CRASH_AT).ok().map(|at| (at, signal));
        Self { armed, fired: std::sync::atomic::AtomicBool::new(false) }
    }

    #[expect(clippy::disallowed_methods, reason = "a crash has no result that main could return")]
    fn fire(&self, name: &str) {
        if let Some((at, signal)) = &self.armed
            && at == name
            && !self.fired.swap(true, std::sync::atomic::Ordering::Relaxed)
        {
            tracing::warn!(at, ?signal, "crashing at the requested step");
            if let Err(error) = nix::sys::signal::raise(*signal) {
                tracing::error!(%error, "failed to crash");
            }
            // In a container, a process with PID 1 ignores a signal that it sends to itself.
            if *signal == nix::sys::signal::Signal::SIGKILL {
                std::process::exit(128 + nix::sys::signal::Signal::SIGKILL as i32);
            }
        }
    }

    pub(crate) fn after(&self, step: Step) {
        self.fire(&step.to_string());
    }

    /// For a call to EC2: it was sent, and the machine never receives the answer.
    pub(crate) async fn during(
        &self,
        action: &Action,
        work: impl Future<Output = Option<Reply>>,
    ) -> Option<Reply> {
        use firecamp_core::step::{AttachStep, FreeStep};
        let answer = work.await;
        if let Action::Assign { .. } = action {
            self.after(Step::Attach(AttachStep::AssignSent));
        } else if let Action::Unassign { .. } = action {
            self.after(Step::Free(FreeStep::UnassignSent));
        }
        answer
    }
}

#[cfg(not(debug_assertions))]
impl CrashPoint {
    pub(crate) fn from_environment() -> Self {
        Self {}
    }

    pub(crate) fn after(&self, _step: Step) {}

    pub(crate) async fn during(
        &self,
        _action: &Action,
        work: impl Future<Output = Option<Reply>>,
    ) -> Option<Reply> {
        work.await
    }
}
