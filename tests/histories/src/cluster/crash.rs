//! A process crashes at a chosen boundary, and the cluster recovers.

use std::time::Duration;

use firecamp_core::time::Moment;

use super::pod::{Api, Phase};
use super::timers::Timer;
use super::{Context, Orchestrator, Owner};
use crate::crash_injection::{CrashKind, Recovery};
use crate::level::Order;
use crate::names::{NodeIx, PodIx, ProcessId};

/// How long after a frozen process resumes its kubelet learns that the pod is gone.
const NOTICE_DELAY: Duration = Duration::from_millis(500);

fn millis_of(length: Duration) -> u32 {
    u32::try_from(length.as_millis()).unwrap_or(u32::MAX)
}

impl Orchestrator {
    /// When a process last crashed at a chosen boundary.
    pub fn crashed_at(&self) -> Moment {
        self.crashed_at
    }

    /// A process has just been killed or frozen by its level.
    pub(super) fn crashed(
        &mut self,
        process: ProcessId,
        (how, recovery): (CrashKind, Recovery),
        ctx: &mut Context<'_>,
    ) {
        let now = ctx.now;
        self.crashed_at = now;
        match (self.owners.get(process.at()).copied(), how) {
            (Some(Owner::Agent(node)), CrashKind::Kill) => {
                // Its successor may already run beside it.
                if self.nodes[node.at()].agent == Some(process) {
                    self.nodes[node.at()].agent = None;
                    self.after(ctx, (300, 3_000), Timer::StartAgent(node));
                }
            }
            (Some(Owner::Agent(node)), CrashKind::Power(length)) => {
                self.power(node, Some(millis_of(length)), ctx);
            }
            (Some(Owner::Agent(_)), CrashKind::Freeze(length)) => {
                self.thaw_at(process, now.plus(length));
            }
            (Some(Owner::Pod(pod)), CrashKind::Kill) => {
                if recovery != Recovery::Nothing {
                    self.process_died(pod, process, ctx);
                }
                self.recover(pod, recovery, now, ctx);
            }
            (Some(Owner::Pod(pod)), CrashKind::Power(length)) => {
                let node = self.pods[pod.at()].node;
                self.power(node, Some(millis_of(length)), ctx);
                self.recover(pod, recovery, now, ctx);
            }
            (Some(Owner::Pod(pod)), CrashKind::Freeze(length)) => {
                let until = now.plus(length);
                self.thaw_at(process, until);
                self.recover(pod, recovery, until.plus(NOTICE_DELAY), ctx);
            }
            (None, _) => {}
        }
    }

    fn thaw_at(&mut self, process: ProcessId, until: Moment) {
        self.timers.set(until, Timer::Thaw(process));
        self.frozen.push(process);
    }

    /// The kubelet's reaction to a killed process of a pod.
    pub(super) fn process_died(&mut self, pod: PodIx, process: ProcessId, ctx: &mut Context<'_>) {
        match self.pods[pod.at()].phase {
            Phase::Init(_) => self.back_off(pod, ctx),
            Phase::Ending(why) => self.ended_while_ending(pod, process, why, ctx),
            Phase::Running => {
                self.pods[pod.at()].stop = None;
                self.restart_sidecar(pod, ctx);
            }
            Phase::Waiting | Phase::Ended(_) | Phase::Lost | Phase::Over => {}
        }
    }

    /// Whether and where a successor follows the pod. Its kubelet learns of that at `notice_at`.
    fn recover(
        &mut self,
        pod: PodIx,
        recovery: Recovery,
        notice_at: Moment,
        ctx: &mut Context<'_>,
    ) {
        let it = &self.pods[pod.at()];
        let (member, node) = (it.member, it.node);
        // The end of a zombie says nothing about whether the member is wanted.
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
            self.leave_api(pod, ctx);
        }
        if recovery == Recovery::Nothing && notice_at <= ctx.now {
            return self.remove_silently(pod, ctx);
        }
        self.pods[pod.at()].forced_grace = Duration::ZERO;
        self.timers.set(notice_at, Timer::Notice(pod));
    }

    /// Nothing of the pod runs any more, and no stop container will ever run.
    fn remove_silently(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        self.unready(pod, ctx);
        self.main_off(pod, ctx);
        let it = &mut self.pods[pod.at()];
        let init = if let Phase::Init(process) = it.phase { Some(process) } else { None };
        for process in init.into_iter().chain(it.stop.take()) {
            ctx.order(Order::Kill(process));
        }
        it.generation = it.generation.wrapping_add(1);
        it.phase = Phase::Over;
        it.attached = None;
    }
}
