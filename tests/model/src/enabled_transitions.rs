//! The transitions that are possible in a state.

use crate::fixture::{FOREIGN, Kind, NO_ENI, OWNERS, small};
use crate::machines::Request;
use crate::model::ProtocolModel;
use crate::process::Pick;
use crate::simulated_systems::BEGUN;
use crate::state::{Address, Api, Budget, ModelState, PROCS, Phase};

/// A transition of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Half of T passes.
    Tick,
    /// A process performs its next action and receives one of the possible replies.
    Step(usize, Pick),
    /// A process's reply is lost; its call may still take effect.
    Lose(usize),
    /// A process's request is lost.
    Fail(usize),
    /// A process dies before its next step.
    Crash(usize),
    /// A process dies with its call in flight.
    CrashSent(usize),
    /// A process that was frozen between its check of the time and the sending continues.
    Late(usize),
    /// A call in flight takes effect.
    Land(usize),
    /// The member's next pod is scheduled to a node.
    Schedule(usize, u8),
    /// A pod is deleted.
    Delete(usize),
    /// A pod is deleted by force.
    Force(usize),
    /// The main container of a deleted pod ends.
    MainEnds(usize),
    /// A pod's sandbox dies.
    Sandbox(usize),
    /// A node reboots.
    Reboot(u8),
    /// A node is gone for good.
    NodeLost(u8),
    /// A node's agent starts the operation that it has planned for a member; the flag says whether
    /// EC2 shows the address elsewhere.
    Execution(u8, usize, bool),
    /// An external caller assigns the member's address to this ENI.
    ExternalReassignment(usize, u8),
}

impl ProtocolModel {
    /// Adds all transitions that are possible.
    pub(crate) fn all_transitions(&self, state: &ModelState, transitions: &mut Vec<Transition>) {
        self.process_transitions(state, transitions);
        self.pod_transitions(state, transitions);
        self.external_transitions(state, transitions);
        if self.config.agent {
            self.agent_transitions(state, transitions);
        }
        if !self.config.lazy || self.is_time_needed(state) {
            transitions.push(Transition::Tick);
        }
    }

    fn process_transitions(&self, state: &ModelState, transitions: &mut Vec<Transition>) {
        let Budget { crash, lost, late, .. } = state.budget;
        for slot in 0..PROCS {
            let Some(proc) = state.procs[slot] else { return };
            self.picks(state, proc, |pick| transitions.push(Transition::Step(slot, pick)));
            let action = self.next_action(state, proc);
            let (write, in_time) = (action.is_write(), action.left().map(|left| left > 0));
            if lost > 0 && (write || in_time == Some(true)) {
                transitions.push(Transition::Lose(slot));
            }
            let read = action == Request::Record && proc.kind == Kind::Stop;
            if lost > 0 && !self.config.answers && (write || read) {
                transitions.push(Transition::Fail(slot));
            }
            if crash > 0 {
                transitions.push(Transition::Crash(slot));
                if in_time == Some(true) {
                    transitions.push(Transition::CrashSent(slot));
                }
            }
            if late > 0 && in_time == Some(false) {
                transitions.push(Transition::Late(slot));
            }
        }
    }

    fn pod_transitions(&self, state: &ModelState, transitions: &mut Vec<Transition>) {
        let Budget { force, sandbox, .. } = state.budget;
        for (number, pod) in state.pods.iter().enumerate() {
            let up = pod.api == Api::Running && pod.phase == Phase::Up;
            match pod.api {
                Api::Running => transitions.push(Transition::Delete(number)),
                Api::Gone if pod.serving => transitions.push(Transition::MainEnds(number)),
                Api::Future | Api::Terminating | Api::Gone => {}
            }
            if force > 0 && (pod.api == Api::Running || pod.api == Api::Terminating) {
                transitions.push(Transition::Force(number));
            }
            if sandbox > 0 && up {
                transitions.push(Transition::Sandbox(number));
            }
        }
        for member in 0..self.machines.fixture.members() {
            if let Some(pod) = self.next_pod(state, member, self.config.pods) {
                transitions.extend(self.places(state).map(|node| Transition::Schedule(pod, node)));
            }
        }
    }

    fn external_transitions(&self, state: &ModelState, transitions: &mut Vec<Transition>) {
        let Budget { reboot, loss, reassignment, late, .. } = state.budget;
        let calls = state.calls.iter().enumerate();
        let may_land = calls.filter_map(|(n, call)| call.map(|c| (n, c)));
        transitions.extend(
            may_land.filter(|(_, c)| c.left > 0 || late > 0).map(|(n, _)| Transition::Land(n)),
        );
        if reboot > 0 {
            let nodes = (0..self.config.nodes).filter(|node| Self::used(state, *node));
            transitions.extend(nodes.map(Transition::Reboot));
        }
        if loss > 0 {
            let nodes = (0..self.config.nodes).filter(|node| Self::used(state, *node));
            transitions.extend(nodes.map(Transition::NodeLost));
        }
        if reassignment > 0 {
            for member in 0..self.machines.fixture.members() {
                let owner = state.addresses[member].owner;
                let thieves =
                    if self.config.foreign { FOREIGN..FOREIGN + 1 } else { 0..self.config.nodes };
                let others =
                    thieves.chain([NO_ENI]).filter(|external_caller| *external_caller != owner);
                transitions.extend(others.map(|external_caller| {
                    Transition::ExternalReassignment(member, external_caller)
                }));
            }
        }
    }

    fn agent_transitions(&self, state: &ModelState, transitions: &mut Vec<Transition>) {
        for member in 0..self.machines.fixture.members() {
            for node in (0..self.config.nodes).filter(|node| state.gone & (1 << node) == 0) {
                if self.is_busy(state, node, member) {
                    continue;
                }
                if self.operation(state, node, member, false).is_some() {
                    transitions.push(Transition::Execution(node, member, false));
                    continue;
                }
                let address = &state.addresses[member];
                let shown =
                    |owner: u8| owner == address.owner || address.stale[usize::from(owner)] > BEGUN;
                let elsewhere = (0..small(OWNERS)).any(|owner| owner != node && shown(owner));
                let mends = state.budget.reassert > 0 && elsewhere;
                if mends && self.operation(state, node, member, true).is_some() {
                    transitions.push(Transition::Execution(node, member, true));
                }
            }
        }
    }

    fn is_time_needed(&self, state: &ModelState) -> bool {
        let waits = state
            .procs
            .iter()
            .flatten()
            .any(|proc| matches!(self.next_action(state, *proc), Request::Pause(_)));
        let shown_by = self.shown_by();
        let foreign = |a: &Address| a.owner == FOREIGN && a.foreign < shown_by;
        waits || state.addresses.iter().any(|address| address.due > 0 || foreign(address))
    }
}
