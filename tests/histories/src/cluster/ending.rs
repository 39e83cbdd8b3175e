//! How a pod ends: hook, main container, sidecar, in the order of a kubelet, with SIGKILL for
//! what is left when the grace period is over.

use std::time::Duration;

use super::pod::{Api, Phase, Why};
use super::timers::Timer;
use super::{Director, NodeState, Owner, Turn};
use crate::level::{Order, Role};
use crate::names::{MemberIx, PodIx, ProcessId};
use crate::scenario::StopKind;

/// What a sidecar gets when the main container has used up the grace period; and at least that.
const LAST_SECONDS: Duration = Duration::from_secs(2);

impl Director {
    /// Somebody deletes the pod of a member.
    pub(super) fn delete(&mut self, member: MemberIx, grace: Duration, turn: &mut Turn<'_>) {
        let Some(pod) = self.members[member.at()].pod else { return };
        let it = &mut self.pods[pod.at()];
        if it.api == Api::Live {
            it.api = Api::Ending(turn.now.plus(grace));
            let at = turn.now.plus(it.chance.millis(5, 400));
            self.timers.set(at, Timer::Notice(pod));
            self.show(pod, turn);
        }
    }

    /// The pod leaves the API at once; its kubelet notices later, and gives it so long.
    pub(super) fn force(
        &mut self,
        member: MemberIx,
        (notice, grace): (Duration, Duration),
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(pod) = self.members[member.at()].pod else { return false };
        self.leave_api(pod, turn);
        self.pods[pod.at()].forced_grace = grace;
        self.timers.set(turn.now.plus(notice), Timer::Notice(pod));
        true
    }

    /// The pod is gone from the API, and the controller sees that.
    pub(super) fn leave_api(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &mut self.pods[pod.at()];
        let (member, was) = (it.member, it.api);
        it.api = Api::Gone;
        if was != Api::Gone {
            self.show(pod, turn);
            self.members[member.at()].pod = None;
            self.after(turn, (10, 500), Timer::Create(member));
        }
    }

    /// The kubelet notices that its pod is deleted or gone.
    pub(super) fn notice(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &self.pods[pod.at()];
        let until = match it.api {
            Api::Live => return,
            Api::Ending(until) => until,
            Api::Gone => turn.now.plus(it.forced_grace),
        };
        match it.phase {
            Phase::Waiting | Phase::Init(_) | Phase::Running => {
                let grace = until.since(turn.now).max(LAST_SECONDS);
                self.end(pod, Why::Deleted, grace, turn);
            }
            Phase::Ending(_) => self.pods[pod.at()].phase = Phase::Ending(Why::Deleted),
            Phase::Ended(_) => self.pods[pod.at()].phase = Phase::Ended(Why::Deleted),
            Phase::Lost | Phase::Over => {}
        }
    }

    /// Begins to stop the containers.
    pub(super) fn end(&mut self, pod: PodIx, why: Why, grace: Duration, turn: &mut Turn<'_>) {
        self.unready(pod, turn);
        let it = &mut self.pods[pod.at()];
        let before = it.phase;
        it.turn = it.turn.wrapping_add(1);
        it.phase = Phase::Ending(why);
        it.grace_until = turn.now.plus(grace);
        self.timers.set(it.grace_until, Timer::GraceOver(pod, it.turn));
        match before {
            Phase::Init(process) => {
                // Told apart from a hook by the main container, which has never run.
                it.stop = Some(process);
                turn.order(Order::Signal(process));
            }
            Phase::Running => self.end_running(pod, turn),
            Phase::Waiting | Phase::Ending(_) | Phase::Ended(_) | Phase::Lost | Phase::Over => {
                self.all_ended(pod, why, turn);
            }
        }
    }

    fn end_running(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        if self.scenario.shape.stop == StopKind::Hook && self.pods[pod.at()].main {
            let left = self.pods[pod.at()].grace_until.since(turn.now);
            let process = self.spawn(Owner::Pod(pod), Role::Stop(StopKind::Hook, left), turn);
            self.pods[pod.at()].stop = Some(process);
            return;
        }
        self.end_main(pod, turn);
    }

    /// SIGTERM for the main container.
    fn end_main(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        if self.pods[pod.at()].main {
            let at = turn.now.plus(self.stopping_time(pod));
            self.timers.set(at, Timer::MainEnds(pod, self.pods[pod.at()].turn));
        } else {
            self.end_side(pod, turn);
        }
    }

    /// The main container has ended while the pod is being stopped.
    pub(super) fn main_ended(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        if self.pods[pod.at()].main {
            self.main_off(pod, turn);
            self.end_side(pod, turn);
        }
    }

