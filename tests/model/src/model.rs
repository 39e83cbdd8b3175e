//! The model: the possible transitions of a state, and their results.

use stateright::{Model, Property};

use crate::config::Config;
use crate::enabled_transitions::Transition;
use crate::fixture::{FOREIGN, Fixture, small};
use crate::liveness::Healed;
use crate::machines::{Machines, Request};
use crate::properties;
use crate::state::{
    Address, Api, Budget, CALLS, Kernel, ModelState, PROCS, Phase, Pod, Reassigned,
};

/// The model of one configuration.
#[derive(Debug)]
pub struct ProtocolModel {
    pub(crate) config: Config,
    pub(crate) machines: Machines,
    pub(crate) healed: Healed,
}

impl ProtocolModel {
    /// The model of a configuration.
    pub fn new(config: Config) -> Self {
        let machines = Machines::new(Fixture::new(config.two, config.unassign));
        Self { config, machines, healed: Healed::default() }
    }

    /// The number of states of machines and of contents of records so far.
    pub fn sizes(&self) -> (usize, usize) {
        self.machines.sizes()
    }

    fn first(&self) -> ModelState {
        let fixture = &self.machines.fixture;
        let address =
            |member| Address::new(self.machines.record_number(fixture.fresh_record(member)));
        let mut state = ModelState {
            addresses: [address(0), address(1)],
            pods: [Pod::default(); crate::fixture::PODS],
            procs: [None; PROCS],
            calls: [None; CALLS],
            budget: self.config.budget,
            gone: 0,
            wrong: 0,
        };
        for member in 0..fixture.members() {
            self.schedule(&mut state, member * fixture.pods_each(), 0);
        }
        if self.config.warm {
            state.budget = Budget::default();
            while self.round(&mut state) {}
            state.budget = self.config.budget;
        }
        state
    }

    pub(crate) fn apply(&self, state: &mut ModelState, transition: Transition) {
        match transition {
            Transition::Tick => self.tick(state),
            Transition::Step(slot, pick) => self.step(state, slot, pick),
            Transition::Lose(slot) => {
                state.budget.lost -= 1;
                self.lose(state, slot);
            }
            Transition::Fail(slot) => {
                state.budget.lost -= 1;
                self.fail(state, slot);
            }
            Transition::Crash(slot) => {
                state.budget.crash -= 1;
                self.crash(state, slot);
            }
            Transition::CrashSent(slot) => {
                state.budget.crash -= 1;
                self.send(state, slot);
                self.crash(state, slot);
            }
            Transition::Late(slot) => {
                state.budget.late -= 1;
                self.land_late(state, slot);
            }
            Transition::Land(call) => {
                if let Some(landing) = state.calls[call].take() {
                    state.budget.late -= u8::from(landing.left == 0);
                    self.land(state, landing);
                }
            }
            Transition::Schedule(..)
            | Transition::Delete(_)
            | Transition::Force(_)
            | Transition::MainEnds(_)
            | Transition::Sandbox(_)
            | Transition::Reboot(_)
            | Transition::NodeLost(_)
            | Transition::Execution(..)
            | Transition::ExternalReassignment(..) => self.external_transition(state, transition),
        }
        self.forget(state);
        state.canonicalize();
    }

    /// Removes state that no longer matters. If no process or pod runs on a node, a released lock
    /// record is equivalent to none, because later holders have higher epochs. Without agents, the
    /// same holds for an address that was left in the kernel.
    fn forget(&self, state: &mut ModelState) {
        for node in 0..self.config.nodes {
            let runs = state.procs.iter().flatten().any(|p| self.context(state, *p).node == node);
            let pods = state
                .pods
                .iter()
                .any(|p| p.node == node && (p.api == Api::Running || p.api == Api::Terminating));
            if runs || pods {
                continue;
            }
            for address in &mut state.addresses {
                let kernel = address.kernel_at(node);
                let idle = !kernel.present && kernel.lock.is_none_or(|lock| !lock.held);
                if idle || !self.config.agent {
                    *kernel = Kernel::default();
                }
            }
        }
    }

