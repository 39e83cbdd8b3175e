//! A process: its machine, its pending events, and the faults that it has met.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::node::OperationKind;
use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::Execution;
use firecamp_core::attach::Attach;
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::ports::{Owner, OwnerEni};
use firecamp_core::release::Release;
use firecamp_core::step::Step;
use firecamp_core::time::Moment;

use crate::audit::Causes;
use crate::level::Spawn;
use crate::names::{EniIx, Names, NodeIx, ProcessId};
use crate::seed::SeededRng;

use super::agent::Agent;
use super::attempt::AdoptionAttempt;
use super::endpoint::{Admission, Client};

/// A process, or an operation of an agent, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(super) fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What a process runs.
#[derive(Debug)]
pub(super) enum ProcessKind {
    Attach(Box<Attach>),
    Release(Box<Release>),
    Execution(Box<Execution>),
    /// An agent examines an address that seems to be orphaned.
    AdoptionAttempt(Box<AdoptionAttempt>),
    /// A container asks its node's agent.
    Client(Box<Client>),
    /// An agent decides whether it serves a request. If it does, an attach or a release follows.
    Admission(Box<Admission>),
    /// An agent is a controller instead of a machine.
    Agent(Box<Agent>),
}

/// The event that a process missed while it was frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stalled {
    Reply,
    Act,
    Tick,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) spawn: Spawn,
    /// The agent that runs this operation.
    pub(super) agent: Option<Slot>,
    /// The container for which an agent runs this.
    pub(super) client: Option<Slot>,
    /// That container has closed its connection.
    pub(super) hung_up: bool,
    /// The node of the pod whose token was shown.
    pub(super) of: NodeIx,
    /// The address of an operation.
    pub(super) about: Option<Ipv4Addr>,
    /// The kind of an operation.
    pub(super) operation: Option<OperationKind>,
    /// The operation is the leader's.
    pub(super) by_leader: bool,
    pub(super) machine: ProcessKind,
    pub(super) alive: bool,
    pub(super) frozen: bool,
    /// It is frozen after its machine has decided, just before the next request is sent.
    pub(super) decides_first: bool,
    pub(super) stalled: Option<Stalled>,
    pub(super) signalled: bool,
    /// The machine has received the signal.
    pub(super) notified: bool,
    pub(super) generation: u32,
    pub(super) reply: Option<Reply>,
    /// The reply to an owner lookup that has started, and when it arrives.
    pub(super) pending_lookup: Option<(Moment, Reply)>,
    pub(super) rng: SeededRng,
    pub(super) causes: Causes,
    pub(super) began: Moment,
    pub(super) signalled_at: Option<Moment>,
    pub(super) frozen_since: Moment,
    pub(super) frozen_for: Duration,
    /// How long the agent's runs for this container were frozen.
    pub(super) runs_frozen_for: Duration,
    /// The deadline of a run, if it is not the scenario's.
    pub(super) limit: Option<Duration>,
    pub(super) steps: u32,
    pub(super) ec2_calls: u16,
    pub(super) mutations: u16,
    /// It has announced an Unassign in the record.
    pub(super) announced: bool,
    /// The boundary that it crossed last.
    pub(super) crossed: Option<Step>,
    /// One of its requests took seconds.
    pub(super) slow: bool,
    /// The record contained a pending mutation of this process.
    pub(super) marked: bool,
    /// The epoch that a release fixed at its start.
    pub(super) fixed: Option<u64>,
    /// Its last read of the record or the pod succeeded.
    pub(super) read: bool,
    /// Its last read showed its own pod, on its node and not terminating.
    pub(super) pod_lives: bool,
    /// Its last lookup showed a foreign interface.
    pub(super) shown_foreign: bool,
    /// Until then an unanswered call of this process may land.
    pub(super) pending_until: Moment,
}

