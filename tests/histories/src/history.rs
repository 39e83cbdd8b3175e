//! One history, from its first disruption to its last audit.

use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::lock_rule::Hold;
use firecamp_core::time::Moment;
use firecamp_testkit::sim::{Kernel, Tag};

use crate::audit::{Promise, Violation};
use crate::cluster::{Ended, Orchestrator};
use crate::coverage::Coverage;
use crate::level::{Level, Ready};
use crate::model::Model;
use crate::names::{Names, NodeIx, PodIx, ProcessId};
use crate::scenario::Scenario;
use crate::simulated_cluster::FOREIGN;
use crate::trace::Trace;

/// The time limit of healing: an agent may have to wait a period for its next query of EC2 and then
/// needs an operation; plus the grace period of 30 seconds that a pod may have received just
/// before.
pub const HEALS_WITHIN: Duration =
    Duration::from_secs(timing::EC2_PERIOD.as_secs() + timing::OPERATION_DEADLINE.as_secs() + 30);
/// What the period is longer where agents query EC2 for what the leader's list lacks: they ignore
/// it for an address that came within three minutes, and read the Lease in 90 s at most.
const LEADER_LISTS: Duration = Duration::from_secs(210);

/// The time limit until every orphan is adopted and reclaimed: twice the grace period of an
/// adoption, plus the passes of the leader.
const ADOPTED_WITHIN: Duration = Duration::from_mins(20 + 10);
const CHECK_INTERVAL: Duration = Duration::from_secs(20);

/// After it has healed, one history in this many continues for an hour in which nothing may change.
const SOAKED_ONE_IN: u64 = 256;
const SOAK: Duration = Duration::from_hours(1);

/// The result of one history.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its coverage.
    pub coverage: Coverage,
    /// Its length in virtual time.
    pub length: Duration,
    /// How long it took to heal.
    pub healing: Duration,
    /// The first violation.
    pub violation: Option<Violation>,
    /// The trace.
    pub trace: Trace,
}

/// Runs a scenario at some level.
pub type Play = fn(&Scenario, &Names, Trace) -> Report;

/// Runs a scenario at model level.
pub fn run(scenario: &Scenario, names: &Names, trace: Trace) -> Report {
    play(scenario, Model::new(scenario, names, trace))
}

/// A level, with everything that a history needs from it besides carrying out orders.
pub trait SimulationLevel: Level + Healing {
    /// Whether agents with watches query EC2 for what the leader's list lacks.
    const LEADER_LISTS: bool;

    /// Advances to the next event that may matter to others, at most to `until`. Returns its time;
    /// none if there is no event before `until`.
    fn advance(&mut self, until: Option<Moment>) -> Option<Moment>;

    /// A process that has ended by itself since the last call.
    fn take_ended(&mut self) -> Option<(ProcessId, Ended)>;

    /// The first violation.
    fn violation(&self) -> Option<Violation>;

    /// Reports a violation.
    fn broken(&mut self, promise: Promise, text: String);

    /// The number of EC2 mutations so far.
    fn mutations(&self) -> u64;

    /// The coverage and the trace.
    fn close(self) -> (Coverage, Trace);
}

/// Shows whether a level has healed.
pub trait Healing {
    /// The pods that are ready.
    fn ready_pods(&self) -> Vec<(PodIx, Ready)>;

    /// The kernel of a node; none if the node is terminated.
    fn kernel(&self, node: NodeIx) -> Option<Kernel>;

    /// Something has changed: earlier idle passes of agents no longer count.
    fn disturb_agents(&mut self);

    /// Whether every running agent has had nothing to do in this many consecutive passes.
    fn agents_idle(&self, times: u32) -> bool;

    /// Checks every ready pod without exemptions, and that the records match the owners in EC2.
    fn check_without_doubt(&mut self);

    /// A process that still runs after everything has settled, other than sidecars and agents.
    fn stuck(&self) -> Option<String>;

    /// Everything has settled; from now on only agents that handle orphans are active. True if the
    /// history has orphans.
    fn quiesce(&mut self) -> bool {
        false
    }

    /// An orphan that is not yet in the state that the pool's policy requires.
    fn orphan(&self) -> Option<String> {
        None
    }
}

/// Runs a scenario to its last audit.
pub fn play(scenario: &Scenario, stage: impl SimulationLevel) -> Report {
    played(scenario, stage, false)
}

/// The same, without restarting the members once more.
pub(crate) fn play_once(scenario: &Scenario, stage: impl SimulationLevel) -> Report {
    played(scenario, stage, true)
}

fn played(scenario: &Scenario, stage: impl SimulationLevel, once: bool) -> Report {
    let mut history = History {
        orchestrator: Orchestrator::new(scenario),
        scenario,
        stage,
        heal_at: scenario.heals_at(),
        now: Moment::default(),
        settled: false,
        healed: None,
        once,
    };
    history.until_settled();
    let healing = history.healed.unwrap_or(history.now).since(history.undisturbed_since());
    if history.stage.violation().is_none() && history.stage.quiesce() {
        history.until_adopted();
    }
    if history.stage.violation().is_none() {
        history.check_healed();
    }
    if history.stage.violation().is_none() && scenario.seed.is_multiple_of(SOAKED_ONE_IN) {
        history.watch();
    }
    let violation = history.stage.violation();
    let (mut coverage, trace) = history.stage.close();
    coverage.disruptions(history.orchestrator.done());
    Report { coverage, length: history.now.0, healing, violation, trace }
}

