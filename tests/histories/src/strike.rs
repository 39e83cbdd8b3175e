//! Crashes at chosen boundaries: where a process may die, which of them are chosen, and what
//! follows. Every boundary of a history is numbered in the order in which it is met, so the same
//! scenario with the same seed meets the same ones up to the first crash.

use std::cell::RefCell;
use std::time::Duration;

use firecamp_core::action::{Action, Step};
use firecamp_core::time::Moment;

use crate::history::{self, Report};
use crate::model::Model;
use crate::names::{Names, ProcessId};
use crate::scenario::Scenario;
use crate::trace::Trace;

/// How a process crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT after so long.
    Freeze(Duration),
    /// Its node loses its power, and boots after so long.
    Power(Duration),
}

/// What follows the crash of a process of a pod. An agent is always started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recovery {
    /// (a) The kubelet goes on with the same pod.
    SamePod,
    /// (b) The pod is deleted by force, and its successor starts on the next node.
    Elsewhere,
    /// (c) The pod is deleted by force, and nothing starts: only the agents and time.
    Nothing,
}

/// Where around an action a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// The action was named and nothing has been done; or the outcome, and nobody was told.
    Before,
    /// A call was sent and has not taken effect yet: it will.
    Sent,
    /// The action has taken effect, and the machine has not heard of it.
    After,
}

/// Which boundaries crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strikes {
    /// Boundaries before that are not counted.
    pub from: Moment,
    /// The numbers of those that crash, the second one counted from the first.
    pub at: Vec<u32>,
    /// How the first one crashes; the second one is killed.
    pub how: How,
    /// What follows.
    pub recovery: Recovery,
}

impl Strikes {
    /// Nothing crashes.
    pub fn none(from: Moment) -> Self {
        Self { from, at: Vec::new(), how: How::Kill, recovery: Recovery::SamePod }
    }
}

/// A process that crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struck {
    /// Which one.
    pub process: ProcessId,
    /// How.
    pub how: How,
    /// When.
    pub at: Moment,
    /// The boundary that it had crossed last.
    pub step: Option<Step>,
    /// Where it was.
    pub position: Position,
    /// The action is a call that changes EC2.
    pub mutates: bool,
}

/// The boundaries of one history as they are met.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    strikes: Strikes,
    next: usize,
    /// Since the last crash.
    met: u32,
    struck: Vec<Struck>,
}

impl Meter {
    pub(crate) fn new(strikes: Strikes) -> Self {
        Self { strikes, next: 0, met: 0, struck: Vec::new() }
    }

    /// A boundary is met. How the process is to crash, if it is to.
    pub(crate) fn meet(&mut self, now: Moment) -> Option<How> {
        if now < self.strikes.from {
            return None;
        }
        let number = self.met;
        self.met = self.met.saturating_add(1);
        if self.strikes.at.get(self.next) != Some(&number) {
            return None;
        }
        self.met = 0;
        self.next = self.next.saturating_add(1);
        Some(if self.next == 1 { self.strikes.how } else { How::Kill })
    }

    /// Notes a crash, and says what is to follow.
    pub(crate) fn strike(&mut self, struck: Struck) -> Recovery {
        self.struck.push(struck);
        self.strikes.recovery
    }

    pub(crate) fn into_met(self) -> Met {
        Met { boundaries: self.met, struck: self.struck }
    }
}

/// What a history met of its boundaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// How many there were after the last crash; without one, all.
    pub boundaries: u32,
    /// What crashed.
    pub struck: Vec<Struck>,
}

/// Plays a scenario at model level, in which processes crash at chosen boundaries.
pub fn play(scenario: &Scenario, names: &Names, trace: Trace, strikes: Strikes) -> (Report, Met) {
    let meter = RefCell::new(Meter::new(strikes));
    let report = history::play_once(scenario, Model::crashing(scenario, names, trace, &meter));
    (report, meter.into_inner().into_met())
}

/// Whether an action changes anything outside: dying after one that does not is dying before the
/// next one.
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

/// Whether it is a call that takes effect later than it is sent.
pub(crate) fn sends(action: &Action) -> bool {
    matches!(action, Action::Write(_) | Action::Assign { .. } | Action::Unassign { .. })
}