impl Process {
    pub(super) fn new(spawn: Spawn, machine: ProcessKind, rng: SeededRng, now: Moment) -> Self {
        Self {
            spawn,
            agent: None,
            client: None,
            hung_up: false,
            of: spawn.node,
            about: None,
            operation: None,
            by_leader: false,
            machine,
            alive: true,
            frozen: false,
            decides_first: false,
            stalled: None,
            signalled: false,
            notified: false,
            generation: 0,
            reply: None,
            pending_lookup: None,
            rng,
            causes: Causes::default(),
            began: now,
            signalled_at: None,
            frozen_since: now,
            frozen_for: Duration::ZERO,
            runs_frozen_for: Duration::ZERO,
            limit: None,
            steps: 0,
            ec2_calls: 0,
            mutations: 0,
            announced: false,
            crossed: None,
            slow: false,
            marked: false,
            fixed: None,
            read: false,
            pod_lives: false,
            shown_foreign: false,
            pending_until: Moment::default(),
        }
    }

    pub(super) fn id(&self) -> ProcessId {
        self.spawn.process
    }

    pub(super) fn note(&mut self, reply: &Reply) {
        self.causes.note(reply);
        if let Reply::Record(read) = reply {
            self.read = read.is_ok();
        } else if let Reply::Pod(Err(_)) = reply {
            self.read = false;
        } else if let Reply::Owner(Ok(owner)) = reply {
            let foreign = |eni: &OwnerEni| EniIx::of(&eni.id).and_then(EniIx::node).is_none();
            self.shown_foreign = matches!(owner, Owner::Eni(eni) if foreign(eni));
        } else if let (Reply::Member(Ok(records)), true) = (reply, self.is_release()) {
            let held = records.static_ip.as_ref().map(|stored| &stored.object).filter(|ip| {
                let pod = ip.attachment.as_ref().map(|a| &a.pod);
                pod.and_then(Names::pod_ix) == Some(self.spawn.pod)
            });
            // A sidecar that asks an agent fixed it when it started.
            let fixed = self.fixed.filter(|_| self.client.is_some());
            self.fixed = fixed.or(held.map(|ip| ip.epoch.0));
        }
    }

    /// Whether it releases, as a stop container or in place of one.
    pub(super) fn is_release(&self) -> bool {
        match &self.machine {
            ProcessKind::Release(_) => true,
            ProcessKind::Execution(execution) => matches!(**execution, Execution::Release(_)),
            ProcessKind::Attach(_)
            | ProcessKind::Agent(_)
            | ProcessKind::AdoptionAttempt(_)
            | ProcessKind::Client(_)
            | ProcessKind::Admission(_) => false,
        }
    }
}

impl ProcessKind {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Attach(it) => it.action(),
            Self::Release(it) => it.action(),
            Self::Execution(it) => it.action(),
            Self::Client(it) => it.action(),
            Self::Admission(it) => it.action(),
            Self::Agent(_) | Self::AdoptionAttempt(_) => Action::Done,
        }
    }

    pub(super) fn reply(&mut self, reply: Reply, now: Moment) {
        match self {
            Self::Attach(it) => it.reply(reply, now),
            Self::Release(it) => it.reply(reply, now),
            Self::Execution(it) => it.reply(reply, now),
            Self::AdoptionAttempt(it) => it.reply(&reply),
            Self::Admission(it) => it.reply(reply),
            Self::Agent(_) | Self::Client(_) => {}
        }
    }

    pub(super) fn crossed(&self) -> Option<Step> {
        match self {
            Self::Attach(it) => it.crossed(),
            Self::Release(it) => it.crossed(),
            Self::Execution(it) => it.crossed(),
            Self::Agent(_) | Self::AdoptionAttempt(_) | Self::Client(_) | Self::Admission(_) => {
                None
            }
        }
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Attach(it) => it.outcome(),
            Self::Release(it) => it.outcome(),
            Self::Execution(it) => it.outcome(),
            Self::Client(it) => it.outcome(),
            Self::Admission(it) => it.outcome(),
            Self::Agent(_) | Self::AdoptionAttempt(_) => None,
        }
    }
}
