//! Crash injection: where a process may crash, which boundaries are chosen, and what follows. The
//! boundaries of a history are numbered in the order in which they are met. The same scenario with
//! the same seed therefore meets the same ones up to the first crash.

use std::cell::RefCell;
use std::time::Duration;

use firecamp_core::action::Action;
use firecamp_core::contract::timing;
use firecamp_core::step::Step;
use firecamp_core::time::Moment;

use crate::history::{self, Report};
use crate::model::Model;
use crate::names::{Names, ProcessId};
use crate::scenario::Scenario;
use crate::trace::Trace;

/// How a process crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrashKind {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT after this time.
    Freeze(Duration),
    /// Its node loses its power, and boots after this time.
    Power(Duration),
}

/// What follows the crash of a process of a pod. An agent is always started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recovery {
    /// (a) The kubelet continues with the same pod.
    SamePod,
    /// (b) The pod is force-deleted, and its successor starts on the next node.
    Elsewhere,
    /// (c) The pod is force-deleted, and no successor starts.
    Nothing,
}

/// Where a process crashes, relative to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Before the action is performed, or before an outcome is reported.
    Before,
    /// A call was sent; it will take effect later.
    Sent,
    /// The action has taken effect; the machine has not received the reply.
    After,
}

/// The boundaries at which processes crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashPlan {
    /// Earlier boundaries do not count.
    pub from: Moment,
    /// The indices of the boundaries; the second one counts from the first.
    pub at: Vec<u32>,
    /// The kind of the first crash; the second one is a kill.
    pub how: CrashKind,
    /// The recovery.
    pub recovery: Recovery,
}

impl CrashPlan {
    /// No crash.
    pub fn none(from: Moment) -> Self {
        Self { from, at: Vec::new(), how: CrashKind::Kill, recovery: Recovery::SamePod }
    }
}

/// A crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// The process.
    pub process: ProcessId,
    /// The kind of crash.
    pub how: CrashKind,
    /// When.
    pub at: Moment,
    /// The boundary that it had crossed last.
    pub step: Option<Step>,
    /// The position.
    pub position: Position,
    /// The action is a call that changes EC2.
    pub mutates: bool,
}

/// Counts the boundaries of one history and injects the crashes.
#[derive(Debug, Clone)]
pub(crate) struct CrashInjector {
    crash_plan: CrashPlan,
    next: usize,
    /// Since the last crash.
    met: u32,
    crashes: Vec<Crash>,
}

impl CrashInjector {
    pub(crate) fn new(crash_plan: CrashPlan) -> Self {
        Self { crash_plan, next: 0, met: 0, crashes: Vec::new() }
    }

    /// A process meets a boundary. Returns how it crashes there, if it does.
    pub(crate) fn reach_boundary(&mut self, now: Moment) -> Option<CrashKind> {
        if now < self.crash_plan.from {
            return None;
        }
        let number = self.met;
        self.met = self.met.saturating_add(1);
        if self.crash_plan.at.get(self.next) != Some(&number) {
            return None;
        }
        self.met = 0;
        self.next = self.next.saturating_add(1);
        Some(if self.next == 1 { self.crash_plan.how } else { CrashKind::Kill })
    }

    /// Records a crash, and returns what follows.
    pub(crate) fn record(&mut self, crash: Crash) -> Recovery {
        self.crashes.push(crash);
        self.crash_plan.recovery
    }

    pub(crate) fn into_report(self) -> BoundaryReport {
        BoundaryReport { boundaries: self.met, crashes: self.crashes }
    }
}

/// The boundaries of one history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundaryReport {
    /// The number of boundaries after the last crash; without one, all.
    pub boundaries: u32,
    /// The crashes.
    pub crashes: Vec<Crash>,
}

/// Runs a scenario at model level, with crashes at chosen boundaries.
pub fn play(
    scenario: &Scenario,
    names: &Names,
    trace: Trace,
    crash_plan: CrashPlan,
) -> (Report, BoundaryReport) {
    let crash_injector = RefCell::new(CrashInjector::new(crash_plan));
    let report =
        history::play_once(scenario, Model::crashing(scenario, names, trace, &crash_injector));
    (report, crash_injector.into_inner().into_report())
}

/// Whether an action changes an outside system. A crash after one that does not is the same as a
/// crash before the next action.
pub(crate) fn changes(action: &Action) -> bool {
    sends(action)
        || matches!(
            action,
            Action::StageFile(_)
                | Action::PublishFile
                | Action::SyncFile
                | Action::AddAddress(..)
                | Action::AddRouting(..)
                | Action::RemoveAddress(..)
                | Action::RemoveRouting(..)
        )
}

/// The longest wait of a machine that reads the same again and again.
const POLL: Duration = timing::SOCKET_POLL;

/// Whether it is the wait between two reads of the same. A crash there is the same as one before
/// the second read, milliseconds later.
pub(crate) fn is_poll(action: &Action) -> bool {
    matches!(action, Action::Wait(delay) if delay.longest() <= POLL)
}

/// Whether it is a call that takes effect later than it is sent.
pub(crate) fn sends(action: &Action) -> bool {
    matches!(action, Action::Write(_) | Action::Assign { .. } | Action::Unassign { .. })
}