    pub(super) fn main_off(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        if self.pods[pod.at()].main {
            self.pods[pod.at()].main = false;
            self.sockets_of(pod, turn);
        }
    }

    /// SIGTERM for the sidecar, when all others have ended.
    fn end_side(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &self.pods[pod.at()];
        let Phase::Ending(why) = it.phase else { return };
        match it.stop {
            Some(process) => {
                let kill = it.grace_until.max(turn.now.plus(LAST_SECONDS));
                self.timers.set(kill, Timer::KillSide(pod, it.turn));
                turn.order(Order::Signal(process));
            }
            None => self.all_ended(pod, why, turn),
        }
    }

    /// A process of a pod that is being stopped has ended by itself.
    pub(super) fn ended_while_ending(
        &mut self,
        pod: PodIx,
        process: ProcessId,
        why: Why,
        turn: &mut Turn<'_>,
    ) {
        if self.pods[pod.at()].stop != Some(process) {
            return;
        }
        self.pods[pod.at()].stop = None;
        if self.pods[pod.at()].main {
            // It was the hook: the main container comes next.
            self.end_main(pod, turn);
        } else {
            self.all_ended(pod, why, turn);
        }
    }

    /// The grace period is over: SIGKILL for a hook and for the main container.
    pub(super) fn grace_over(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &self.pods[pod.at()];
        let Phase::Ending(why) = it.phase else { return };
        if it.main {
            if self.scenario.shape.stop == StopKind::Hook
                && let Some(hook) = self.pods[pod.at()].stop.take()
            {
                turn.order(Order::Kill(hook));
            }
            self.main_off(pod, turn);
            self.end_side(pod, turn);
        } else if let (false, Some(process)) = (self.is_side(pod), it.stop) {
            // An init container that did not end.
            turn.order(Order::Kill(process));
            self.pods[pod.at()].stop = None;
            self.all_ended(pod, why, turn);
        }
    }

    /// Whether its stop process is a sidecar that has been told to stop.
    fn is_side(&self, pod: PodIx) -> bool {
        self.scenario.shape.stop == StopKind::Sidecar && self.pods[pod.at()].attached.is_some()
    }

    /// SIGKILL for a sidecar that takes too long.
    pub(super) fn kill_side(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let Phase::Ending(why) = self.pods[pod.at()].phase else { return };
        if let Some(process) = self.pods[pod.at()].stop.take() {
            turn.order(Order::Kill(process));
            self.all_ended(pod, why, turn);
        }
    }

    fn all_ended(&mut self, pod: PodIx, why: Why, turn: &mut Turn<'_>) {
        let it = &mut self.pods[pod.at()];
        it.phase = Phase::Ended(why);
        it.turn = it.turn.wrapping_add(1);
        it.attached = None;
        let at = turn.now.plus(it.chance.millis(5, 300));
        self.timers.set(at, Timer::Report(pod, it.turn));
    }

    /// The kubelet goes on after all containers have ended: a deleted pod leaves, the pod of a
    /// sandbox that died starts again.
    pub(super) fn report(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &mut self.pods[pod.at()];
        match it.phase {
            Phase::Ended(Why::Sandbox) => self.start_later(pod, (100, 1_500), turn),
            Phase::Ended(Why::Deleted) => {
                it.phase = Phase::Over;
                self.leave_api(pod, turn);
            }
            Phase::Waiting
            | Phase::Init(_)
            | Phase::Running
            | Phase::Ending(_)
            | Phase::Lost
            | Phase::Over => {}
        }
    }

    pub(super) fn unready(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &mut self.pods[pod.at()];
        if it.ready {
            it.ready = false;
            turn.order(Order::Unready(pod));
        }
    }

    /// The node of a pod loses its power.
    pub(super) fn lose(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        self.unready(pod, turn);
        let it = &mut self.pods[pod.at()];
        let init = if let Phase::Init(process) = it.phase { Some(process) } else { None };
        for process in init.into_iter().chain(it.stop.take()) {
            turn.order(Order::Kill(process));
        }
        it.turn = it.turn.wrapping_add(1);
        it.phase = Phase::Lost;
        it.main = false;
        it.attached = None;
        let (member, node) = (it.member, it.node);
        // The volume of a zombie's member is mounted where the live pod is.
        if self.members[member.at()].pod == Some(pod) {
            turn.order(Order::LosePower(member));
        }
        if self.nodes[node.at()].state == NodeState::Dead {
            self.after(turn, (500, 3_000), Timer::Collect(pod));
            self.pods[pod.at()].phase = Phase::Over;
        }
    }
}
