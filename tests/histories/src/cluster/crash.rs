//! A process crashes at a boundary that was chosen, and what its cluster does then.

use std::time::Duration;

use firecamp_core::time::Moment;

use super::pod::{Api, Phase};
use super::timers::Timer;
use super::{Director, Owner, Turn};
use crate::level::Order;
use crate::names::{NodeIx, PodIx, ProcessId};
use crate::strike::{How, Recovery};

/// How long after a frozen process went on its kubelet hears that its pod is gone.
const HEARS_LATER: Duration = Duration::from_millis(500);

fn millis_of(length: Duration) -> u32 {
    u32::try_from(length.as_millis()).unwrap_or(u32::MAX)
}

impl Director {
    /// When a process crashed last where it was to.
    pub fn crashed_at(&self) -> Moment {
        self.crashed_at
    }

    /// A process has just been killed or frozen; its level has done that already.
    pub(super) fn crashed(
        &mut self,
        process: ProcessId,
        (how, recovery): (How, Recovery),
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now;
        self.crashed_at = now;
        match (self.owners.get(process.at()).copied(), how) {
            (Some(Owner::Agent(node)), How::Kill) => {
                // The next one may have started beside it already.
                if self.nodes[node.at()].agent == Some(process) {
                    self.nodes[node.at()].agent = None;
                    self.after(turn, (300, 3_000), Timer::StartAgent(node));
                }
            }
            (Some(Owner::Agent(node)), How::Power(length)) => {
                self.power(node, Some(millis_of(length)), turn);
            }
            (Some(Owner::Agent(_)), How::Freeze(length)) => {
                self.thaw_at(process, now.plus(length));
            }
            (Some(Owner::Pod(pod)), How::Kill) => {
                if recovery != Recovery::Nothing {
                    self.process_died(pod, process, turn);
                }
                self.recover(pod, recovery, now, turn);
            }
            (Some(Owner::Pod(pod)), How::Power(length)) => {
                let node = self.pods[pod.at()].node;
                self.power(node, Some(millis_of(length)), turn);
                self.recover(pod, recovery, now, turn);
            }
            (Some(Owner::Pod(pod)), How::Freeze(length)) => {
                let until = now.plus(length);
                self.thaw_at(process, until);
                self.recover(pod, recovery, until.plus(HEARS_LATER), turn);
            }
            (None, _) => {}
        }
    }

    fn thaw_at(&mut self, process: ProcessId, until: Moment) {
        self.timers.set(until, Timer::Thaw(process));
        self.frozen.push(process);
    }

    /// What its kubelet does when a process of a pod was killed.
    pub(super) fn process_died(&mut self, pod: PodIx, process: ProcessId, turn: &mut Turn<'_>) {
        match self.pods[pod.at()].phase {
            Phase::Init(_) => self.back_off(pod, turn),
            Phase::Ending(why) => self.ended_while_ending(pod, process, why, turn),
            Phase::Running => {
                self.pods[pod.at()].stop = None;
                self.restart_side(pod, turn);
            }
            Phase::Waiting | Phase::Ended(_) | Phase::Lost | Phase::Over => {}
        }
    }

    /// Whether somebody follows the pod, and where; its kubelet hears of that at `hears`.
    fn recover(&mut self, pod: PodIx, recovery: Recovery, hears: Moment, turn: &mut Turn<'_>) {
        let it = &self.pods[pod.at()];
        let (member, node) = (it.member, it.node);
        // A zombie's end says nothing of who is wanted.
        let live = self.members[member.at()].pod.is_none_or(|shown| shown == pod);
        match recovery {
            Recovery::SamePod => return,
            Recovery::Elsewhere if live => {
                let next = NodeIx((node.0 + 1) % self.scenario.shape.nodes);
                self.members[member.at()].wanted = Some(next);
            }
            Recovery::Nothing if live => self.members[member.at()].wanted = None,
            Recovery::Elsewhere | Recovery::Nothing => {}
        }
        if self.pods[pod.at()].api != Api::Gone {
            self.leave_api(pod, turn);
        }
        if recovery == Recovery::Nothing && hears <= turn.now {
            return self.vanish(pod, turn);
        }
        self.pods[pod.at()].forced_grace = Duration::ZERO;
        self.timers.set(hears, Timer::Notice(pod));
    }

    /// Nothing of the pod runs any more, and no stop container ever will.
    fn vanish(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        self.unready(pod, turn);
        self.main_off(pod, turn);
        let it = &mut self.pods[pod.at()];
        let init = if let Phase::Init(process) = it.phase { Some(process) } else { None };
        for process in init.into_iter().chain(it.stop.take()) {
            turn.order(Order::Kill(process));
        }
        it.turn = it.turn.wrapping_add(1);
        it.phase = Phase::Over;
        it.attached = None;
    }
}
