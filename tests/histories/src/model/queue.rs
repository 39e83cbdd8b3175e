//! What happens later, in the order of time, then of scheduling.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use firecamp_core::time::Moment;

use super::process::Slot;

/// Something that happens. Those with a number happen only in that turn of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The reply of a process's call comes.
    Reply(Slot, u32),
    /// A process goes on.
    Act(Slot, u32),
    /// An agent looks around.
    Tick(Slot, u32),
    /// A call takes effect.
    Land(u32),
    /// Somebody does this with a stray.
    Other(u16),
    /// An agent looks for strays.
    Strays(Slot),
    /// An agent looks at the cluster, if it holds the Lease.
    Pass(Slot),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Microseconds.
    at: u64,
    number: u32,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Entry {}

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

#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    pushed: u32,
}

fn moment(micros: u64) -> Moment {
    Moment(std::time::Duration::from_micros(micros))
}

impl Queue {
    /// Times are kept to the microsecond.
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
