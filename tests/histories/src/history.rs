//! One history from its first deed to its last audit.

use std::time::Duration;

use firecamp_core::lock::Hold;
use firecamp_core::time::Moment;
use firecamp_testkit::sim::{Kernel, Tag};

use crate::audit::{Promise, Violation};
use crate::cluster::{Director, Ended};
use crate::level::{Level, Ready};
use crate::model::Model;
use crate::names::{Names, NodeIx, PodIx, ProcessId};
use crate::probe::Probes;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world::FOREIGN;

/// How long healing may take: 60 seconds, and the grace period of 30 seconds that a pod may have
/// been given just before.
pub const HEALS_WITHIN: Duration = Duration::from_secs(60 + 30);

/// How long it may take until what nobody claims is adopted and has gone: twice the grace period of
/// an adoption, and the passes of the Lease's holder.
const ADOPTED_WITHIN: Duration = Duration::from_mins(20 + 10);
const LOOKED_AT_EVERY: Duration = Duration::from_secs(20);

/// After it has healed, one history in so many goes on for an hour in which nothing may change.
const WATCHED: u64 = 256;
const WATCHED_FOR: Duration = Duration::from_hours(1);

/// How one history went.
#[derive(Debug, Clone)]
pub struct Report {
    /// What it met.
    pub probes: Probes,
    /// How long it was, in virtual time.
    pub length: Duration,
    /// How long it took to heal.
    pub healing: Duration,
    /// The promise that was broken.
    pub violation: Option<Violation>,
    /// What happened.
    pub trace: Trace,
}

/// Plays a scenario at some level.
pub type Play = fn(&Scenario, &Names, Trace) -> Report;

/// Plays a scenario at model level.
pub fn run(scenario: &Scenario, names: &Names, trace: Trace) -> Report {
    play(scenario, Model::new(scenario, names, trace))
}

/// A level with what a history asks of it besides carrying out orders.
pub trait Stage: Level + Healing {
    /// Lets what comes before `until` happen, as far as to the next thing that may matter to
    /// others, and says when that was. None: nothing comes before.
    fn advance(&mut self, until: Option<Moment>) -> Option<Moment>;

    /// A process that has ended by itself since the last time.
    fn take_ended(&mut self) -> Option<(ProcessId, Ended)>;

    /// The first broken promise.
    fn violation(&self) -> Option<Violation>;

    /// Reports a broken promise.
    fn broken(&mut self, promise: Promise, text: String);

    /// EC2 mutations that were sent so far.
    fn mutations(&self) -> u64;

    /// What was met, and what happened.
    fn close(self) -> (Probes, Trace);
}

/// What shows whether a level has healed.
pub trait Healing {
    /// The pods that are ready.
    fn ready_pods(&self) -> Vec<(PodIx, Ready)>;

    /// The kernel of a node; none if the node is gone.
    fn kernel(&self, node: NodeIx) -> Option<Kernel>;

    /// Something has happened: what agents found before says nothing any more.
    fn disturb_agents(&mut self);

    /// Whether every agent that runs has found nothing to do so many times in a row.
    fn agents_idle(&self, times: u32) -> bool;

    /// Checks every pod that is ready, also where a stranger has been, and that the records know
    /// where EC2 has the addresses.
    fn check_without_doubt(&mut self);

    /// A process that runs though everything has settled, other than sidecars and agents.
    fn stuck(&self) -> Option<String>;

    /// All has settled, and nothing more happens but what agents do with what nobody claims. True:
    /// there is something of that.
    fn rest(&mut self) -> bool {
        false
    }

    /// What nobody claims and is not yet as the pool says.
    fn stray(&self) -> Option<String> {
        None
    }
}

/// Plays a scenario to its last audit.
pub fn play(scenario: &Scenario, stage: impl Stage) -> Report {
    played(scenario, stage, false)
}

