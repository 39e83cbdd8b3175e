//! Performs one action of a machine: when its reply arrives, and its content.

use std::time::Duration;

use firecamp_core::action::{Action, Delay, Reply};
use firecamp_core::step::{AttachStep, Step};

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
                let (after, reply) = self.describe_owner(slot, *address);
                let ready = self.now.plus(after);
                self.process(slot).pending_lookup = Some((ready, reply));
                self.reply_after(slot, Duration::ZERO, Reply::Begun);
            }
            Action::AwaitOwner => self.await_owner(slot),
            Action::ReadOwner(address, _) => {
                self.process(slot).pending_lookup = None;
                let (after, reply) = self.describe_owner(slot, *address);
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
                    self.process(slot).notified = true;
                    self.reply_after(slot, Duration::ZERO, Reply::Stopping);
                }
            }
            // A machine with this action has an outcome and has ended before.
            Action::Done => self.audit.stuck(self.now, slot.0),
        }
    }

    /// Starts a new generation of the process, which cancels its scheduled events.
    pub(super) fn next_generation(&mut self, slot: Slot) -> u32 {
        let process = self.process(slot);
        process.generation = process.generation.wrapping_add(1);
        process.generation
    }

    pub(super) fn reply_after(&mut self, slot: Slot, after: Duration, reply: Reply) {
        let generation = self.next_generation(slot);
        self.process(slot).reply = Some(reply);
        self.queue.push(self.now.plus(after), Event::Reply(slot, generation));
    }

    /// Sends a call that lands later. The answer follows after a delay, or never.
    pub(super) fn send(
        &mut self,
        slot: Slot,
        (lands, answer): (Duration, Option<Duration>),
        effect: Effect,
    ) {
        let generation = if answer.is_some() {
            self.next_generation(slot)
        } else {
            self.process(slot).generation
        };
        let number =
            self.calls.send(Call { slot, generation, effect, answer, after_deadline: false });
        self.queue.push(self.now.plus(lands), Event::Land(number));
    }

    /// Sends a call that lands after T, whatever reply the process gets.
    pub(super) fn send_after_deadline(&mut self, slot: Slot, lands: Duration, effect: Effect) {
        let call = Call { slot, generation: 0, effect, answer: None, after_deadline: true };
        let number = self.calls.send(call);
        self.queue.push(self.now.plus(lands), Event::Land(number));
    }

    /// A call takes effect, and is answered if the process still waits for it.
    pub(super) fn land(&mut self, number: u32) {
        let Some(Call { slot, generation, effect, answer, after_deadline }) =
            self.calls.take(number)
        else {
            return;
        };
        let reply = match effect {
            Effect::Write(write, pod_lives) => self.land_write(slot, (&write, pod_lives)),
            Effect::Assign { eni, address, force, lags } => {
                self.land_assign(slot, (eni, address), (force, after_deadline), lags)
            }
            Effect::Unassign { eni, address, lags } => {
                self.land_unassign(slot, (eni, address), after_deadline, lags)
            }
            Effect::Together(effect) => return self.land_together(&effect, after_deadline),
        };
        if let (Some(after), true) = (answer, self.is_current(slot, generation)) {
            self.process(slot).reply = Some(reply);
            self.queue.push(self.now.plus(after), Event::Reply(slot, generation));
        }
    }

    fn await_owner(&mut self, slot: Slot) {
        let now = self.now;
        let Some((ready, reply)) = self.process(slot).pending_lookup.take() else {
            return self.audit.stuck(now, slot.0);
        };
        self.reply_after(slot, ready.since(now), reply);
    }

    /// A stop container's wait ends on SIGTERM, once.
    fn wait(&mut self, slot: Slot, delay: &Delay) {
        let process = self.process(slot);
        if process.signalled && !process.notified {
            process.notified = true;
            return self.reply_after(slot, Duration::ZERO, Reply::Stopping);
        }
        let length = delay.drawn(|whole| process.rng.part(whole));
        self.reply_after(slot, length, Reply::Waited);
    }

    /// A step boundary that the audits need.
    pub(super) fn crossed(&mut self, slot: Slot, step: Step) {
        match step {
            // The holder's own Assign was answered: from here on it is fenced.
            Step::Attach(AttachStep::AssignAnswered | AttachStep::DataPathSwitched) => {
                self.confirm(slot);
            }
            Step::Attach(_)
            | Step::Release(_)
            | Step::Free(_)
            | Step::Withdraw(_)
            | Step::Reassert(_)
            | Step::Restore(_)
            | Step::Collect(_) => {}
        }
    }
}
