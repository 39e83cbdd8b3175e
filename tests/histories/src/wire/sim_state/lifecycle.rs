//! A process: its kind, the faults that it has met, and how it ends.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Causes, End, EndedProcess, Promise};
use crate::cluster::Ended;
use crate::leader::AgentEvent;
use crate::level::{Role, Spawn};
use crate::names::ProcessId;
use crate::seed::{Purpose, SeededRng};
use firecamp_controllers::leader::{Event as LeaderEvent, StepResult};
use firecamp_controllers::node::{Event as NodeEvent, OperationKind};
use firecamp_core::contract::timing;
use firecamp_core::machine::{Attached, Outcome, Path};
use firecamp_core::time::Moment;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::SimState;
use super::observed_replies::ObservedReplies;
use crate::wire::gate::Gate;

/// Reads of claim, address, pool and pod; writes of acquisition and completion.
const RESTART_READS: u32 = 4;
const RESTART_WRITES: u32 = 2;

/// A process, or an operation of an agent, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Init,
    Stop,
    Agent,
    Execution,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) spawn: Spawn,
    pub(crate) kind: Kind,
    /// The agent that runs this operation.
    pub(crate) agent: Option<Slot>,
    pub(crate) alive: bool,
    pub(crate) gate: Arc<Gate>,
    pub(crate) token: CancellationToken,
    pub(crate) task: Option<AbortHandle>,
    pub(crate) rng: SeededRng,
    pub(crate) causes: Causes,
    pub(crate) began: Moment,
    /// When its runner began: its machine's clock.
    pub(crate) origin: Moment,
    /// T after what authorised the EC2 mutation that it sends.
    pub(crate) not_after: Moment,
    pub(crate) signalled: Option<Moment>,
    pub(crate) frozen: Option<Moment>,
    pub(crate) frozen_for: Duration,
    pub(crate) calls: u16,
    pub(crate) mutations: u16,
    /// Its requests to the API server.
    pub(crate) requests: Requests,
    /// One of its requests took seconds.
    pub(crate) slow: bool,
    /// What it knows from its replies.
    pub(crate) observed: ObservedReplies,
    /// It releases, as a stop container or in place of one.
    pub(crate) releases: bool,
    /// The address of an operation.
    pub(crate) about: Option<Ipv4Addr>,
    /// The kind of an operation.
    pub(crate) operation: Option<OperationKind>,
    /// The operation releases for another node.
    pub(crate) by_leader: bool,
    /// Where an agent's events go.
    pub(crate) inbox: Option<UnboundedSender<AgentEvent>>,
    /// The record contained a pending mutation of this process.
    pub(crate) marked: bool,
    /// It has announced an Unassign in the record.
    pub(crate) announced: bool,
    /// Consecutive passes of an agent without anything to do.
    pub(crate) idle: u32,
}

/// A process's requests to the API server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Requests {
    pub(crate) reads: u32,
    pub(crate) writes: u32,
    /// The requests that met a fault or a conflict.
    pub(crate) refused: u32,
}

impl Requests {
    pub(crate) fn note(&mut self, reads: bool, refused: bool) {
        *(if reads { &mut self.reads } else { &mut self.writes }) += 1;
        self.refused += u32::from(refused);
    }
}

impl SimState {
    /// Starts a process.
    pub(crate) fn begin(&mut self, now: Moment, spawn: Spawn, agent: Option<Slot>) -> Slot {
        let slot = Slot(u32::try_from(self.processes.len()).unwrap_or(u32::MAX));
        let kind = match (agent, spawn.role) {
            (Some(_), _) => Kind::Execution,
            (None, Role::Init) => Kind::Init,
            (None, Role::Stop(..)) => Kind::Stop,
            (None, Role::Agent) => Kind::Agent,
        };
        // An operation runs in its agent's process.
        let gate = agent.map(|slot| Arc::clone(&self.process(slot).gate)).unwrap_or_default();
        self.processes.push(Process {
            spawn,
            kind,
            agent,
            alive: true,
            gate,
            token: CancellationToken::new(),
            task: None,
            rng: SeededRng::new(self.scenario.seed, Purpose::Process, u64::from(slot.0)),
            causes: Causes::default(),
            began: now,
            origin: now,
            not_after: Moment(Duration::MAX),
            signalled: None,
            frozen: None,
            frozen_for: Duration::ZERO,
            calls: 0,
            mutations: 0,
            requests: Requests::default(),
            slow: false,
            observed: ObservedReplies::default(),
            releases: kind == Kind::Stop,
            about: None,
            operation: None,
            inbox: None,
            by_leader: false,
            marked: false,
            announced: false,
            idle: 0,
        });
        slot
    }

