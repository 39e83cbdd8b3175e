//! One history from its first deed to its last audit.

use std::time::Duration;

use firecamp_core::lock::Hold;
use firecamp_core::time::Moment;
use firecamp_sim::Tag;

use crate::audit::{Promise, Violation};
use crate::cluster::Director;
use crate::model::Model;
use crate::names::{Names, NodeIx};
use crate::probe::Probes;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world::FOREIGN;

/// How long healing may take: 60 seconds, and what the contract grants on top of that to what
/// was under way when the faults ended: a grace period of 30 s, the longest back-off of a
/// container (8 s), and the pause between two re-asserts (20 s).
pub const HEALS_WITHIN: Duration = Duration::from_secs(60 + 30 + 8 + 20);

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

/// Runs a scenario at model level.
pub fn run(scenario: &Scenario, names: &Names, trace: Trace) -> Report {
    let mut history = History {
        director: Director::new(scenario),
        model: Model::new(scenario, names, trace),
        heal_at: Moment(Duration::from_millis(u64::from(scenario.heal_at_ms))),
        now: Moment::default(),
        settled: false,
    };
    history.until_settled();
    let healing = history.now.since(history.heal_at);
    if history.model.audit.violation().is_none() {
        history.check_healed();
    }
    if history.model.audit.violation().is_none() && scenario.seed.is_multiple_of(WATCHED) {
        history.watch();
    }
    history.model.probes.deeds(history.director.done());
    Report {
        probes: history.model.probes,
        length: history.now.0,
        healing,
        violation: history.model.audit.violation().cloned(),
        trace: history.model.trace,
    }
}

struct History<'a> {
    director: Director,
    model: Model<'a>,
    heal_at: Moment,
    now: Moment,
    /// The director has nothing more to do.
    settled: bool,
}

impl History<'_> {
    /// Lets the next thing happen. False: nothing happens by itself any more.
    fn step(&mut self) -> bool {
        let (director, model) = (self.director.next(), self.model.next());
        let directs = match (director, model) {
            (None, None) => return false,
            (Some(own), Some(other)) => own <= other,
            (own, _) => own.is_some(),
        };
        if directs {
            self.now = director.unwrap_or(self.now);
            self.director.wake(self.now, &mut self.model);
        } else {
            self.now = model.unwrap_or(self.now);
            self.model.step();
        }
        while let Some((process, ended)) = self.model.take_ended() {
            self.director.ended(self.now, process, &ended, &mut self.model);
        }
        true
    }

    fn until_settled(&mut self) {
        let limit = self.heal_at.plus(HEALS_WITHIN);
        loop {
            let more = self.step();
            if self.model.audit.violation().is_some() {
                return;
            }
            if self.director.is_healing() && self.is_settled() {
                return;
            }
            if !more || self.now > limit {
                let text = self.director.describe();
                let (settled, now) = (self.director.is_settled(), self.now);
                let promise = if settled { Promise::L4 } else { Promise::L1 };
                return self.model.audit.broken(promise, now, || {
                    format!("not healed {HEALS_WITHIN:?} after the faults ended:\n{text}")
                });
            }
        }
    }

    /// Agents have to have found nothing to do since everything else settled.
    fn is_settled(&mut self) -> bool {
        let settled = self.director.is_settled();
        if settled && !self.settled {
            self.model.disturb_agents();
        }
        self.settled = settled;
        settled && self.model.agents_idle(2)
    }

    fn check_healed(&mut self) {
        self.model.check_without_doubt();
        self.check_leftovers();
        if let Some(text) = self.model.stuck() {
            self.model.audit.broken(Promise::L3, self.now, || text);
        }
    }

    /// L2: kernels hold what ready pods have on their nodes, and nothing else of ours.
    fn check_leftovers(&mut self) {
        if !self.model.scenario.shape.agents {
            return;
        }
        let ready: Vec<_> = self.model.audit.ready_pods().to_vec();
        for number in 0..self.model.scenario.shape.nodes {
            let node = NodeIx(number);
            let world = self.model.world.node(node);
            if world.gone {
                continue;
            }
            let wanted =
                |address| ready.iter().any(|(_, r)| r.node == node && r.address == address);
            let kernel = &world.kernel;
            let ours = kernel.addresses.iter().filter(|(_, (_, tag))| *tag == Tag::Ours);
            let held = kernel.locks.iter().filter(|(_, lock)| lock.hold == Hold::Held);
            let mut all = ours.map(|(a, _)| *a).chain(kernel.routed.iter().copied());
            let left = all.find(|address| !wanted(*address));
            let left = left.or_else(|| held.map(|(a, _)| *a).find(|address| !wanted(*address)));
            let foreign = kernel.addresses.contains_key(&FOREIGN);
            if let Some(address) = left {
                let text = format!("node {number} still has {address}");
                return self.model.audit.broken(Promise::L2, self.now, || text);
            }
            if !foreign {
                let text = format!("node {number} lost {FOREIGN}");
                return self.model.audit.broken(Promise::S4, self.now, || text);
            }
        }
    }

    /// L5: nothing changes any more.
    fn watch(&mut self) {
        let until = self.now.plus(WATCHED_FOR);
        let before = self.model.probes.mutations;
        while self.now < until && self.step() {
            if self.model.audit.violation().is_some() {
                return;
            }
            if self.model.probes.mutations != before {
                let text = "EC2 was changed though nothing else had".to_owned();
                return self.model.audit.broken(Promise::L5, self.now, || text);
            }
        }
    }
}
