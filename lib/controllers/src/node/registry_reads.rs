//! When the registry is listed.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::time::Moment;

use super::Task;
use super::observed::Observed;

/// Minimum time between two registry lists that only a kernel event requires.
const LIST_PAUSE: Duration = Duration::from_millis(20);

/// The lists of the registry.
#[derive(Debug, Default)]
pub(super) struct RegistryReads {
    running: bool,
    /// The registry reported a change after the last list.
    changed: bool,
    /// The kernel reported a change after the last list.
    kernel_changed: bool,
    /// The addresses that the last list asked for, and when.
    last: Option<(BTreeSet<Ipv4Addr>, Moment)>,
}

impl RegistryReads {
    pub(super) fn changed(&mut self) {
        self.changed = true;
    }

    pub(super) fn kernel_changed(&mut self) {
        self.kernel_changed = true;
    }

    pub(super) fn ended(&mut self) {
        self.running = false;
    }

    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// The list to start now, if one is due.
    pub(super) fn due(&mut self, observed: &Observed, now: Moment) -> Option<Task> {
        let known = observed.known();
        if self.running || !self.is_due(&known, observed, now) {
            return None;
        }
        (self.running, self.changed, self.kernel_changed) = (true, false, false);
        self.last = Some((known.clone(), now));
        Some(Task::List(known))
    }

    /// A list is due if the registry reported a change, if the node has an address that the last
    /// list did not ask for, or if the kernel reported a change while a lock is newer than the
    /// record: an init container has just finished, and the removed address may be the one it
    /// attached.
    fn is_due(&self, known: &BTreeSet<Ipv4Addr>, observed: &Observed, now: Moment) -> bool {
        let more = self.last.as_ref().is_some_and(|(asked, _)| !known.is_subset(asked));
        let paused = self.last.as_ref().is_none_or(|(_, at)| now.since(*at) >= LIST_PAUSE);
        self.changed || more || (self.kernel_changed && paused && observed.has_unconfirmed_lock())
    }
}