    /// A running process.
    pub(crate) fn alive(&self, process: ProcessId) -> Option<Slot> {
        let slot = *self.slots.get(process.at())?;
        self.processes[slot.at()].alive.then_some(slot)
    }

    /// A process and, if it is an agent, its operations.
    pub(crate) fn family(&self, slot: Slot) -> Vec<Slot> {
        let all = (0_u32..).zip(&self.processes);
        let executions = all.filter(|(_, p)| p.alive && p.agent == Some(slot));
        std::iter::once(slot).chain(executions.map(|(number, _)| Slot(number))).collect()
    }

    pub(crate) fn kill(&mut self, now: Moment, slot: Slot) {
        for slot in self.family(slot) {
            let process = self.process(slot);
            process.alive = false;
            process.gate.kill();
            if let Some(task) = process.task.take() {
                task.abort();
            }
            self.end(now, slot, &End::Killed);
        }
    }

    /// A process has ended by itself.
    pub(crate) fn finish(&mut self, now: Moment, slot: Slot, ended: Ended) {
        let process = self.process(slot);
        process.alive = false;
        let (id, kind) = (process.spawn.process, process.kind);
        let (agent, about) = (process.agent, process.about);
        let (operation, by_leader) = (process.operation, process.by_leader);
        match &ended {
            Ended::Outcome(outcome) => {
                self.coverage.outcome(outcome);
                if let (Outcome::Attached(attached), Kind::Init) = (outcome, kind) {
                    self.audit.attached(now, attached);
                    self.check_requests(now, slot, attached);
                }
                self.end(now, slot, &End::Outcome(outcome));
            }
            Ended::Interrupted => self.end(now, slot, &End::Interrupted),
            Ended::Crashed(..) => self.end(now, slot, &End::Killed),
        }
        let Some(agent) = agent else { return self.ended.push_back((id, ended)) };
        self.disturb();
        let outcome = if let Ended::Outcome(outcome) = ended { Some(outcome) } else { None };
        let event = if by_leader {
            // Whether EC2 answers, the look-ups of a pass show.
            LeaderEvent::StepEnded(StepResult::Performed(Vec::new())).into()
        } else if let (Some(about), Some(operation)) = (about, operation) {
            NodeEvent::OperationEnded(about, operation, outcome).into()
        } else {
            return;
        };
        if let Some(inbox) = &self.process(agent).inbox {
            // An agent that ends hears nothing more.
            drop(inbox.send(event));
        }
    }

    /// A restart on the same node costs four reads and two writes, without concurrent writes.
    fn check_requests(&mut self, now: Moment, slot: Slot, attached: &Attached) {
        let Requests { reads, writes, refused } = self.process(slot).requests;
        let restarted = attached.path == Path::SameNode && refused == 0;
        if self.api.is_none() || !restarted || !self.scenario.is_calm() {
            return;
        }
        self.coverage.hit("api calm restarts");
        if reads > RESTART_READS || writes > RESTART_WRITES {
            let text = format!("a restart on the same node made {reads} reads, {writes} writes");
            self.audit.broken(Promise::S6, now, || text);
        }
    }

    fn end(&mut self, now: Moment, slot: Slot, end: &End<'_>) {
        let deadline = self.scenario.shape.deadline();
        let process = self.process(slot);
        let limit = match process.kind {
            Kind::Init => Some(deadline),
            Kind::Execution => Some(timing::OPERATION_DEADLINE),
            Kind::Stop | Kind::Agent => None,
        };
        let lifecycle = EndedProcess {
            now,
            slot: slot.0,
            awake: now.since(process.began).saturating_sub(process.frozen_for),
            asleep: process.frozen_for,
            frozen: process.frozen_for > Duration::ZERO || process.slow,
            limit,
            signalled: process.signalled,
            causes: process.causes,
            calls: process.calls,
            mutations: process.mutations,
        };
        self.trace.ended(now, slot.0, end);
        self.audit.ended(&lifecycle, end);
    }

    /// Something has changed: earlier idle passes of agents no longer count.
    pub(crate) fn disturb(&mut self) {
        for process in &mut self.processes {
            process.idle = 0;
        }
    }
}
