//! The event queue, ordered by time, then by when events were scheduled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use firecamp_core::time::Moment;

use super::process::Slot;

/// An event. One with a number is valid only in that generation of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The reply to a process's call arrives.
    Reply(Slot, u32),
    /// A process continues.
    Act(Slot, u32),
    /// An agent's tick.
    Tick(Slot, u32),
    /// The event with this number reaches an agent.
    Told(Slot, u32),
    /// An agent's source polls the registry.
    Poll(Slot),
    /// A call takes effect.
    Land(u32),
    /// Another actor does this with an orphan.
    ExternalAct(u16),
    /// An agent notices that the client of this run is gone.
    HungUp(Slot),
    /// An agent looks ahead for this container.
    LookAhead(Slot),
    /// Requests of an agent for several addresses are due.
    RequestsDue(Slot),
    /// The answer to the request with this number reaches its agent.
    RequestAnswered(u32),
    /// The tick of an agent's leader with this number.
    LeaderTick(Slot, u32),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Microseconds.
    at: u64,
    number: u32,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, external_act: &Self) -> bool {
        (self.at, self.number) == (external_act.at, external_act.number)
    }
}

impl Eq for Entry {}

impl Ord for Entry {
    fn cmp(&self, external_act: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(external_act.at, external_act.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, external_act: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(external_act))
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    pushed: u32,
}

fn moment(micros: u64) -> Moment {
    Moment(std::time::Duration::from_micros(micros))
}

impl Queue {
    /// Times are rounded to microseconds.
    pub(super) fn push(&mut self, at: Moment, event: Event) {
        self.pushed = self.pushed.wrapping_add(1);
        let at = u64::try_from(at.0.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        self.heap.push(Reverse(Entry { at, number: self.pushed, event }));
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse(entry)| moment(entry.at))
    }

    pub(super) fn pop(&mut self) -> Option<(Moment, Event)> {
        self.heap.pop().map(|Reverse(entry)| (moment(entry.at), entry.event))
    }
}
