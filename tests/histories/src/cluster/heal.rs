//! The healing phase: faults end, nodes that are off boot, and no disruption follows.

use std::time::Duration;

use firecamp_core::time::Moment;

use super::pod::{Api, Phase};
use super::timers::Timer;
use super::{Context, NodeState, Orchestrator};
use crate::level::{Level, Order, Power};
use crate::names::{MemberIx, NodeIx, PodIx};
use crate::scenario::Outage;

/// If fewer init containers than this have succeeded, every member is restarted once more after the
/// cluster has settled.
const FEW_INIT_RUNS: u32 = 6;
const GRACE: Duration = Duration::from_secs(30);

impl Orchestrator {
    pub(super) fn heal(&mut self, ctx: &mut Context<'_>) {
        self.healing = true;
        self.api_back = ctx.now;
        ctx.order(Order::Heal);
        for system in [Outage::Api, Outage::Ec2] {
            ctx.order(Order::Outage(system, false));
        }
        for number in 0..self.scenario.shape.nodes {
            let node = NodeIx(number);
            ctx.order(Order::Outage(Outage::Metadata(node), false));
            ctx.order(Order::Fill(node, false));
            if self.nodes[node.at()].state == NodeState::Off {
                self.after(ctx, (100, 1_000), Timer::Boot(node));
            }
        }
        ctx.order(Order::Leases(false));
        for (twin, _) in std::mem::take(&mut self.twins) {
            ctx.order(Order::Kill(twin));
        }
        for (orphan, _) in std::mem::take(&mut self.orphans) {
            ctx.order(Order::Signal(orphan));
        }
        for process in std::mem::take(&mut self.frozen) {
            ctx.order(Order::Thaw(process));
        }
        for number in 0..self.pods.len() {
            // Kubelets that were cut off learn which pods were force-deleted.
            if self.pods[number].api == Api::Gone && self.pods[number].phase != Phase::Over {
                let pod = PodIx(u16::try_from(number).unwrap_or(u16::MAX));
                self.after(ctx, (100, 1_000), Timer::Notice(pod));
            }
        }
    }

    /// After a short history, starts or restarts every member once more in a healthy cluster. True
    /// if that has begun.
    pub fn restart_once_more(&mut self, now: Moment, level: &mut dyn Level) -> bool {
        if self.lives >= FEW_INIT_RUNS || self.repeated {
            return false;
        }
        self.repeated = true;
        let mut ctx = Context { now, level };
        for number in 0..self.scenario.shape.members {
            let member = MemberIx(number);
            if self.members[member.at()].wanted.is_some() {
                self.delete(member, GRACE, &mut ctx);
            } else {
                self.want(member, NodeIx(number), &mut ctx);
            }
        }
        true
    }

    /// A node boots: its kubelet starts the pods that are still assigned to it.
    pub(super) fn boot(&mut self, node: NodeIx, ctx: &mut Context<'_>) {
        if self.nodes[node.at()].state != NodeState::Off {
            return;
        }
        self.nodes[node.at()].state = NodeState::Up;
        ctx.order(Order::Node(node, Power::Back));
        if self.scenario.shape.agents {
            self.after(ctx, (100, 1_000), Timer::StartAgent(node));
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
                    self.start_later(pod, (100, 2_000), ctx);
                }
                Api::Ending(_) => {
                    it.phase = Phase::Over;
                    self.after(ctx, (100, 1_000), Timer::Collect(pod));
                }
                Api::Gone => it.phase = Phase::Over,
            }
        }
    }
}
