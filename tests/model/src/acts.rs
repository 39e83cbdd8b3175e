//! What may happen in a state.

use crate::cast::{FOREIGN, Kind, NOBODY, OWNERS, small};
use crate::machines::Ask;
use crate::model::Small;
use crate::outside::BEGUN;
use crate::process::Pick;
use crate::state::{Address, Api, Budget, PROCS, Phase, World};

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Half of T passes.
    Tick,
    /// A process takes its next step and gets one of the possible answers.
    Step(usize, Pick),
    /// A process's answer is lost; its call may still land.
    Lose(usize),
    /// A process's request is lost.
    Fail(usize),
    /// A process dies before its next step.
    Crash(usize),
    /// A process dies with its call in flight.
    CrashSent(usize),
    /// A process that was frozen between its check of the time and the sending goes on.
    Late(usize),
    /// A call in flight takes effect.
    Land(usize),
    /// The member's next pod is put on a node.
    Schedule(usize, u8),
    /// A pod is deleted.
    Delete(usize),
    /// A pod is deleted by force.
    Force(usize),
    /// The main container of a deleted pod ends at last.
    MainEnds(usize),
    /// A pod's sandbox dies.
    Sandbox(usize),
    /// A node reboots.
    Reboot(u8),
    /// A node is gone for good.
    NodeLost(u8),
    /// A node's agent begins what it has to do for a member; EC2 shows the address elsewhere.
    Errand(u8, usize, bool),
    /// Somebody else gives the member's address to this ENI.
    Theft(usize, u8),
}

impl Small {
    /// All that may happen.
    pub(crate) fn all_acts(&self, world: &World, acts: &mut Vec<Act>) {
        self.process_acts(world, acts);
        self.pod_acts(world, acts);
        self.outside_acts(world, acts);
        if self.config.agent {
            self.agent_acts(world, acts);
        }
        if !self.config.lazy || self.time_is_waited_for(world) {
            acts.push(Act::Tick);
        }
    }

    fn process_acts(&self, world: &World, acts: &mut Vec<Act>) {
        let Budget { crash, lost, late, .. } = world.budget;
        for slot in 0..PROCS {
            let Some(proc) = world.procs[slot] else { return };
            self.picks(world, proc, |pick| acts.push(Act::Step(slot, pick)));
            let ask = self.asks(world, proc);
            let (write, in_time) = (ask.is_write(), ask.left().map(|left| left > 0));
            if lost > 0 && (write || in_time == Some(true)) {
                acts.push(Act::Lose(slot));
            }
            let read = ask == Ask::Record && proc.kind == Kind::Stop;
            if lost > 0 && !self.config.answers && (write || read) {
                acts.push(Act::Fail(slot));
            }
            if crash > 0 {
                acts.push(Act::Crash(slot));
                if in_time == Some(true) {
                    acts.push(Act::CrashSent(slot));
                }
            }
            if late > 0 && in_time == Some(false) {
                acts.push(Act::Late(slot));
            }
        }
    }

    fn pod_acts(&self, world: &World, acts: &mut Vec<Act>) {
        let Budget { force, sandbox, .. } = world.budget;
        for (number, pod) in world.pods.iter().enumerate() {
            let up = pod.api == Api::Running && pod.phase == Phase::Up;
            match pod.api {
                Api::Running => acts.push(Act::Delete(number)),
                Api::Gone if pod.serving => acts.push(Act::MainEnds(number)),
                Api::Future | Api::Terminating | Api::Gone => {}
            }
            if force > 0 && (pod.api == Api::Running || pod.api == Api::Terminating) {
                acts.push(Act::Force(number));
            }
            if sandbox > 0 && up {
                acts.push(Act::Sandbox(number));
            }
        }
        for member in 0..self.machines.cast.members() {
            if let Some(pod) = self.next_pod(world, member, self.config.pods) {
                acts.extend(self.places(world).map(|node| Act::Schedule(pod, node)));
            }
        }
    }

    fn outside_acts(&self, world: &World, acts: &mut Vec<Act>) {
        let Budget { reboot, loss, theft, late, .. } = world.budget;
        let calls = world.calls.iter().enumerate();
        let may_land = calls.filter_map(|(n, call)| call.map(|c| (n, c)));
        acts.extend(may_land.filter(|(_, c)| c.left > 0 || late > 0).map(|(n, _)| Act::Land(n)));
        if reboot > 0 {
            let nodes = (0..self.config.nodes).filter(|node| Self::used(world, *node));
            acts.extend(nodes.map(Act::Reboot));
        }
        if loss > 0 {
            let nodes = (0..self.config.nodes).filter(|node| Self::used(world, *node));
            acts.extend(nodes.map(Act::NodeLost));
        }
        if theft > 0 {
            for member in 0..self.machines.cast.members() {
                let owner = world.addresses[member].owner;
                let thieves =
                    if self.config.foreign { FOREIGN..FOREIGN + 1 } else { 0..self.config.nodes };
                let others = thieves.chain([NOBODY]).filter(|thief| *thief != owner);
                acts.extend(others.map(|thief| Act::Theft(member, thief)));
            }
        }
    }

    fn agent_acts(&self, world: &World, acts: &mut Vec<Act>) {
        for member in 0..self.machines.cast.members() {
            for node in (0..self.config.nodes).filter(|node| world.gone & (1 << node) == 0) {
                if self.is_busy(world, node, member) {
                    continue;
                }
                if self.duty(world, node, member, false).is_some() {
                    acts.push(Act::Errand(node, member, false));
                    continue;
                }
                let address = &world.addresses[member];
                let shown =
                    |owner: u8| owner == address.owner || address.stale[usize::from(owner)] > BEGUN;
                let elsewhere = (0..small(OWNERS)).any(|owner| owner != node && shown(owner));
                let mends = world.budget.reassert > 0 && elsewhere;
                if mends && self.duty(world, node, member, true).is_some() {
                    acts.push(Act::Errand(node, member, true));
                }
            }
        }
    }

    fn time_is_waited_for(&self, world: &World) -> bool {
        let waits = world
            .procs
            .iter()
            .flatten()
            .any(|proc| matches!(self.asks(world, *proc), Ask::Pause(_)));
        let shown_by = self.shown_by();
        let foreign = |a: &Address| a.owner == FOREIGN && a.foreign < shown_by;
        waits || world.addresses.iter().any(|address| address.due > 0 || foreign(address))
    }
}
