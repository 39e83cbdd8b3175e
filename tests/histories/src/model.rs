//! The model level, which steps the machines directly: no runner, no client, no wire. There is one
//! event queue in virtual time; a step is one machine's action and its reply.

mod adopt;
mod agent;
mod attempt;
mod calls;
mod checks;
mod cloud;
mod crash_injection;
mod endpoint;
mod host;
mod leader;
mod orders;
mod perform;
mod process;
mod queue;
mod registry;
mod together;

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use firecamp_core::time::Moment;
use firecamp_testkit::sim::Kernel;

use crate::audit::{Audit, Promise, Violation};
use crate::cluster::Ended;
use crate::coverage::Coverage;
use crate::crash_injection::{CrashInjector, Position, changes, sends};
use crate::history::{Healing, SimulationLevel};
use crate::level::Ready;
use crate::names::{Names, NodeIx, PodIx, ProcessId};
use crate::scenario::{Fault, Scenario};
use crate::seed::{Purpose, SeededRng};
use crate::simulated_cluster::SimulatedCluster;
use crate::trace::Trace;

use self::calls::Calls;
use self::process::{Process, ProcessKind, Slot, Stalled};
use self::queue::{Event, Queue};
use self::together::Queues;

/// The processes and the outside systems of one history.
#[derive(Debug)]
pub struct Model<'a> {
    pub(crate) names: &'a Names,
    pub(crate) scenario: &'a Scenario,
    pub(crate) now: Moment,
    pub(crate) cluster: SimulatedCluster,
    pub(crate) audit: Audit,
    /// The coverage.
    pub coverage: Coverage,
    /// The trace.
    pub trace: Trace,
    queue: Queue,
    processes: Vec<Process>,
    /// By process ID.
    slots: Vec<Slot>,
    calls: Calls,
    together: Queues,
    others: SeededRng,
    healing: bool,
    /// Injects crashes at chosen boundaries, if any.
    pub(crate) crash_injector: Option<&'a RefCell<CrashInjector>>,
    /// Only agents that handle orphans are still active.
    quiesced: bool,
    /// An orphan was due for adoption.
    adopting: bool,
    /// Addresses that others moved while they were being adopted.
    moved: BTreeSet<Ipv4Addr>,
    ended: VecDeque<(ProcessId, Ended)>,
}

impl<'a> Model<'a> {
    /// An idle cluster.
    pub fn new(scenario: &'a Scenario, names: &'a Names, trace: Trace) -> Self {
        let mut model = Self {
            names,
            scenario,
            now: Moment::default(),
            cluster: SimulatedCluster::new(scenario, names),
            audit: Audit::new(scenario),
            coverage: Coverage::default(),
            trace,
            queue: Queue::default(),
            processes: Vec::with_capacity(64),
            slots: Vec::with_capacity(64),
            calls: Calls::default(),
            together: Queues::default(),
            others: SeededRng::new(scenario.seed, Purpose::Others, 0),
            healing: false,
            crash_injector: None,
            quiesced: false,
            adopting: false,
            moved: BTreeSet::new(),
            ended: VecDeque::new(),
        };
        model.plan_acts();
        model
    }

    /// An idle cluster with crash injection.
    pub(crate) fn crashing(
        scenario: &'a Scenario,
        names: &'a Names,
        trace: Trace,
        crash_injector: &'a RefCell<CrashInjector>,
    ) -> Self {
        Self { crash_injector: Some(crash_injector), ..Self::new(scenario, names, trace) }
    }

    /// Handles the next event.
    fn step(&mut self) {
        let Some((at, event)) = self.queue.pop() else { return };
        self.now = at;
        match event {
            Event::Reply(slot, generation) => self.reply_due(slot, generation),
            Event::Act(slot, generation) if self.is_current(slot, generation) => self.act(slot),
            Event::Tick(slot, generation) if self.is_current(slot, generation) => self.tick(slot),
            Event::Act(..) | Event::Tick(..) => {}
            Event::Land(call) => self.land(call),
            Event::ExternalAct(number) => self.external_act(number),
            Event::Told(slot, number) => self.told(slot, number),
            Event::Poll(slot) => self.poll(slot),
            Event::LeaderTick(slot, number) => self.leader_tick(slot, number),
            Event::HungUp(slot) => self.drop_run(slot),
            Event::LookAhead(slot) => self.look_ahead(slot),
            Event::RequestsDue(agent) => self.requests_due(agent),
            Event::RequestAnswered(number) => self.request_answered(number),
        }
    }

