//! Crashes at chosen boundaries.

use firecamp_core::action::{Action, Step};

use super::Model;
use super::process::{Slot, Stalled};
use crate::cluster::Ended;
use crate::level::{Level as _, Order};
use crate::strike::{How, Position, Struck};

impl Model<'_> {
    /// A boundary of a process. True if it crashes there: it goes no further.
    pub(super) fn is_struck(&mut self, slot: Slot, position: Position) -> bool {
        let Some(meter) = self.meter else { return false };
        let Some(how) = meter.borrow_mut().meet(self.now) else { return false };
        let process = &self.processes[slot.at()];
        let (id, step) = (process.id(), process.crossed);
        let action = process.machine.action();
        let mutates = matches!(action, Action::Assign { .. } | Action::Unassign { .. });
        self.audit.disturbed();
        match how {
            How::Kill | How::Power(_) => self.order(self.now, Order::Kill(id)),
            How::Freeze(_) => {
                self.order(self.now, Order::Freeze(id));
                self.stall(slot, position);
            }
        }
        let struck = Struck { process: id, how, at: self.now, step, position, mutates };
        let recovery = meter.borrow_mut().strike(struck);
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

    /// Remembers a step boundary for whoever crashes after it.
    pub(super) fn passed(&mut self, slot: Slot, step: Step) {
        self.process(slot).crossed = Some(step);
    }
}
