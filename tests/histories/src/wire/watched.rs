//! Observes a machine while the real runner runs it.

use firecamp_core::action::{Action, Reply};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::step::Step;
use firecamp_core::time::Moment;

use crate::wire::sim_state::{Shared, Slot};

/// A machine whose actions and replies are reported to the shared state.
#[derive(Debug, Clone)]
pub(crate) struct Watched<M> {
    machine: M,
    shared: Shared,
    slot: Slot,
}

impl<M> Watched<M> {
    pub(crate) fn new(machine: M, shared: &Shared, slot: Slot) -> Self {
        shared.started(slot);
        Self { machine, shared: shared.clone(), slot }
    }
}

impl<M: Machine> Machine for Watched<M> {
    fn action(&self) -> Action {
        let action = self.machine.action();
        self.shared.requested(self.slot, &action);
        action
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        self.shared.reported(self.slot, &reply);
        self.machine.reply(reply, now);
        if let Some(step) = self.machine.crossed() {
            self.shared.crossed(self.slot, step);
        }
    }

    fn crossed(&self) -> Option<Step> {
        self.machine.crossed()
    }

    fn outcome(&self) -> Option<&Outcome> {
        self.machine.outcome()
    }
}
