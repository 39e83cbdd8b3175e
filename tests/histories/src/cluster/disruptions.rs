//! The script's disruptions, applied to whatever exists at their time.

use std::time::Duration;

use super::pod::{Phase, Why};
use super::timers::Timer;
use super::{Context, NodeState, Orchestrator};
use crate::level::Order;
use crate::names::{MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::{Container, Disruption, Outage, Stripped};

fn seconds(count: u8) -> Duration {
    Duration::from_secs(u64::from(count))
}

fn millis(count: u32) -> Duration {
    Duration::from_millis(u64::from(count))
}

impl Orchestrator {
    pub(super) fn disruption(&mut self, number: usize, ctx: &mut Context<'_>) {
        let Some(disruption) = self.scenario.script.get(number).map(|at| at.disruption.clone())
        else {
            return;
        };
        let asks_api = disruption.changes_pods();
        if self.healing {
            return;
        }
        if asks_api && ctx.now < self.api_back {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let later = self.api_back.plus(Duration::from_millis(1));
            return self.timers.set(later, Timer::Disruption(number));
        }
        if self.try_disruption(&disruption, ctx) {
            let count = &mut self.done[disruption.kind()];
            *count = count.saturating_add(1);
        }
    }

    /// Applies it. False if there was nothing to apply it to.
    fn try_disruption(&mut self, disruption: &Disruption, ctx: &mut Context<'_>) -> bool {
        match disruption {
            Disruption::Start { member, node } => self.want(*member, *node, ctx),
            Disruption::Stop { member, grace_s } => {
                self.members[member.at()].wanted = None;
                let there = self.members[member.at()].pod.is_some();
                self.delete(*member, seconds(*grace_s), ctx);
                there
            }
            Disruption::Move { member, node, grace_s } => {
                self.want(*member, *node, ctx);
                self.delete(*member, seconds(*grace_s), ctx);
                true
            }
            Disruption::Force { member, node, notice_ms, grace_ms } => {
                let times = (millis(*notice_ms), millis(u32::from(*grace_ms)));
                let there = self.force(*member, times, ctx);
                if there {
                    self.members[member.at()].wanted = Some(*node);
                }
                there
            }
            Disruption::Sandbox { member, zombie } => self.sandbox(*member, *zombie, ctx),
            Disruption::Kill { member, zombie, container } => {
                self.target(*member, *zombie).is_some_and(|pod| self.kill(pod, *container, ctx))
            }
            Disruption::Orphan { member, ms } => self.orphan(*member, *ms, ctx),
            Disruption::Freeze { member, zombie, container, ms } => {
                let process =
                    self.target(*member, *zombie).and_then(|p| self.process(p, *container));
                process.is_some_and(|process| self.freeze(process, *ms, ctx))
            }
            Disruption::Power { node, back_ms } => self.power(*node, *back_ms, ctx),
            Disruption::Terminate { node } => self.terminate(*node, ctx),
            Disruption::KillAgent { node } => self.kill_agent(*node, ctx),
            Disruption::FreezeAgent { node, ms } => {
                let agent = self.nodes[node.at()].agent;
                agent.is_some_and(|process| self.freeze(process, *ms, ctx))
            }
            Disruption::Twin { node, ms } => self.twin(*node, *ms, ctx),
            Disruption::Leases { ms } => {
                ctx.order(Order::Leases(true));
                self.timers.set(ctx.now.plus(millis(*ms)), Timer::LeasesEnd);
                true
            }
            Disruption::ExternalReassignment { member, reassignment } => {
                let address = self.members[member.at()].address;
                address.map(|address| ctx.order(Order::Steal(address, *reassignment))).is_some()
            }
            Disruption::Strip { member, zombie, what } => {
                self.strip((*member, *zombie), *what, ctx)
            }
            Disruption::Fill { node, ms } => {
                ctx.order(Order::Fill(*node, true));
                self.timers.set(ctx.now.plus(millis(*ms)), Timer::Unfill(*node));
                true
            }
            Disruption::Outage { system, ms } => self.outage(*system, *ms, ctx),
        }
    }

    pub(super) fn want(&mut self, member: MemberIx, node: NodeIx, ctx: &mut Context<'_>) -> bool {
        self.members[member.at()].wanted = Some(node);
        let absent = self.members[member.at()].pod.is_none();
        if absent {
            self.after(ctx, (1, 100), Timer::Create(member));
        }
        absent
    }

    /// The live pod of a member, or the last one that was force-deleted and still runs.
    fn target(&self, member: MemberIx, zombie: bool) -> Option<PodIx> {
        let live = self.members[member.at()].pod;
        if !zombie {
            return live;
        }
        let other = self.pods.iter().enumerate().rev().find(|(number, pod)| {
            let here = PodIx(u16::try_from(*number).unwrap_or(u16::MAX));
            pod.member == member && Some(here) != live && pod.phase != Phase::Over
        });
        other.and_then(|(number, _)| u16::try_from(number).ok()).map(PodIx)
    }

    fn sandbox(&mut self, member: MemberIx, zombie: bool, ctx: &mut Context<'_>) -> bool {
        let Some(pod) = self.target(member, zombie) else { return false };
        let runs = matches!(self.pods[pod.at()].phase, Phase::Init(_) | Phase::Running);
        if runs {
            let grace = self.pods[pod.at()].rng.millis(2_000, 10_000);
            self.end(pod, Why::Sandbox, grace, ctx);
        }
        runs
    }

    fn strip(
        &self,
        (member, zombie): (MemberIx, bool),
        what: Stripped,
        ctx: &mut Context<'_>,
    ) -> bool {
        let node = self.target(member, zombie).map(|pod| self.pods[pod.at()].node);
        let up = node.filter(|node| self.nodes[node.at()].state == NodeState::Up);
        let place = up.zip(self.members[member.at()].address);
        place.map(|(node, address)| ctx.order(Order::Strip(node, address, what))).is_some()
    }

    fn process(&self, pod: PodIx, container: Container) -> Option<ProcessId> {
        let it = &self.pods[pod.at()];
        match (container, it.phase) {
            (Container::Init, Phase::Init(process)) => Some(process),
            (Container::Stop, Phase::Running | Phase::Ending(_)) => it.stop,
            (Container::Init | Container::Stop | Container::Main, _) => None,
        }
    }

    fn orphan(&mut self, member: MemberIx, ms: u32, ctx: &mut Context<'_>) -> bool {
        let Some(pod) = self.members[member.at()].pod else { return false };
        let runs = self.pods[pod.at()].phase == Phase::Running;
        let Some(process) = self.pods[pod.at()].stop.filter(|_| runs) else { return false };
        self.pods[pod.at()].stop = None;
        self.orphans.push((process, self.pods[pod.at()].node));
        self.timers.set(ctx.now.plus(millis(ms)), Timer::ReportOrphan(process));
        self.restart_sidecar(pod, ctx);
        true
    }

    fn kill(&mut self, pod: PodIx, container: Container, ctx: &mut Context<'_>) -> bool {
        if container == Container::Main {
            return self.kill_main(pod, ctx);
        }
        let Some(process) = self.process(pod, container) else { return false };
        ctx.order(Order::Kill(process));
        self.process_died(pod, process, ctx);
        true
    }

    fn kill_main(&mut self, pod: PodIx, ctx: &mut Context<'_>) -> bool {
        if !self.pods[pod.at()].main {
            return false;
        }
        if self.pods[pod.at()].phase == Phase::Running {
            self.main_off(pod, ctx);
            let it = &mut self.pods[pod.at()];
            let at = ctx.now.plus(it.rng.millis(300, 1_500));
            self.timers.set(at, Timer::StartMain(pod, it.generation));
        } else {
            self.main_ended(pod, ctx);
        }
        true
    }

    fn freeze(&mut self, process: ProcessId, ms: u32, ctx: &mut Context<'_>) -> bool {
        ctx.order(Order::Freeze(process));
        self.timers.set(ctx.now.plus(millis(ms)), Timer::Thaw(process));
        self.frozen.push(process);
        true
    }

    fn kill_agent(&mut self, node: NodeIx, ctx: &mut Context<'_>) -> bool {
        let Some(agent) = self.nodes[node.at()].agent.take() else { return false };
        ctx.order(Order::Kill(agent));
        self.after(ctx, (300, 3_000), Timer::StartAgent(node));
        true
    }

    fn outage(&mut self, system: Outage, ms: u32, ctx: &mut Context<'_>) -> bool {
        let back = ctx.now.plus(millis(ms));
        if system == Outage::Api {
            self.api_back = self.api_back.max(back);
        }
        ctx.order(Order::Outage(system, true));
        self.timers.set(back, Timer::OutageEnds(system));
        true
    }

    fn twin(&mut self, node: NodeIx, ms: u32, ctx: &mut Context<'_>) -> bool {
        let Some(last) = self.nodes[node.at()].agent.take() else { return false };
        self.twins.push((last, node));
        self.timers.set(ctx.now.plus(millis(ms)), Timer::KillTwin(last));
        self.start_agent(node, ctx);
        true
    }

    pub(super) fn power(
        &mut self,
        node: NodeIx,
        back_ms: Option<u32>,
        ctx: &mut Context<'_>,
    ) -> bool {
        if self.nodes[node.at()].state != NodeState::Up {
            return false;
        }
        self.power_off(node, NodeState::Off, ctx);
        if let Some(ms) = back_ms {
            self.timers.set(ctx.now.plus(millis(ms)), Timer::Boot(node));
        }
        true
    }

    /// At least two nodes always stay, so that members can be placed.
    fn terminate(&mut self, node: NodeIx, ctx: &mut Context<'_>) -> bool {
        let left = self.nodes.iter().filter(|node| node.state != NodeState::Dead).count();
        if left <= 2 || self.nodes[node.at()].state == NodeState::Dead {
            return false;
        }
        self.power_off(node, NodeState::Dead, ctx);
        true
    }
}
