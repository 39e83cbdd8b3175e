//! Crashes at chosen boundaries.

use firecamp_core::action::Action;
use firecamp_core::step::Step;

use super::Model;
use super::process::{Slot, Stalled};
use crate::cluster::Ended;
use crate::crash_injection::{Crash, CrashKind, Position, is_poll};
use crate::level::{Level as _, Order};

impl Model<'_> {
    /// A process meets a boundary. True if it crashes there.
    pub(super) fn crashes_here(&mut self, slot: Slot, position: Position) -> bool {
        let Some(crash_injector) = self.crash_injector else { return false };
        if position == Position::Before && is_poll(&self.processes[slot.at()].machine.action()) {
            return false;
        }
        let Some(how) = crash_injector.borrow_mut().reach_boundary(self.now) else { return false };
        let process = &self.processes[slot.at()];
        let (id, step) = (process.id(), process.crossed);
        let action = process.machine.action();
        let mutates = matches!(action, Action::Assign { .. } | Action::Unassign { .. });
        self.audit.disturbed();
        match how {
            CrashKind::Kill | CrashKind::Power(_) => self.order(self.now, Order::Kill(id)),
            CrashKind::Freeze(_) => {
                self.order(self.now, Order::Freeze(id));
                self.stall(slot, position);
            }
        }
        let crash = Crash { process: id, how, at: self.now, step, position, mutates };
        let recovery = crash_injector.borrow_mut().record(crash);
        self.ended.push_back((id, Ended::Crashed(how, recovery)));
        true
    }

    fn stall(&mut self, slot: Slot, position: Position) {
        let process = self.process(slot);
        process.decides_first = false;
        process.stalled = match position {
            Position::Before => Some(Stalled::Act),
            Position::Sent => None,
            Position::After => Some(Stalled::Reply),
        };
    }

    /// Remembers the last step boundary of a process.
    pub(super) fn passed(&mut self, slot: Slot, step: Step) {
        self.process(slot).crossed = Some(step);
    }
}