    /// A transition outside the processes.
    fn external_transition(&self, state: &mut ModelState, transition: Transition) {
        match transition {
            Transition::Schedule(pod, node) => self.schedule(state, pod, node),
            Transition::Delete(pod) => self.delete(state, pod),
            Transition::Force(pod) => {
                state.budget.force -= 1;
                self.force(state, pod);
            }
            Transition::MainEnds(pod) => state.pods[pod].serving = false,
            Transition::Sandbox(pod) => {
                state.budget.sandbox -= 1;
                self.sandbox(state, pod);
            }
            Transition::Reboot(node) => {
                state.budget.reboot -= 1;
                self.reboot(state, node, false);
            }
            Transition::NodeLost(node) => {
                state.budget.loss -= 1;
                self.reboot(state, node, true);
            }
            Transition::Execution(node, member, misplaced) => {
                state.budget.reassert -= u8::from(misplaced);
                self.execution(state, node, member, misplaced);
            }
            Transition::ExternalReassignment(member, external_caller) => {
                state.budget.reassignment -= 1;
                let address = &mut state.addresses[member];
                address.give(external_caller, &self.config);
                address.reassigned = Reassigned::Yes;
            }
            Transition::Tick
            | Transition::Step(..)
            | Transition::Lose(_)
            | Transition::Fail(_)
            | Transition::Crash(_)
            | Transition::CrashSent(_)
            | Transition::Late(_)
            | Transition::Land(_) => {}
        }
    }

    fn send(&self, state: &mut ModelState, slot: usize) {
        let proc = self.awake(state, state.proc(slot));
        let at = self.context(state, proc);
        if let Some(call) = Self::call(at, self.machines.known(proc.machine).action) {
            state.in_flight(call);
        }
    }

    fn land_late(&self, state: &mut ModelState, slot: usize) {
        let proc = self.awake(state, state.proc(slot));
        let at = self.context(state, proc);
        if let Some(call) = Self::call(at, self.machines.known(proc.machine).action) {
            let reply = self.land(state, call);
            state.procs[slot] = Some(proc);
            self.report(state, slot, reply);
        }
    }

    /// Half of T passes for all systems. Whatever may not take longer than that has happened.
    pub(crate) fn tick(&self, state: &mut ModelState) {
        for proc in state.procs.iter_mut().flatten() {
            if let Request::Pause(ticks) = self.machines.known(proc.machine).action {
                proc.waited = (proc.waited + 1).min(ticks);
            }
            proc.machine = self.machines.older(proc.machine);
        }
        let late = state.budget.late > 0;
        for slot in &mut state.calls {
            if let Some(call) = slot {
                call.left = call.left.saturating_sub(1);
                if call.left == 0 && !late {
                    *slot = None;
                }
            }
        }
        let shown_by = self.shown_by();
        for address in &mut state.addresses {
            for ttl in &mut address.stale {
                *ttl = ttl.saturating_sub(1);
            }
            if address.owner == FOREIGN {
                address.foreign = (address.foreign + 1).min(shown_by);
            }
            if address.due == 1 {
                address.switch(self.config.fifo);
            }
            address.due = address.due.saturating_sub(1);
        }
    }
}

impl Model for ProtocolModel {
    type State = ModelState;
    type Action = Transition;

    fn init_states(&self) -> Vec<ModelState> {
        vec![self.first()]
    }

    fn actions(&self, state: &ModelState, transitions: &mut Vec<Transition>) {
        self.all_transitions(state, transitions);
    }

    fn next_state(&self, state: &ModelState, transition: Transition) -> Option<ModelState> {
        let mut next = state.clone();
        self.apply(&mut next, transition);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.config)
    }
}

impl ProtocolModel {
    /// The pods that are up, with their numbers.
    pub(crate) fn ready(state: &ModelState) -> impl Iterator<Item = (usize, &Pod)> {
        let pods = state.pods.iter().enumerate();
        pods.filter(|(_, pod)| pod.api == Api::Running && pod.phase == Phase::Up)
    }

    /// The last pod of a member, live or not.
    pub(crate) fn latest(&self, state: &ModelState, member: usize) -> Option<u8> {
        let fixture = &self.machines.fixture;
        let pods = state.pods.iter().enumerate();
        pods.filter(|(n, p)| fixture.member_of(*n) == member && p.api != Api::Future)
            .map(|(n, _)| small(n))
            .max()
    }
}
