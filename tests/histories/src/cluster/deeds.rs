//! The script's deeds, done to whatever is there at their time.

use std::time::Duration;

use super::pod::{Phase, Why};
use super::timers::Timer;
use super::{Director, NodeState, Turn};
use crate::level::Order;
use crate::names::{MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::{Container, Deed, Outage, Stripped};

fn seconds(count: u8) -> Duration {
    Duration::from_secs(u64::from(count))
}

fn millis(count: u32) -> Duration {
    Duration::from_millis(u64::from(count))
}

impl Director {
    pub(super) fn deed(&mut self, number: usize, turn: &mut Turn<'_>) {
        let Some(deed) = self.scenario.script.get(number).map(|at| at.deed.clone()) else {
            return;
        };
        let asks_api = matches!(
            deed,
            Deed::Start { .. } | Deed::Stop { .. } | Deed::Move { .. } | Deed::Force { .. }
        );
        if self.healing {
            return;
        }
        if asks_api && turn.now < self.api_back {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let later = self.api_back.plus(Duration::from_millis(1));
            return self.timers.set(later, Timer::Deed(number));
        }
        if self.try_deed(&deed, turn) {
            let count = &mut self.done[deed.kind()];
            *count = count.saturating_add(1);
        }
    }

    /// Does it. False if there was nothing to do it to.
    fn try_deed(&mut self, deed: &Deed, turn: &mut Turn<'_>) -> bool {
        match deed {
            Deed::Start { member, node } => self.want(*member, *node, turn),
            Deed::Stop { member, grace_s } => {
                self.members[member.at()].wanted = None;
                let there = self.members[member.at()].pod.is_some();
                self.delete(*member, seconds(*grace_s), turn);
                there
            }
            Deed::Move { member, node, grace_s } => {
                self.want(*member, *node, turn);
                self.delete(*member, seconds(*grace_s), turn);
                true
            }
            Deed::Force { member, node, notice_ms, grace_ms } => {
                let times = (millis(*notice_ms), millis(u32::from(*grace_ms)));
                let there = self.force(*member, times, turn);
                if there {
                    self.members[member.at()].wanted = Some(*node);
                }
                there
            }
            Deed::Sandbox { member, zombie } => self.sandbox(*member, *zombie, turn),
            Deed::Kill { member, zombie, container } => {
                self.target(*member, *zombie).is_some_and(|pod| self.kill(pod, *container, turn))
            }
            Deed::Orphan { member, ms } => self.orphan(*member, *ms, turn),
            Deed::Freeze { member, zombie, container, ms } => {
                let process =
                    self.target(*member, *zombie).and_then(|p| self.process(p, *container));
                process.is_some_and(|process| self.freeze(process, *ms, turn))
            }
            Deed::Power { node, back_ms } => self.power(*node, *back_ms, turn),
            Deed::Terminate { node } => self.terminate(*node, turn),
            Deed::KillAgent { node } => self.kill_agent(*node, turn),
            Deed::FreezeAgent { node, ms } => {
                let agent = self.nodes[node.at()].agent;
                agent.is_some_and(|process| self.freeze(process, *ms, turn))
            }
            Deed::Twin { node, ms } => self.twin(*node, *ms, turn),
            Deed::Leases { ms } => {
                turn.order(Order::Leases(true));
                self.timers.set(turn.now.plus(millis(*ms)), Timer::LeasesEnd);
                true
            }
            Deed::Thief { member, theft } => {
                let address = self.members[member.at()].address;
                address.map(|address| turn.order(Order::Steal(address, *theft))).is_some()
            }
            Deed::Strip { member, zombie, what } => self.strip((*member, *zombie), *what, turn),
            Deed::Fill { node, ms } => {
                turn.order(Order::Fill(*node, true));
                self.timers.set(turn.now.plus(millis(*ms)), Timer::Unfill(*node));
                true
            }
            Deed::Outage { system, ms } => self.outage(*system, *ms, turn),
        }
    }

    pub(super) fn want(&mut self, member: MemberIx, node: NodeIx, turn: &mut Turn<'_>) -> bool {
        self.members[member.at()].wanted = Some(node);
        let absent = self.members[member.at()].pod.is_none();
        if absent {
            self.after(turn, (1, 100), Timer::Create(member));
        }
        absent
    }

    /// The live pod of a member, or the last one that was forced out and still runs.
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

    fn sandbox(&mut self, member: MemberIx, zombie: bool, turn: &mut Turn<'_>) -> bool {
        let Some(pod) = self.target(member, zombie) else { return false };
        let runs = matches!(self.pods[pod.at()].phase, Phase::Init(_) | Phase::Running);
        if runs {
            let grace = self.pods[pod.at()].chance.millis(2_000, 10_000);
            self.end(pod, Why::Sandbox, grace, turn);
        }
        runs
    }

    fn strip(
        &self,
        (member, zombie): (MemberIx, bool),
        what: Stripped,
        turn: &mut Turn<'_>,
    ) -> bool {
        let node = self.target(member, zombie).map(|pod| self.pods[pod.at()].node);
        let up = node.filter(|node| self.nodes[node.at()].state == NodeState::Up);
        let place = up.zip(self.members[member.at()].address);
        place.map(|(node, address)| turn.order(Order::Strip(node, address, what))).is_some()
    }

    fn process(&self, pod: PodIx, container: Container) -> Option<ProcessId> {
        let it = &self.pods[pod.at()];
        match (container, it.phase) {
            (Container::Init, Phase::Init(process)) => Some(process),
            (Container::Stop, Phase::Running | Phase::Ending(_)) => it.stop,
            (Container::Init | Container::Stop | Container::Main, _) => None,
        }
    }

    fn orphan(&mut self, member: MemberIx, ms: u32, turn: &mut Turn<'_>) -> bool {
        let Some(pod) = self.members[member.at()].pod else { return false };
        let runs = self.pods[pod.at()].phase == Phase::Running;
        let Some(process) = self.pods[pod.at()].stop.filter(|_| runs) else { return false };
        self.pods[pod.at()].stop = None;
        self.orphans.push((process, self.pods[pod.at()].node));
        self.timers.set(turn.now.plus(millis(ms)), Timer::TellOrphan(process));
        self.restart_side(pod, turn);
        true
    }

    fn kill(&mut self, pod: PodIx, container: Container, turn: &mut Turn<'_>) -> bool {
        if container == Container::Main {
            return self.kill_main(pod, turn);
        }
        let Some(process) = self.process(pod, container) else { return false };
        turn.order(Order::Kill(process));
        self.process_died(pod, process, turn);
        true
    }

    fn kill_main(&mut self, pod: PodIx, turn: &mut Turn<'_>) -> bool {
        if !self.pods[pod.at()].main {
            return false;
        }
        if self.pods[pod.at()].phase == Phase::Running {
            self.main_off(pod, turn);
            let it = &mut self.pods[pod.at()];
            let at = turn.now.plus(it.chance.millis(300, 1_500));
            self.timers.set(at, Timer::StartMain(pod, it.turn));
        } else {
            self.main_ended(pod, turn);
        }
        true
    }

    fn freeze(&mut self, process: ProcessId, ms: u32, turn: &mut Turn<'_>) -> bool {
        turn.order(Order::Freeze(process));
        self.timers.set(turn.now.plus(millis(ms)), Timer::Thaw(process));
        self.frozen.push(process);
        true
    }

    fn kill_agent(&mut self, node: NodeIx, turn: &mut Turn<'_>) -> bool {
        let Some(agent) = self.nodes[node.at()].agent.take() else { return false };
        turn.order(Order::Kill(agent));
        self.after(turn, (300, 3_000), Timer::StartAgent(node));
        true
    }

    fn outage(&mut self, system: Outage, ms: u32, turn: &mut Turn<'_>) -> bool {
        let back = turn.now.plus(millis(ms));
        if system == Outage::Api {
            self.api_back = self.api_back.max(back);
        }
        turn.order(Order::Outage(system, true));
        self.timers.set(back, Timer::OutageEnds(system));
        true
    }

    fn twin(&mut self, node: NodeIx, ms: u32, turn: &mut Turn<'_>) -> bool {
        let Some(last) = self.nodes[node.at()].agent.take() else { return false };
        self.twins.push((last, node));
        self.timers.set(turn.now.plus(millis(ms)), Timer::KillTwin(last));
        self.start_agent(node, turn);
        true
    }

    pub(super) fn power(
        &mut self,
        node: NodeIx,
        back_ms: Option<u32>,
        turn: &mut Turn<'_>,
    ) -> bool {
        if self.nodes[node.at()].state != NodeState::Up {
            return false;
        }
        self.power_off(node, NodeState::Off, turn);
        if let Some(ms) = back_ms {
            self.timers.set(turn.now.plus(millis(ms)), Timer::Boot(node));
        }
        true
    }

    /// Two nodes always stay, so that members have a place.
    fn terminate(&mut self, node: NodeIx, turn: &mut Turn<'_>) -> bool {
        let left = self.nodes.iter().filter(|node| node.state != NodeState::Dead).count();
        if left <= 2 || self.nodes[node.at()].state == NodeState::Dead {
            return false;
        }
        self.power_off(node, NodeState::Dead, turn);
        true
    }
}
