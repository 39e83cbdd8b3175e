//! How a pod ends: hook, main container, sidecar, in the kubelet's order. When the grace period is
//! over, whatever still runs gets SIGKILL.

use std::time::Duration;

use super::pod::{Api, Phase, Why};
use super::timers::Timer;
use super::{Context, NodeState, Orchestrator, Owner};
use crate::level::{Order, Role};
use crate::names::{MemberIx, PodIx, ProcessId};
use crate::scenario::StopKind;

/// The least time that a sidecar gets, even if the main container has used up the grace period.
const LAST_SECONDS: Duration = Duration::from_secs(2);

impl Orchestrator {
    /// A user deletes the pod of a member.
    pub(super) fn delete(&mut self, member: MemberIx, grace: Duration, ctx: &mut Context<'_>) {
        let Some(pod) = self.members[member.at()].pod else { return };
        let it = &mut self.pods[pod.at()];
        if it.api == Api::Live {
            it.api = Api::Ending(ctx.now.plus(grace));
            let at = ctx.now.plus(it.rng.millis(5, 400));
            self.timers.set(at, Timer::Notice(pod));
            self.show(pod, ctx);
        }
    }

    /// A force delete: the pod leaves the API at once; its kubelet notices later and grants this
    /// grace period.
    pub(super) fn force(
        &mut self,
        member: MemberIx,
        (notice, grace): (Duration, Duration),
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(pod) = self.members[member.at()].pod else { return false };
        self.leave_api(pod, ctx);
        self.pods[pod.at()].forced_grace = grace;
        self.timers.set(ctx.now.plus(notice), Timer::Notice(pod));
        true
    }

    /// The pod has left the API, and the controller sees that.
    pub(super) fn leave_api(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &mut self.pods[pod.at()];
        let (member, was) = (it.member, it.api);
        it.api = Api::Gone;
        if was != Api::Gone {
            self.show(pod, ctx);
            self.members[member.at()].pod = None;
            self.after(ctx, (10, 500), Timer::Create(member));
        }
    }

    /// The kubelet notices that its pod is deleted or gone.
    pub(super) fn notice(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &self.pods[pod.at()];
        let until = match it.api {
            Api::Live => return,
            Api::Ending(until) => until,
            Api::Gone => ctx.now.plus(it.forced_grace),
        };
        match it.phase {
            Phase::Waiting | Phase::Init(_) | Phase::Running => {
                let grace = until.since(ctx.now).max(LAST_SECONDS);
                self.end(pod, Why::Deleted, grace, ctx);
            }
            Phase::Ending(_) => self.pods[pod.at()].phase = Phase::Ending(Why::Deleted),
            Phase::Ended(_) => self.pods[pod.at()].phase = Phase::Ended(Why::Deleted),
            Phase::Lost | Phase::Over => {}
        }
    }

    /// Begins to stop the containers.
    pub(super) fn end(&mut self, pod: PodIx, why: Why, grace: Duration, ctx: &mut Context<'_>) {
        self.unready(pod, ctx);
        let it = &mut self.pods[pod.at()];
        let before = it.phase;
        it.generation = it.generation.wrapping_add(1);
        it.phase = Phase::Ending(why);
        it.grace_until = ctx.now.plus(grace);
        self.timers.set(it.grace_until, Timer::GraceOver(pod, it.generation));
        match before {
            Phase::Init(process) => {
                // In contrast to a hook, the main container has never run.
                it.stop = Some(process);
                ctx.order(Order::Signal(process));
            }
            Phase::Running => self.end_running(pod, ctx),
            Phase::Waiting | Phase::Ending(_) | Phase::Ended(_) | Phase::Lost | Phase::Over => {
                self.all_ended(pod, why, ctx);
            }
        }
    }

    fn end_running(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        if self.scenario.shape.stop == StopKind::Hook && self.pods[pod.at()].main {
            let left = self.pods[pod.at()].grace_until.since(ctx.now);
            let process = self.spawn(Owner::Pod(pod), Role::Stop(StopKind::Hook, left), ctx);
            self.pods[pod.at()].stop = Some(process);
            return;
        }
        self.end_main(pod, ctx);
    }

    /// SIGTERM for the main container.
    fn end_main(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        if self.pods[pod.at()].main {
            let at = ctx.now.plus(self.stopping_time(pod));
            self.timers.set(at, Timer::MainEnds(pod, self.pods[pod.at()].generation));
        } else {
            self.end_sidecar(pod, ctx);
        }
    }

    /// The main container has ended while the pod is being stopped.
    pub(super) fn main_ended(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        if self.pods[pod.at()].main {
            self.main_off(pod, ctx);
            self.end_sidecar(pod, ctx);
        }
    }