/// The same, and nothing begins anew once all has settled.
pub(crate) fn play_once(scenario: &Scenario, stage: impl Stage) -> Report {
    played(scenario, stage, true)
}

fn played(scenario: &Scenario, stage: impl Stage, once: bool) -> Report {
    let mut history = History {
        director: Director::new(scenario),
        scenario,
        stage,
        heal_at: scenario.heals_at(),
        now: Moment::default(),
        settled: false,
        healed: None,
        once,
    };
    history.until_settled();
    let healing = history.healed.unwrap_or(history.now).since(history.peace());
    if history.stage.violation().is_none() && history.stage.rest() {
        history.until_adopted();
    }
    if history.stage.violation().is_none() {
        history.check_healed();
    }
    if history.stage.violation().is_none() && scenario.seed.is_multiple_of(WATCHED) {
        history.watch();
    }
    let violation = history.stage.violation();
    let (mut probes, trace) = history.stage.close();
    probes.deeds(history.director.done());
    Report { probes, length: history.now.0, healing, violation, trace }
}

struct History<'a, S> {
    director: Director,
    scenario: &'a Scenario,
    stage: S,
    heal_at: Moment,
    now: Moment,
    /// The director has nothing more to do.
    settled: bool,
    /// When all had settled for the first time.
    healed: Option<Moment>,
    /// Nothing begins anew then.
    once: bool,
}

impl<S: Stage> History<'_, S> {
    /// Lets the next thing happen. False: nothing happens by itself any more.
    fn step(&mut self) -> bool {
        let due = self.director.next();
        if let Some(at) = self.stage.advance(due) {
            self.now = at;
        } else if let Some(at) = due {
            self.now = at;
            self.director.wake(at, &mut self.stage);
        } else {
            return false;
        }
        while let Some((process, ended)) = self.stage.take_ended() {
            self.director.ended(self.now, process, &ended, &mut self.stage);
        }
        true
    }

    /// Since when nothing disturbs it any more: faults have ended, and nothing has crashed since.
    fn peace(&self) -> Moment {
        self.heal_at.max(self.director.crashed_at())
    }

    fn until_settled(&mut self) {
        loop {
            let more = self.step();
            let limit = self.peace().max(self.healed.unwrap_or_default()).plus(HEALS_WITHIN);
            if self.stage.violation().is_some() {
                return;
            }
            if self.director.is_healing() && self.is_settled() {
                self.healed.get_or_insert(self.now);
                if self.once || !self.director.again(self.now, &mut self.stage) {
                    return;
                }
            }
            if !more || self.now > limit {
                let text = self.director.describe();
                let settled = self.director.is_settled();
                let promise = if settled { Promise::L4 } else { Promise::L1 };
                let text = format!("not healed {HEALS_WITHIN:?} after the faults ended:\n{text}");
                return self.stage.broken(promise, text);
            }
        }
    }

    /// Agents have to have found nothing to do since everything else settled.
    fn is_settled(&mut self) -> bool {
        let settled = self.director.is_settled();
        if settled && !self.settled {
            self.stage.disturb_agents();
        }
        self.settled = settled;
        settled && self.stage.agents_idle(2)
    }

    /// L6: what nobody claims is adopted, and goes where the pool says that.
    fn until_adopted(&mut self) {
        let limit = self.now.plus(ADOPTED_WITHIN);
        while let Some(text) = self.stage.stray() {
            let next = self.now.plus(LOOKED_AT_EVERY);
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

    /// L2: kernels hold what ready pods have on their nodes, and nothing else of ours.
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
        let until = self.now.plus(WATCHED_FOR);
        let before = self.stage.mutations();
        while self.now < until && self.step() {
            if self.stage.violation().is_some() {
                return;
            }
            if self.stage.mutations() != before {
                let text = "EC2 was changed though nothing else had".to_owned();
                return self.stage.broken(Promise::L5, text);
            }
        }
    }
}