    fn process(&mut self, slot: Slot) -> &mut Process {
        &mut self.processes[slot.at()]
    }

    /// Whether an event of a process is still valid.
    fn is_current(&self, slot: Slot, generation: u32) -> bool {
        let process = &self.processes[slot.at()];
        process.alive && process.generation == generation
    }

    /// Draws whether a call of this process fails in this way now.
    fn injects(&mut self, slot: Slot, fault: Fault) -> bool {
        let rate = self.scenario.swarm.rate(fault);
        if rate == 0 || self.healing {
            return false;
        }
        let fault_divisor = self.fault_divisor();
        let injects = self.processes[slot.at()].rng.at_rate(rate / fault_divisor);
        if injects {
            self.coverage.fault(fault);
        }
        injects
    }

    /// A reply reaches a process.
    fn reply_due(&mut self, slot: Slot, generation: u32) {
        if !self.is_current(slot, generation) {
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
        if changed && self.crashes_here(slot, Position::After) {
            return;
        }
        let process = &mut self.processes[slot.at()];
        let Some(reply) = process.reply.take() else { return };
        process.note(&reply);
        self.trace.reply(now, slot.0, &reply);
        let process = &mut self.processes[slot.at()];
        if let ProcessKind::Client(_) = process.machine {
            self.client_replied(slot, &reply);
        } else {
            process.machine.reply(reply, now);
        }
        let process = &mut self.processes[slot.at()];
        if let Some(step) = process.machine.crossed() {
            self.coverage.step(step);
            self.passed(slot, step);
            self.crossed(slot, step);
        }
        let process = &mut self.processes[slot.at()];
        if process.frozen {
            // It was frozen just before it would have sent its next request.
            process.stalled = Some(Stalled::Act);
            return;
        }
        self.act(slot);
    }

    /// The process performs its machine's action, or ends.
    fn act(&mut self, slot: Slot) {
        let process = &mut self.processes[slot.at()];
        if process.frozen {
            process.stalled = Some(Stalled::Act);
            return;
        }
        if self.crashes_here(slot, Position::Before) {
            return;
        }
        let process = &mut self.processes[slot.at()];
        process.steps = process.steps.saturating_add(1);
        self.coverage.steps = self.coverage.steps.saturating_add(1);
        if let ProcessKind::AdoptionAttempt(_) = process.machine {
            return self.next_request(slot);
        }
        if self.admit(slot) {
            return;
        }
        if self.asks(slot) {
            return self.ask(slot);
        }
        let process = &mut self.processes[slot.at()];
        if process.machine.outcome().is_some() {
            return self.finish(slot);
        }
        let action = process.machine.action();
        self.trace.action(self.now, slot.0, &action);
        self.perform(slot, &action);
        if sends(&action) {
            self.crashes_here(slot, Position::Sent);
        }
    }
}

impl SimulationLevel for Model<'_> {
    const LEADER_LISTS: bool = true;

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
        self.coverage.mutations
    }

    fn close(self) -> (Coverage, Trace) {
        (self.coverage, self.trace)
    }
}

impl Healing for Model<'_> {
    fn ready_pods(&self) -> Vec<(PodIx, Ready)> {
        self.audit.ready_pods().to_vec()
    }

    fn kernel(&self, node: NodeIx) -> Option<Kernel> {
        let node = self.cluster.node(node);
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

    fn quiesce(&mut self) -> bool {
        self.quiesced = true;
        self.scenario.orphans.is_some()
    }

    fn orphan(&self) -> Option<String> {
        self.unresolved_orphan()
    }
}
