//! The healing phase: faults end, what is off comes back, and nobody does anything to the cluster
//! any more.

use std::time::Duration;

use firecamp_core::time::Moment;

use super::pod::{Api, Phase};
use super::timers::Timer;
use super::{Director, NodeState, Turn};
use crate::level::{Level, Order, Power};
use crate::names::{MemberIx, NodeIx, PodIx};
use crate::scenario::Outage;

/// After fewer lives than this every member is restarted once more, when all has settled.
const FEW_LIVES: u32 = 6;
const GRACE: Duration = Duration::from_secs(30);

impl Director {
    pub(super) fn heal(&mut self, turn: &mut Turn<'_>) {
        self.healing = true;
        self.api_back = turn.now;
        turn.order(Order::Heal);
        for system in [Outage::Api, Outage::Ec2] {
            turn.order(Order::Outage(system, false));
        }
        for number in 0..self.scenario.shape.nodes {
            let node = NodeIx(number);
            turn.order(Order::Outage(Outage::Metadata(node), false));
            turn.order(Order::Fill(node, false));
            if self.nodes[node.at()].state == NodeState::Off {
                self.after(turn, (100, 1_000), Timer::Boot(node));
            }
        }
        turn.order(Order::Leases(false));
        for (twin, _) in std::mem::take(&mut self.twins) {
            turn.order(Order::Kill(twin));
        }
        for (orphan, _) in std::mem::take(&mut self.orphans) {
            turn.order(Order::Signal(orphan));
        }
        for process in std::mem::take(&mut self.frozen) {
            turn.order(Order::Thaw(process));
        }
        for number in 0..self.pods.len() {
            // Kubelets that were cut off hear of what was forced out meanwhile.
            if self.pods[number].api == Api::Gone && self.pods[number].phase != Phase::Over {
                let pod = PodIx(u16::try_from(number).unwrap_or(u16::MAX));
                self.after(turn, (100, 1_000), Timer::Notice(pod));
            }
        }
    }

    /// After a short history every member is started, or restarted, once more in a cluster in
    /// good order. True: there is more to come.
    pub fn again(&mut self, now: Moment, level: &mut dyn Level) -> bool {
        if self.lives >= FEW_LIVES || self.repeated {
            return false;
        }
        self.repeated = true;
        let mut turn = Turn { now, level };
        for number in 0..self.scenario.shape.members {
            let member = MemberIx(number);
            if self.members[member.at()].wanted.is_some() {
                self.delete(member, GRACE, &mut turn);
            } else {
                self.want(member, NodeIx(number), &mut turn);
            }
        }
        true
    }

    /// A node boots: its kubelet starts the pods that it still has.
    pub(super) fn boot(&mut self, node: NodeIx, turn: &mut Turn<'_>) {
        if self.nodes[node.at()].state != NodeState::Off {
            return;
        }
        self.nodes[node.at()].state = NodeState::Up;
        turn.order(Order::Node(node, Power::Back));
        if self.scenario.shape.agents {
            self.after(turn, (100, 1_000), Timer::StartAgent(node));
        }
        for number in 0..self.pods.len() {
            let pod = PodIx(u16::try_from(number).unwrap_or(u16::MAX));
            let it = &mut self.pods[number];
            if it.node != node || it.phase != Phase::Lost {
                continue;
            }
            match it.api {
                Api::Live => {
                    it.crashes = 0;
                    self.start_later(pod, (100, 2_000), turn);
                }
                Api::Ending(_) => {
                    it.phase = Phase::Over;
                    self.after(turn, (100, 1_000), Timer::Collect(pod));
                }
                Api::Gone => it.phase = Phase::Over,
            }
        }
    }
}
