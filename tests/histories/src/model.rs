//! The level at which the machines are stepped directly: no runner, no client, no wire. One
//! event queue in virtual time; a step is one machine's action and its reply.

mod adopt;
mod agent;
mod attempt;
mod calls;
mod checks;
mod cloud;
mod host;
mod orders;
mod perform;
mod process;
mod queue;
mod reclaim;
mod registry;
mod strike;

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use firecamp_core::time::Moment;
use firecamp_testkit::sim::Kernel;

use crate::audit::{Audit, Promise, Violation};
use crate::cluster::Ended;
use crate::history::{Healing, Stage};
use crate::level::Ready;
use crate::names::{Names, NodeIx, PodIx, ProcessId};
use crate::probe::Probes;
use crate::scenario::{Fault, Scenario};
use crate::seed::{Chance, Purpose};
use crate::strike::{Meter, Position, changes, sends};
use crate::trace::Trace;
use crate::world::World;

use self::calls::Calls;
use self::process::{Process, Runs, Slot, Stalled};
use self::queue::{Event, Queue};

/// The processes and the outside systems of one history.
#[derive(Debug)]
pub struct Model<'a> {
    pub(crate) names: &'a Names,
    pub(crate) scenario: &'a Scenario,
    pub(crate) now: Moment,
    pub(crate) world: World,
    pub(crate) audit: Audit,
    /// What was met.
    pub probes: Probes,
    /// What happened, if somebody wants to know.
    pub trace: Trace,
    queue: Queue,
    processes: Vec<Process>,
    /// By process id.
    slots: Vec<Slot>,
    calls: Calls,
    others: Chance,
    healing: bool,
    /// Where processes are to crash, if anywhere.
    pub(crate) meter: Option<&'a RefCell<Meter>>,
    /// Nothing happens any more but what agents do with strays.
    resting: bool,
    /// Addresses that others moved while they were being adopted.
    moved: BTreeSet<Ipv4Addr>,
    ended: VecDeque<(ProcessId, Ended)>,
}

impl<'a> Model<'a> {
    /// A cluster at rest.
    pub fn new(scenario: &'a Scenario, names: &'a Names, trace: Trace) -> Self {
        let mut model = Self {
            names,
            scenario,
            now: Moment::default(),
            world: World::new(scenario, names),
            audit: Audit::new(scenario),
            probes: Probes::default(),
            trace,
            queue: Queue::default(),
            processes: Vec::with_capacity(64),
            slots: Vec::with_capacity(64),
            calls: Calls::default(),
            others: Chance::new(scenario.seed, Purpose::Others, 0),
            healing: false,
            meter: None,
            resting: false,
            moved: BTreeSet::new(),
            ended: VecDeque::new(),
        };
        model.plan_acts();
        model
    }

    /// A cluster at rest, whose processes crash where the meter says.
    pub(crate) fn crashing(
        scenario: &'a Scenario,
        names: &'a Names,
        trace: Trace,
        meter: &'a RefCell<Meter>,
    ) -> Self {
        Self { meter: Some(meter), ..Self::new(scenario, names, trace) }
    }

    /// Lets the next thing happen.
    fn step(&mut self) {
        let Some((at, event)) = self.queue.pop() else { return };
        self.now = at;
        match event {
            Event::Reply(slot, turn) => self.reply_due(slot, turn),
            Event::Act(slot, turn) if self.is_turn(slot, turn) => self.act(slot),
            Event::Tick(slot, turn) if self.is_turn(slot, turn) => self.tick(slot),
            Event::Act(..) | Event::Tick(..) => {}
            Event::Land(call) => self.land(call),
            Event::Other(number) => self.other(number),
            Event::Strays(slot) => self.look_for_strays(slot),
            Event::Pass(slot) => self.pass(slot),
        }
    }

    fn process(&mut self, slot: Slot) -> &mut Process {
        &mut self.processes[slot.at()]
    }

    /// Whether what was scheduled for a process is still to happen.
    fn is_turn(&self, slot: Slot, turn: u32) -> bool {
        let process = &self.processes[slot.at()];
        process.alive && process.turn == turn
    }