struct History<'a, S> {
    orchestrator: Orchestrator,
    scenario: &'a Scenario,
    stage: S,
    heal_at: Moment,
    now: Moment,
    /// The orchestrator has nothing more to do.
    settled: bool,
    /// When everything had settled for the first time.
    healed: Option<Moment>,
    /// Do not restart the members once more.
    once: bool,
}

impl<S: SimulationLevel> History<'_, S> {
    /// Handles the next event. False if there is none.
    fn step(&mut self) -> bool {
        let due = self.orchestrator.next();
        if let Some(at) = self.stage.advance(due) {
            self.now = at;
        } else if let Some(at) = due {
            self.now = at;
            self.orchestrator.wake(at, &mut self.stage);
        } else {
            return false;
        }
        while let Some((process, ended)) = self.stage.take_ended() {
            self.orchestrator.ended(self.now, process, &ended, &mut self.stage);
        }
        true
    }

    /// The time of the last disturbance: the end of the faults, or the last crash.
    fn undisturbed_since(&self) -> Moment {
        self.heal_at.max(self.orchestrator.crashed_at())
    }

    fn heals_within(&self) -> Duration {
        let lists = S::LEADER_LISTS && self.scenario.shape.watches;
        if lists { HEALS_WITHIN + LEADER_LISTS } else { HEALS_WITHIN }
    }

    fn until_settled(&mut self) {
        loop {
            let more = self.step();
            let since = self.undisturbed_since().max(self.healed.unwrap_or_default());
            let limit = since.plus(self.heals_within());
            if self.stage.violation().is_some() {
                return;
            }
            if self.orchestrator.is_healing() && self.is_settled() {
                self.healed.get_or_insert(self.now);
                if self.once || !self.orchestrator.restart_once_more(self.now, &mut self.stage) {
                    return;
                }
            }
            if !more || self.now > limit {
                let text = self.orchestrator.describe();
                let settled = self.orchestrator.is_settled();
                let promise = if settled { Promise::L4 } else { Promise::L1 };
                let within = self.heals_within();
                let text = format!("not healed {within:?} after the faults ended:\n{text}");
                return self.stage.broken(promise, text);
            }
        }
    }

    /// Agents must have had nothing to do since everything else settled.
    fn is_settled(&mut self) -> bool {
        let settled = self.orchestrator.is_settled();
        if settled && !self.settled {
            self.stage.disturb_agents();
        }
        self.settled = settled;
        settled && self.stage.agents_idle(2)
    }

    /// L6: every orphan is adopted, and reclaimed if the policy says so.
    fn until_adopted(&mut self) {
        let limit = self.now.plus(ADOPTED_WITHIN);
        while let Some(text) = self.stage.orphan() {
            let next = self.now.plus(CHECK_INTERVAL);
            while self.now < next {
                let more = self.step();
                if self.stage.violation().is_some() {
                    return;
                }
                if !more || self.now > limit {
                    return self.stage.broken(Promise::L6, text);
                }
            }
        }
    }

    fn check_healed(&mut self) {
        self.stage.check_without_doubt();
        self.check_leftovers();
        if let Some(text) = self.stage.stuck() {
            self.stage.broken(Promise::L3, text);
        }
    }

    /// L2: kernels have the addresses of the ready pods on their nodes, and no other address of
    /// ours.
    fn check_leftovers(&mut self) {
        if !self.scenario.shape.agents {
            return;
        }
        let ready = self.stage.ready_pods();
        for number in 0..self.scenario.shape.nodes {
            let node = NodeIx(number);
            let Some(kernel) = self.stage.kernel(node) else { continue };
            let wanted =
                |address| ready.iter().any(|(_, r)| r.node == node && r.address == address);
            let ours = kernel.addresses.iter().filter(|(_, (_, tag))| *tag == Tag::Ours);
            let held = kernel.locks.iter().filter(|(_, lock)| lock.hold == Hold::Held);
            let mut all = ours.map(|(a, _)| *a).chain(kernel.routed.iter().copied());
            let left = all.find(|address| !wanted(*address));
            let left = left.or_else(|| held.map(|(a, _)| *a).find(|address| !wanted(*address)));
            if let Some(address) = left {
                let text = format!("node {number} still has {address}");
                return self.stage.broken(Promise::L2, text);
            }
            if !kernel.addresses.contains_key(&FOREIGN) {
                let text = format!("node {number} lost {FOREIGN}");
                return self.stage.broken(Promise::S4, text);
            }
        }
    }

    /// L5: nothing changes any more.
    fn watch(&mut self) {
        let until = self.now.plus(SOAK);
        let before = self.stage.mutations();
        while self.now < until && self.step() {
            if self.stage.violation().is_some() {
                return;
            }
            if self.stage.mutations() != before {
                let text = "EC2 changed although nothing else did".to_owned();
                return self.stage.broken(Promise::L5, text);
            }
        }
    }
}
