//! One action of a machine: when its reply comes, and what it says.

use std::time::Duration;

use firecamp_core::action::{Action, Delay, Reply, Step};

use super::Model;
use super::calls::{Call, Effect};
use super::process::Slot;
use super::queue::Event;

impl Model<'_> {
    pub(super) fn perform(&mut self, slot: Slot, action: &Action) {
        match action {
            Action::ReadMember
            | Action::ReadRecord(_)
            | Action::ReadPod
            | Action::ReadAllocated(_) => self.read_registry(slot, action),
            Action::Write(write) => self.write_registry(slot, write.clone()),
            Action::ReadIdentity => self.read_identity(slot),
            Action::ReadListed(mac) => self.read_listed(slot, *mac),
            Action::BeginOwner(address, _) => {
                let (after, reply) = self.look_up(slot, *address);
                let ready = self.now.plus(after);
                self.process(slot).begun = Some((ready, reply));
                self.reply_after(slot, Duration::ZERO, Reply::Begun);
            }
            Action::AwaitOwner => self.await_owner(slot),
            Action::ReadOwner(address, _) => {
                self.process(slot).begun = None;
                let (after, reply) = self.look_up(slot, *address);
                self.reply_after(slot, after, reply);
            }
            Action::Assign { eni, address, force, .. } => {
                let left = action.time_left(self.now);
                self.mutate(slot, (eni, *address), Some(*force), left);
            }
            Action::Unassign { eni, address, .. } => {
                let left = action.time_left(self.now);
                self.mutate(slot, (eni, *address), None, left);
            }
            Action::ProbeFile | Action::StageFile(_) | Action::PublishFile | Action::SyncFile => {
                self.file(slot, action);
            }
            Action::AddAddress(..)
            | Action::AddRouting(..)
            | Action::NoteAssign(_)
            | Action::Observe(_)
            | Action::RemoveAddress(..)
            | Action::RemoveRouting(..)
            | Action::ReadSockets(_) => self.host(slot, action),
            Action::Wait(delay) => self.wait(slot, delay),
            Action::AwaitStop => {
                if self.process(slot).signalled {
                    self.process(slot).told = true;
                    self.reply_after(slot, Duration::ZERO, Reply::Stopping);
                }
            }
            // A machine that says this has an outcome and ended before.
            Action::Done => self.audit.stuck(self.now, slot.0),
        }
    }

    /// Begins a new turn of the process: what was scheduled for an earlier one does not happen.
    fn next_turn(&mut self, slot: Slot) -> u32 {
        let process = self.process(slot);
        process.turn = process.turn.wrapping_add(1);
        process.turn
    }

    pub(super) fn reply_after(&mut self, slot: Slot, after: Duration, reply: Reply) {
        let turn = self.next_turn(slot);
        self.process(slot).reply = Some(reply);
        self.queue.push(self.now.plus(after), Event::Reply(slot, turn));
    }

    /// Sends a call that lands later and is answered so long after that, or not at all.
    pub(super) fn send(
        &mut self,
        slot: Slot,
        (lands, answer): (Duration, Option<Duration>),
        effect: Effect,
    ) {
        let turn = if answer.is_some() { self.next_turn(slot) } else { self.process(slot).turn };
        let number = self.calls.send(Call { slot, turn, effect, answer, outside: false });
        self.queue.push(self.now.plus(lands), Event::Land(number));
    }

    /// Sends a call that lands after T, whatever the process is told.
    pub(super) fn send_outside(&mut self, slot: Slot, lands: Duration, effect: Effect) {
        let call = Call { slot, turn: 0, effect, answer: None, outside: true };
        let number = self.calls.send(call);
        self.queue.push(self.now.plus(lands), Event::Land(number));
    }

    /// A call takes effect, and is answered if somebody still waits for that.
    pub(super) fn land(&mut self, number: u32) {
        let Some(Call { slot, turn, effect, answer, outside }) = self.calls.take(number) else {
            return;
        };
        let reply = match effect {
            Effect::Write(write) => self.land_write(slot, &write),
            Effect::Assign { eni, address, force, lags } => {
                self.land_assign(slot, (eni, address), (force, outside), lags)
            }
            Effect::Unassign { eni, address, lags } => {
                self.land_unassign(slot, (eni, address), outside, lags)
            }
            Effect::Kernel(action) => self.change_kernel(slot, &action),
        };
        if let (Some(after), true) = (answer, self.is_turn(slot, turn)) {
            self.process(slot).reply = Some(reply);
            self.queue.push(self.now.plus(after), Event::Reply(slot, turn));
        }
    }

    fn await_owner(&mut self, slot: Slot) {
        let now = self.now;
        let Some((ready, reply)) = self.process(slot).begun.take() else {
            return self.audit.stuck(now, slot.0);
        };
        self.reply_after(slot, ready.since(now), reply);
    }

    /// A stop container's wait ends when it is told to stop, once.
    fn wait(&mut self, slot: Slot, delay: &Delay) {
        let process = self.process(slot);
        if process.signalled && !process.told {
            process.told = true;
            return self.reply_after(slot, Duration::ZERO, Reply::Stopping);
        }
        let length = delay.drawn(|whole| process.chance.part(whole));
        self.reply_after(slot, length, Reply::Waited);
    }

    /// A step boundary that the audits want to know of.
    pub(super) fn crossed(&mut self, slot: Slot, step: Step) {
        match step {
            // The holder's own Assign was answered: from here on it is fenced.
            Step::Attach(9 | 10) => self.confirm(slot),
            Step::Attach(_)
            | Step::Release(_)
            | Step::Free(_)
            | Step::GiveWay(_)
            | Step::Reassert(_)
            | Step::Restore(_)
            | Step::Collect(_) => {}
        }
    }
}