    /// Whether a call of this process breaks so now.
    fn strikes(&mut self, slot: Slot, fault: Fault) -> bool {
        let rate = self.scenario.swarm.rate(fault);
        if rate == 0 || self.healing {
            return false;
        }
        let share = self.share();
        let strikes = self.processes[slot.at()].chance.at_rate(rate / share);
        if strikes {
            self.probes.fault(fault);
        }
        strikes
    }

    /// A reply has come to a process.
    fn reply_due(&mut self, slot: Slot, turn: u32) {
        if !self.is_turn(slot, turn) {
            return;
        }
        let now = self.now;
        let process = &mut self.processes[slot.at()];
        if process.frozen && !process.decides_first {
            process.stalled = Some(Stalled::Reply);
            return;
        }
        if process.reply.is_none() {
            return;
        }
        let changed = changes(&process.machine.action());
        if changed && self.is_struck(slot, Position::After) {
            return;
        }
        let process = &mut self.processes[slot.at()];
        let Some(reply) = process.reply.take() else { return };
        process.note(&reply);
        self.trace.reply(now, slot.0, &reply);
        let process = &mut self.processes[slot.at()];
        process.machine.reply(reply, now, (&mut self.trace, slot));
        if let Some(step) = process.machine.crossed() {
            self.probes.step(step);
            self.passed(slot, step);
            self.crossed(slot, step);
        }
        let process = &mut self.processes[slot.at()];
        if process.frozen {
            // It was stopped just before it would have sent its next request.
            process.stalled = Some(Stalled::Act);
            return;
        }
        self.act(slot);
    }

    /// The process does what its machine names, or ends.
    fn act(&mut self, slot: Slot) {
        let process = &mut self.processes[slot.at()];
        if process.frozen {
            process.stalled = Some(Stalled::Act);
            return;
        }
        if self.is_struck(slot, Position::Before) {
            return;
        }
        let process = &mut self.processes[slot.at()];
        process.steps = process.steps.saturating_add(1);
        self.probes.steps = self.probes.steps.saturating_add(1);
        if let Runs::Attempt(_) = process.machine {
            return self.go_on(slot);
        }
        if process.machine.outcome().is_some() {
            return self.finish(slot);
        }
        let action = process.machine.action();
        self.trace.action(self.now, slot.0, &action);
        self.perform(slot, &action);
        if sends(&action) {
            self.is_struck(slot, Position::Sent);
        }
    }
}

impl Stage for Model<'_> {
    fn advance(&mut self, until: Option<Moment>) -> Option<Moment> {
        let next = self.queue.next()?;
        if until.is_some_and(|until| until <= next) {
            return None;
        }
        self.step();
        Some(next)
    }

    fn take_ended(&mut self) -> Option<(ProcessId, Ended)> {
        self.ended.pop_front()
    }

    fn violation(&self) -> Option<Violation> {
        self.audit.violation().cloned()
    }

    fn broken(&mut self, promise: Promise, text: String) {
        self.audit.broken(promise, self.now, || text);
    }

    fn mutations(&self) -> u64 {
        self.probes.mutations
    }

    fn close(self) -> (Probes, Trace) {
        (self.probes, self.trace)
    }
}

impl Healing for Model<'_> {
    fn ready_pods(&self) -> Vec<(PodIx, Ready)> {
        self.audit.ready_pods().to_vec()
    }

    fn kernel(&self, node: NodeIx) -> Option<Kernel> {
        let node = self.world.node(node);
        (!node.gone).then(|| node.kernel.clone())
    }

    fn disturb_agents(&mut self) {
        self.disturb();
    }

    fn agents_idle(&self, times: u32) -> bool {
        self.are_agents_idle(times)
    }

    fn check_without_doubt(&mut self) {
        self.audit.clear_doubt();
        self.check_all();
        self.check_leaks();
    }

    fn stuck(&self) -> Option<String> {
        self.find_stuck()
    }

    fn rest(&mut self) -> bool {
        self.resting = true;
        self.scenario.strays.is_some()
    }

    fn stray(&self) -> Option<String> {
        self.stray_left()
    }
}
