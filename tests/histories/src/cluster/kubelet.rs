//! How a pod begins: the controller creates it, the kubelet runs its init container until that
//! succeeds, then the sidecar and the main container.

use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::machine::{Attached, Outcome};

use super::pod::{Phase, Pod};
use super::timers::Timer;
use super::{Director, Ended, NodeState, Owner, Turn};
use crate::level::{Order, Ready, Role};
use crate::names::{EniIx, MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::StopKind;
use crate::seed::{Chance, Purpose};

/// The longest back-off of a container. A kubelet's is 5 minutes; what matters is that it waits.
const BACKOFF_CAP_MS: u64 = 8_000;

impl Director {
    /// The controller creates the pod of a member that is wanted and has none.
    pub(super) fn create(&mut self, member: MemberIx, turn: &mut Turn<'_>) {
        let Some(wanted) = self.members[member.at()].wanted else { return };
        if self.members[member.at()].pod.is_some() {
            return;
        }
        let Some(node) = self.schedule(wanted) else {
            return self.after(turn, (500, 1_000), Timer::Create(member));
        };
        let number = u16::try_from(self.pods.len()).unwrap_or(u16::MAX);
        let pod = PodIx(number);
        let key = u64::from(number).saturating_add(1);
        let chance = Chance::new(self.scenario.seed, Purpose::Kubelet, key);
        self.pods.push(Pod::new(member, node, chance));
        self.members[member.at()].pod = Some(pod);
        self.show(pod, turn);
        self.start_later(pod, (20, 300), turn);
    }

    /// The node that is wanted, or the next one that is up.
    fn schedule(&self, wanted: NodeIx) -> Option<NodeIx> {
        let count = self.scenario.shape.nodes;
        let nodes = (0..count).map(|offset| NodeIx((wanted.0 + offset) % count));
        nodes.into_iter().find(|node| self.nodes[node.at()].state == NodeState::Up)
    }

    /// Tells the level what the API shows of a pod.
    pub(super) fn show(&self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &self.pods[pod.at()];
        turn.order(Order::Pod(it.member, it.api_pod(pod)));
    }

    pub(super) fn start_later(&mut self, pod: PodIx, millis: (u64, u64), turn: &Turn<'_>) {
        let it = &mut self.pods[pod.at()];
        it.phase = Phase::Waiting;
        let at = turn.now.plus(it.chance.millis(millis.0, millis.1));
        self.timers.set(at, Timer::StartInit(pod, it.turn));
    }

    pub(super) fn start_init(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &self.pods[pod.at()];
        let up = self.nodes[it.node.at()].state == NodeState::Up;
        if up && it.phase == Phase::Waiting {
            let process = self.spawn(Owner::Pod(pod), Role::Init, turn);
            self.pods[pod.at()].phase = Phase::Init(process);
        }
    }

    /// After a failure: longer each time.
    pub(super) fn back_off(&mut self, pod: PodIx, turn: &Turn<'_>) {
        let it = &mut self.pods[pod.at()];
        let length = (500_u64 << it.crashes.min(8)).min(BACKOFF_CAP_MS);
        it.crashes = it.crashes.saturating_add(1);
        self.start_later(pod, (length / 2, length), turn);
    }

    pub(super) fn pod_process_ended(
        &mut self,
        pod: PodIx,
        process: ProcessId,
        ended: &Ended,
        turn: &mut Turn<'_>,
    ) {
        let it = &self.pods[pod.at()];
        match it.phase {
            Phase::Init(own) if own == process => {
                if let Ended::Outcome(Outcome::Attached(attached)) = ended {
                    self.init_succeeded(pod, attached, turn);
                } else {
                    self.back_off(pod, turn);
                }
            }
            Phase::Ending(why) => self.ended_while_ending(pod, process, why, turn),
            Phase::Running if it.stop == Some(process) => {
                self.pods[pod.at()].stop = None;
                self.restart_side(pod, turn);
            }
            Phase::Init(_)
            | Phase::Running
            | Phase::Waiting
            | Phase::Ended(_)
            | Phase::Lost
            | Phase::Over => {}
        }
    }

    fn init_succeeded(&mut self, pod: PodIx, attached: &Attached, turn: &mut Turn<'_>) {
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
        it.busy = it.chance.once_in(8);
        turn.order(Order::Ready(pod, ready));
        if self.scenario.shape.stop == StopKind::Sidecar {
            self.start_side(pod, turn);
        }
        let it = &mut self.pods[pod.at()];
        let at = turn.now.plus(it.chance.millis(20, 300));
        self.timers.set(at, Timer::StartMain(pod, it.turn));
    }

    pub(super) fn start_side(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &self.pods[pod.at()];
        if it.phase == Phase::Running && it.stop.is_none() {
            // Nobody told it how long it has; the API does when it asks.
            let role = Role::Stop(StopKind::Sidecar, timing::UNKNOWN_GRACE);
            let process = self.spawn(Owner::Pod(pod), role, turn);
            self.pods[pod.at()].stop = Some(process);
        }
    }

    pub(super) fn restart_side(&mut self, pod: PodIx, turn: &Turn<'_>) {
        let it = &mut self.pods[pod.at()];
        let at = turn.now.plus(it.chance.millis(300, 1_500));
        self.timers.set(at, Timer::StartSide(pod, it.turn));
    }

    pub(super) fn start_main(&mut self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &mut self.pods[pod.at()];
        if it.phase == Phase::Running && !it.main {
            it.main = true;
            it.crashes = 0;
            self.sockets_of(pod, turn);
        }
    }

    /// The sockets of its address have changed.
    pub(super) fn sockets_of(&self, pod: PodIx, turn: &mut Turn<'_>) {
        let it = &self.pods[pod.at()];
        if let Some(attached) = it.attached {
            self.count_sockets(it.node, attached.address, turn);
        }
    }

    /// How long the main container takes to end. Some use up whatever they are given.
    pub(super) fn stopping_time(&mut self, pod: PodIx) -> Duration {
        let chance = &mut self.pods[pod.at()].chance;
        match chance.below(16) {
            0 => Duration::from_mins(1),
            1 | 2 => chance.millis(300, 4_000),
            3.. => chance.millis(1, 150),
        }
    }
}
