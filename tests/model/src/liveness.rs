//! Healing: from any state, if no more faults occur and every process runs, the member's pod comes
//! up and all systems agree.

use ahash::RandomState;
use dashmap::DashSet;

use crate::config::Config;
use crate::fixture::{FOREIGN, NO_ENI, NODES, OWNERS};
use crate::machines::Request;
use crate::model::ProtocolModel;
use crate::state::{Api, Budget, ModelState, PROCS, Phase};

/// Everything must be healthy within this many rounds of half of T each.
const ROUNDS: usize = 24;
/// The maximum number of steps of one process in one round: more means an endless loop.
const STEPS: usize = 200;

/// Fingerprints of the states from which healing is known to succeed.
#[derive(Debug)]
pub(crate) struct Healed {
    known: DashSet<u64, RandomState>,
    hasher: RandomState,
}

impl Default for Healed {
    fn default() -> Self {
        Self { known: DashSet::default(), hasher: RandomState::with_seeds(1, 2, 3, 4) }
    }
}

impl Healed {
    fn add(&self, way: &[u64]) {
        for mark in way {
            self.known.insert(*mark);
        }
    }
}

impl ProtocolModel {
    /// The same state without further faults.
    fn calm(&self, state: &ModelState) -> ModelState {
        let mut state = state.clone();
        state.budget = Budget::default();
        for address in &mut state.addresses {
            address.stale = [0; OWNERS];
            if address.owner == FOREIGN {
                address.give(NO_ENI, &Config { lag: 0, ..self.config });
            }
        }
        state
    }

    /// The rounds of a healing that fails.
    pub(crate) fn rounds(&self, state: &ModelState) -> Vec<ModelState> {
        let mut state = self.calm(state);
        let mut rounds = Vec::new();
        while rounds.len() < ROUNDS && self.round(&mut state) {
            rounds.push(state.clone());
        }
        rounds
    }

    /// Whether the state heals. The search ends at any state on the way that is known to heal.
    pub(crate) fn heals(&self, state: &ModelState) -> bool {
        let mut state = self.calm(state);
        let mut way = Vec::new();
        for _ in 0..ROUNDS {
            let mark = self.healed.hasher.hash_one(&state);
            if self.healed.known.contains(&mark) {
                self.healed.add(&way);
                return true;
            }
            way.push(mark);
            if !self.round(&mut state) {
                let well = self.is_well(&state);
                if well {
                    self.healed.add(&way);
                }
                return well;
            }
        }
        false
    }

    /// Every process runs as far as it can, then a tick passes. False if there was nothing to do.
    pub(crate) fn round(&self, state: &mut ModelState) -> bool {
        let mut busy = self.kubelets(state);
        busy |= self.config.agent && self.agents(state);
        for slot in 0..PROCS {
            busy |= self.turn(state, slot);
        }
        state.canonicalize();
        let waiting = state.procs.iter().flatten().any(|proc| {
            let action = self.machines.known(proc.machine).action;
            matches!(action, Request::Pause(_) | Request::BackOff)
        });
        let pending = state.calls.iter().any(Option::is_some);
        let switching = state.addresses.iter().any(|a| a.due > 0);
        if busy || waiting || pending || switching {
            self.tick(state);
            state.canonicalize();
            return true;
        }
        false
    }

    /// Runs one process until it waits.
    fn turn(&self, state: &mut ModelState, slot: usize) -> bool {
        let mut busy = false;
        for step in 0..STEPS {
            let Some(proc) = state.procs[slot] else { return busy };
            let waits = self.machines.known(proc.machine).action;
            if matches!(waits, Request::Pause(_) | Request::BackOff) && step > 0 {
                return true;
            }
            let action = self.next_action(state, proc);
            let mut picks = [None; 2];
            self.picks(state, proc, |pick| picks = [picks[0].or(Some(pick)), Some(pick)]);
            let at = self.context(state, proc);
            let pick = match (action, picks) {
                (_, [None, _]) => return busy,
                (Request::Owner | Request::Await, _) => state.addresses[at.member].owner,
                (_, [_, last]) => last.unwrap_or_default(),
            };
            self.step(state, slot, pick);
            busy = true;
        }
        true
    }

    /// Restarts failed init containers, and creates the next pods of members without one.
    fn kubelets(&self, state: &mut ModelState) -> bool {
        let mut busy = false;
        for pod in 0..state.pods.len() {
            let it = state.pods[pod];
            if it.api == Api::Gone && it.serving {
                state.pods[pod].serving = false;
                busy = true;
            }
            let lost = state.gone & (1 << it.node) != 0;
            if lost && (it.api == Api::Running || it.api == Api::Terminating) {
                state.pods[pod].api = Api::Gone;
                busy = true;
            } else if it.api == Api::Running && it.phase == Phase::Stuck {
                self.restart(state, pod);
                busy = true;
            }
        }
        for member in 0..self.machines.fixture.members() {
            if let Some(pod) = self.next_pod(state, member, usize::MAX) {
                let last =
                    self.latest(state, member).map_or(0, |pod| state.pods[usize::from(pod)].node);
                let others = (1..=self.config.nodes).map(|n| (last + n) % self.config.nodes);
                let up = others.into_iter().find(|n| state.gone & (1 << n) == 0);
                self.schedule(state, pod, up.unwrap_or_default());
                busy = true;
            }
        }
        busy
    }

    /// Agents start their operations; EC2 reads are current by now.
    fn agents(&self, state: &mut ModelState) -> bool {
        let mut busy = false;
        for member in 0..self.machines.fixture.members() {
            let gone = state.gone;
            for node in (0..self.config.nodes).filter(|node| gone & (1 << node) == 0) {
                let misplaced = state.addresses[member].owner != node;
                let due = !self.is_busy(state, node, member)
                    && self.operation(state, node, member, misplaced).is_some();
                if due {
                    self.execution(state, node, member, misplaced);
                    busy = true;
                }
            }
        }
        busy
    }

    fn is_well(&self, state: &ModelState) -> bool {
        (0..self.machines.fixture.members()).all(|member| {
            let up =
                Self::ready(state).find(|(n, _)| self.machines.fixture.member_of(*n) == member);
            up.is_some_and(|(pod, it)| {
                let kernel = state.addresses[member].kernel;
                let left = |node: usize| node != usize::from(it.node) && kernel[node].present;
                let clean = !self.config.agent || !(0..NODES).any(left);
                clean && self.agrees(state, pod)
            })
        })
    }
}
