//! How a pod starts: the controller creates it, the kubelet runs its init container until that
//! succeeds, then the sidecar and the main container.

use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::machine::{Attached, Outcome};

use super::pod::{Phase, Pod};
use super::timers::Timer;
use super::{Context, Ended, NodeState, Orchestrator, Owner};
use crate::level::{Order, Ready, Role};
use crate::names::{EniIx, MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::StopKind;
use crate::seed::{Purpose, SeededRng};

/// The longest backoff of a container. A kubelet's is 5 minutes; what matters here is that it
/// waits.
const BACKOFF_CAP_MS: u64 = 8_000;

impl Orchestrator {
    /// The controller creates the pod of a wanted member that has none.
    pub(super) fn create(&mut self, member: MemberIx, ctx: &mut Context<'_>) {
        let Some(wanted) = self.members[member.at()].wanted else { return };
        if self.members[member.at()].pod.is_some() {
            return;
        }
        let Some(node) = self.schedule(wanted) else {
            return self.after(ctx, (500, 1_000), Timer::Create(member));
        };
        let number = u16::try_from(self.pods.len()).unwrap_or(u16::MAX);
        let pod = PodIx(number);
        let key = u64::from(number).saturating_add(1);
        let rng = SeededRng::new(self.scenario.seed, Purpose::Kubelet, key);
        self.pods.push(Pod::new(member, node, rng));
        self.members[member.at()].pod = Some(pod);
        self.show(pod, ctx);
        self.start_later(pod, (20, 300), ctx);
    }

    /// The wanted node, or the next one that is up.
    fn schedule(&self, wanted: NodeIx) -> Option<NodeIx> {
        let count = self.scenario.shape.nodes;
        let nodes = (0..count).map(|offset| NodeIx((wanted.0 + offset) % count));
        nodes.into_iter().find(|node| self.nodes[node.at()].state == NodeState::Up)
    }

    /// Passes the API's view of a pod to the level.
    pub(super) fn show(&self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &self.pods[pod.at()];
        ctx.order(Order::Pod(it.member, it.api_pod(pod)));
    }

    pub(super) fn start_later(&mut self, pod: PodIx, millis: (u64, u64), ctx: &Context<'_>) {
        let it = &mut self.pods[pod.at()];
        it.phase = Phase::Waiting;
        let at = ctx.now.plus(it.rng.millis(millis.0, millis.1));
        self.timers.set(at, Timer::StartInit(pod, it.generation));
    }

    pub(super) fn start_init(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &self.pods[pod.at()];
        let up = self.nodes[it.node.at()].state == NodeState::Up;
        if up && it.phase == Phase::Waiting {
            let process = self.spawn(Owner::Pod(pod), Role::Init, ctx);
            self.pods[pod.at()].phase = Phase::Init(process);
        }
    }

    /// Restarts the init container after a failure, with growing backoff.
    pub(super) fn back_off(&mut self, pod: PodIx, ctx: &Context<'_>) {
        let it = &mut self.pods[pod.at()];
        let length = (500_u64 << it.crashes.min(8)).min(BACKOFF_CAP_MS);
        it.crashes = it.crashes.saturating_add(1);
        self.start_later(pod, (length / 2, length), ctx);
    }

    pub(super) fn pod_process_ended(
        &mut self,
        pod: PodIx,
        process: ProcessId,
        ended: &Ended,
        ctx: &mut Context<'_>,
    ) {
        let it = &self.pods[pod.at()];
        match it.phase {
            Phase::Init(own) if own == process => {
                if let Ended::Outcome(Outcome::Attached(attached)) = ended {
                    self.init_succeeded(pod, attached, ctx);
                } else {
                    self.back_off(pod, ctx);
                }
            }
            Phase::Ending(why) => self.ended_while_ending(pod, process, why, ctx),
            Phase::Running if it.stop == Some(process) => {
                self.pods[pod.at()].stop = None;
                self.restart_sidecar(pod, ctx);
            }
            Phase::Init(_)
            | Phase::Running
            | Phase::Waiting
            | Phase::Ended(_)
            | Phase::Lost
            | Phase::Over => {}
        }
    }

    fn init_succeeded(&mut self, pod: PodIx, attached: &Attached, ctx: &mut Context<'_>) {
        let it = &mut self.pods[pod.at()];
        it.phase = Phase::Running;
        self.lives = self.lives.saturating_add(1);
        let ready = Ready {
            member: it.member,
            node: it.node,
            address: attached.address,
            epoch: attached.epoch.0,
            eni: EniIx::of(&attached.eni).unwrap_or_default(),
        };
        it.attached = Some(ready);
        it.ready = true;
        self.members[ready.member.at()].address = Some(ready.address);
        let it = &mut self.pods[pod.at()];
        it.busy = it.rng.once_in(8);
        ctx.order(Order::Ready(pod, ready));
        if self.scenario.shape.stop == StopKind::Sidecar {
            self.start_sidecar(pod, ctx);
        }
        let it = &mut self.pods[pod.at()];
        let at = ctx.now.plus(it.rng.millis(20, 300));
        self.timers.set(at, Timer::StartMain(pod, it.generation));
    }

    pub(super) fn start_sidecar(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &self.pods[pod.at()];
        if it.phase == Phase::Running && it.stop.is_none() {
            // It does not know its remaining time; it reads that from the API.
            let role = Role::Stop(StopKind::Sidecar, timing::UNKNOWN_GRACE);
            let process = self.spawn(Owner::Pod(pod), role, ctx);
            self.pods[pod.at()].stop = Some(process);
        }
    }

    pub(super) fn restart_sidecar(&mut self, pod: PodIx, ctx: &Context<'_>) {
        let it = &mut self.pods[pod.at()];
        let at = ctx.now.plus(it.rng.millis(300, 1_500));
        self.timers.set(at, Timer::StartSidecar(pod, it.generation));
    }

    pub(super) fn start_main(&mut self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &mut self.pods[pod.at()];
        if it.phase == Phase::Running && !it.main {
            it.main = true;
            it.crashes = 0;
            self.sockets_of(pod, ctx);
        }
    }

    /// The sockets on the pod's address have changed.
    pub(super) fn sockets_of(&self, pod: PodIx, ctx: &mut Context<'_>) {
        let it = &self.pods[pod.at()];
        if let Some(attached) = it.attached {
            self.count_sockets(it.node, attached.address, ctx);
        }
    }

    /// How long the main container takes to end. Some use all the time they get.
    pub(super) fn stopping_time(&mut self, pod: PodIx) -> Duration {
        let rng = &mut self.pods[pod.at()].rng;
        match rng.below(16) {
            0 => Duration::from_mins(1),
            1 | 2 => rng.millis(300, 4_000),
            3.. => rng.millis(1, 150),
        }
    }
}