    pub(super) fn main_off(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        if self.pods[pod.at()].main {
            self.pods[pod.at()].main = false;
            self.sockets_of(pod, ctx);
        }
    }

    /// SIGTERM for the sidecar, when all others have ended.
    fn end_sidecar(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &self.pods[pod.at()];
        let Phase::Ending(why) = it.phase else { return };
        match it.stop {
            Some(process) => {
                let kill = it.grace_until.max(ctx.now.plus(LAST_SECONDS));
                self.timers.set(kill, Timer::KillSidecar(pod, it.generation));
                ctx.order(Order::Signal(process));
            }
            None => self.all_ended(pod, why, ctx),
        }
    }

    /// A process of a pod that is being stopped has ended by itself.
    pub(super) fn ended_while_ending(
        &mut self,
        pod: PodIx,
        process: ProcessId,
        why: Why,
        ctx: &mut Context<'_>,
    ) {
        if self.pods[pod.at()].stop != Some(process) {
            return;
        }
        self.pods[pod.at()].stop = None;
        if self.pods[pod.at()].main {
            // It was the hook: the main container comes next.
            self.end_main(pod, ctx);
        } else {
            self.all_ended(pod, why, ctx);
        }
    }

    /// The grace period is over: SIGKILL for a hook and for the main container.
    pub(super) fn grace_over(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &self.pods[pod.at()];
        let Phase::Ending(why) = it.phase else { return };
        if it.main {
            if self.scenario.shape.stop == StopKind::Hook
                && let Some(hook) = self.pods[pod.at()].stop.take()
            {
                ctx.order(Order::Kill(hook));
            }
            self.main_off(pod, ctx);
            self.end_sidecar(pod, ctx);
        } else if let (false, Some(process)) = (self.is_sidecar(pod), it.stop) {
            // An init container that did not end.
            ctx.order(Order::Kill(process));
            self.pods[pod.at()].stop = None;
            self.all_ended(pod, why, ctx);
        }
    }

    /// Whether its stop process is a sidecar that has received SIGTERM.
    fn is_sidecar(&self, pod: PodIx) -> bool {
        self.scenario.shape.stop == StopKind::Sidecar && self.pods[pod.at()].attached.is_some()
    }

    /// SIGKILL for a sidecar that takes too long.
    pub(super) fn kill_sidecar(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let Phase::Ending(why) = self.pods[pod.at()].phase else { return };
        if let Some(process) = self.pods[pod.at()].stop.take() {
            ctx.order(Order::Kill(process));
            self.all_ended(pod, why, ctx);
        }
    }

    fn all_ended(&mut self, pod: PodIx, why: Why, ctx: &mut Context<'_>) {
        let it = &mut self.pods[pod.at()];
        it.phase = Phase::Ended(why);
        it.generation = it.generation.wrapping_add(1);
        it.attached = None;
        let at = ctx.now.plus(it.rng.millis(5, 300));
        self.timers.set(at, Timer::Report(pod, it.generation));
    }

    /// The kubelet continues after all containers have ended: a deleted pod leaves the API; a pod
    /// whose sandbox died starts again.
    pub(super) fn report(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &mut self.pods[pod.at()];
        match it.phase {
            Phase::Ended(Why::Sandbox) => self.start_later(pod, (100, 1_500), ctx),
            Phase::Ended(Why::Deleted) => {
                it.phase = Phase::Over;
                self.leave_api(pod, ctx);
            }
            Phase::Waiting
            | Phase::Init(_)
            | Phase::Running
            | Phase::Ending(_)
            | Phase::Lost
            | Phase::Over => {}
        }
    }

    pub(super) fn unready(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &mut self.pods[pod.at()];
        if it.ready {
            it.ready = false;
            ctx.order(Order::Unready(pod));
        }
    }

    /// The node of a pod loses its power.
    pub(super) fn node_lost(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        self.unready(pod, ctx);
        let it = &mut self.pods[pod.at()];
        let init = if let Phase::Init(process) = it.phase { Some(process) } else { None };
        for process in init.into_iter().chain(it.stop.take()) {
            ctx.order(Order::Kill(process));
        }
        it.generation = it.generation.wrapping_add(1);
        it.phase = Phase::Lost;
        it.main = false;
        it.attached = None;
        let (member, node) = (it.member, it.node);
        // The volume of a zombie's member is mounted on the node of the live pod.
        if self.members[member.at()].pod == Some(pod) {
            ctx.order(Order::LosePower(member));
        }
        if self.nodes[node.at()].state == NodeState::Dead {
            self.after(ctx, (500, 3_000), Timer::Collect(pod));
            self.pods[pod.at()].phase = Phase::Over;
        }
    }
}
