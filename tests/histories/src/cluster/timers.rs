//! Timers of the orchestrator.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use firecamp_core::time::Moment;

use crate::names::{MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::Outage;

/// A timer. One with a number fires only in that generation of its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    Disruption(u16),
    Heal,
    /// The controller creates the pod of a wanted member that has none.
    Create(MemberIx),
    StartInit(PodIx, u16),
    StartSidecar(PodIx, u16),
    StartMain(PodIx, u16),
    MainEnds(PodIx, u16),
    GraceOver(PodIx, u16),
    KillSidecar(PodIx, u16),
    /// The kubelet reports to the API that all containers of the pod have ended.
    Report(PodIx, u16),
    /// The kubelet notices that the pod was deleted.
    Notice(PodIx),
    /// The pod of a lost node is removed from the API.
    Collect(PodIx),
    Thaw(ProcessId),
    ReportOrphan(ProcessId),
    Boot(NodeIx),
    StartAgent(NodeIx),
    Unfill(NodeIx),
    OutageEnds(Outage),
    /// The previous agent of a node dies; its successor runs already.
    KillTwin(ProcessId),
    LeasesEnd,
}

impl Timer {
    /// Whether it waits for the end of an API outage.
    pub(super) fn needs_api(self) -> bool {
        matches!(self, Self::Create(_) | Self::Report(..) | Self::Notice(_) | Self::Collect(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    at: Moment,
    number: u32,
    timer: Timer,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The timers, ordered by time, then by when they were set.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    set: u32,
}

impl Timers {
    pub(super) fn set(&mut self, at: Moment, timer: Timer) {
        self.set = self.set.wrapping_add(1);
        self.heap.push(Reverse(Entry { at, number: self.set, timer }));
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next timer, if it is due.
    pub(super) fn due(&mut self, now: Moment) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry.timer)
    }
}
