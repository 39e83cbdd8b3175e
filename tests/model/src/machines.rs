//! The core's machines: a number for each state of each, and the result of each reply.
//!
//! The machines are the product's own. The next state depends only on the state and the reply, so
//! it is computed once and memoised.

use std::collections::BTreeSet;
use std::time::Duration;

use dashmap::DashSet;
use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::{Machine, Outcome, Path, Release as Released};
use firecamp_core::record::{State, StaticIp, Write};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_core::time::Moment;

use crate::agent::PlanKey;
use crate::canonical::{ORIGIN, canonical};
use crate::fixture::{Fixture, HolderId, Kind, epoch_number, version_numbers};
use crate::intern::{Interner, Memo};
use crate::reply::{Answer, Context};
use crate::transition_table::Row;

/// The unit of time: T / 2.
pub(crate) const TICK: Duration = Duration::from_millis(2_500);

/// A machine of the core.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Core {
    Attach(Box<Attach>),
    Release(Box<Release>),
    Execution(Box<Execution>),
}

impl Core {
    fn action(&self) -> Action {
        match self {
            Self::Attach(machine) => machine.action(),
            Self::Release(machine) => machine.action(),
            Self::Execution(machine) => machine.action(),
        }
    }

    /// The transition, of an attach or a release.
    fn reply(&mut self, reply: Reply) -> Option<Row> {
        let now = ORIGIN;
        let taken = match self {
            Self::Attach(machine) => Row::take(&mut **machine, reply, now),
            Self::Release(machine) => Row::take(&mut **machine, reply, now),
            Self::Execution(machine) => {
                machine.reply(reply, now);
                None
            }
        };
        self.canonical(now);
        taken
    }

    fn canonical(&mut self, now: Moment) {
        match self {
            Self::Attach(machine) => **machine = canonical(&**machine, now),
            Self::Release(machine) => **machine = canonical(&**machine, now),
            Self::Execution(machine) => **machine = canonical(&**machine, now),
        }
    }

    fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Attach(machine) => machine.outcome(),
            Self::Release(machine) => machine.outcome(),
            Self::Execution(machine) => machine.outcome(),
        }
    }
}

/// The action of a machine, with small numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Member,
    Record,
    Pod,
    Identity,
    Listed,
    Begin,
    Await,
    Owner,
    Write {
        /// Epoch and edit that the compare-and-swap names.
        expected: (u8, u8),
        object: u32,
    },
    /// `left`: ticks until T has passed since what authorised it; 0: too late to send.
    Assign {
        eni: u8,
        force: bool,
        left: u8,
    },
    Unassign {
        eni: u8,
        left: u8,
    },
    Probe,
    Stage,
    Publish,
    Sync,
    AddAddress(HolderId),
    AddRouting(HolderId),
    /// Write a note of an Assign on its node: see `ProtocolModel::recently_assigned`.
    Note,
    Observe,
    RemoveAddress(HolderId),
    RemoveRouting(HolderId),
    Sockets,
    /// An exact wait of so many ticks.
    Pause(u8),
    /// A wait with jitter, which may end at any moment.
    BackOff,
    Stop,
    Done,
    /// An action that the model does not have.
    Unknown,
}

impl Request {
    /// The ticks that are left to send an EC2 mutation.
    pub(crate) fn left(self) -> Option<u8> {
        if let Self::Assign { left, .. } | Self::Unassign { left, .. } = self {
            Some(left)
        } else {
            None
        }
    }

    pub(crate) fn is_write(self) -> bool {
        matches!(self, Self::Write { .. })
    }
}

/// How a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Attached { overlapped: bool, path: Path },
    Released(Released),
    Maintenance,
    Failed(Exit),
}

/// Facts about one state of one machine.
#[derive(Debug)]
pub(crate) struct MachineInfo {
    pub(crate) core: Core,
    pub(crate) action: Request,
    pub(crate) end: Option<End>,
}

/// Facts about one content of a record.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) object: StaticIp,
    pub(crate) epoch: u8,
    /// Pod, node and state of the attachment.
    pub(crate) attachment: Option<(u8, u8, State)>,
    pub(crate) marks: usize,
}

/// All states of machines and contents of records so far.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) fixture: Fixture,
    states: Interner<Core, MachineInfo>,
    records: Interner<StaticIp, Record>,
    replies: Memo<(u32, Answer)>,
    transitions: DashSet<Row>,
    ticks: Memo<u32>,
    operations: Interner<Operation, Operation>,
    plans: Memo<PlanKey>,
}

/// The number that stands for no operation.
pub(crate) const NO_OPERATION: u32 = u32::MAX;
/// Operations have a deadline of their own; starting this late removes it.
const LATE: Duration = Duration::from_hours(2);

impl Machines {
    pub(crate) fn new(fixture: Fixture) -> Self {
        Self {
            fixture,
            states: Interner::new(),
            records: Interner::new(),
            replies: Memo::new(),
            transitions: DashSet::new(),
            ticks: Memo::new(),
            operations: Interner::new(),
            plans: Memo::new(),
        }
    }

    pub(crate) fn known(&self, machine: u32) -> &MachineInfo {
        self.states.info(machine)
    }

    pub(crate) fn record(&self, record: u32) -> &Record {
        self.records.info(record)
    }

    pub(crate) fn record_number(&self, object: StaticIp) -> u32 {
        self.records.number(object, |object| self.key(object))
    }

    /// The number of states of machines and of contents of records so far.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.states.len(), self.records.len())
    }

    /// The transitions of attach and release so far.
    pub(crate) fn transitions(&self) -> BTreeSet<Row> {
        self.transitions.iter().map(|row| row.clone()).collect()
    }

    pub(crate) fn attach(&self, input: AttachInput) -> u32 {
        let machine = Attach::new(input, ORIGIN);
        self.fresh(Core::Attach(Box::new(machine)))
    }

    pub(crate) fn release(&self, input: ReleaseInput) -> u32 {
        let machine = Release::new(input, ORIGIN);
        self.fresh(Core::Release(Box::new(machine)))
    }

    /// Whether it is a release that has not changed anything yet and only reads the record.
    pub(crate) fn releases(&self, machine: u32) -> bool {
        matches!(self.known(machine).core, Core::Release(_))
    }

    /// The number of the planned operation.
    pub(crate) fn plan(&self, key: PlanKey, planned: impl FnOnce() -> Option<Operation>) -> u32 {
        self.plans.get(key, || {
            planned()
                .map_or(NO_OPERATION, |operation| self.operations.number(operation, Clone::clone))
        })
    }

    pub(crate) fn execution(&self, operation: u32, holder: u8, run: u8) -> u32 {
        let run = Fixture::run(holder, Kind::Agent, run);
        let operation = self.operations.info(operation);
        if let Operation::Release { member, pod, by } = operation {
            return self.release(Fixture::agents_release(member, pod, *by, run));
        }
        if let Operation::Evict { member, pod, .. } = operation {
            return self.release(Fixture::agents_release(member, pod, Releaser::Evictor, run));
        }
        let late = ORIGIN.plus(LATE);
        let execution = Execution::new(operation, &self.fixture.cluster(), run, late);
        self.fresh(Core::Execution(Box::new(execution)))
    }

    fn fresh(&self, mut core: Core) -> u32 {
        core.canonical(ORIGIN);
        self.number(core)
    }

    fn number(&self, core: Core) -> u32 {
        self.states.number(core, |core| MachineInfo {
            core: core.clone(),
            action: self.action(&core.action()),
            end: core.outcome().map(end),
        })
    }

    /// The next state of a machine after a reply.
    pub(crate) fn reply(&self, machine: u32, reply: Answer, context: Context) -> u32 {
        self.replies.get((machine, reply), || {
            let mut core = self.known(machine).core.clone();
            if let Some(row) = core.reply(reply.reply(self, context)) {
                self.transitions.insert(row);
            }
            self.number(core)
        })
    }

    /// The state of a machine one tick later: everything that it remembers is older.
    pub(crate) fn older(&self, machine: u32) -> u32 {
        self.ticks.get(machine, || {
            let mut core = self.known(machine).core.clone();
            core.canonical(ORIGIN.plus(TICK));
            self.number(core)
        })
    }

    fn key(&self, object: &StaticIp) -> Record {
        let attachment = object.attachment.as_ref();
        Record {
            object: object.clone(),
            epoch: epoch_number(object.epoch),
            attachment: attachment.map(|a| {
                (self.fixture.pod_number(&a.pod), self.fixture.node_number(&a.node), a.state)
            }),
            marks: object.pending_mutations.len(),
        }
    }

    fn action(&self, action: &Action) -> Request {
        let fixture = &self.fixture;
        let left = action.time_left(ORIGIN).map_or(0, ticks);
        match action {
            Action::ReadMember => Request::Member,
            Action::ReadRecord(_) => Request::Record,
            Action::ReadPod => Request::Pod,
            Action::Write(write) => self.compact_write(write),
            Action::ReadIdentity => Request::Identity,
            Action::ReadListed(_) => Request::Listed,
            Action::BeginOwner(..) => Request::Begin,
            Action::AwaitOwner => Request::Await,
            Action::ReadOwner(..) => Request::Owner,
            Action::Assign { eni, force, .. } => {
                Request::Assign { eni: fixture.eni_number(eni), force: *force, left }
            }
            Action::Unassign { eni, .. } => {
                Request::Unassign { eni: fixture.eni_number(eni), left }
            }
            Action::ProbeFile => Request::Probe,
            Action::StageFile(_) => Request::Stage,
            Action::PublishFile => Request::Publish,
            Action::SyncFile => Request::Sync,
            Action::AddAddress(_, holder) => Request::AddAddress(fixture.compact_holder(holder)),
            Action::AddRouting(_, holder) => Request::AddRouting(fixture.compact_holder(holder)),
            Action::NoteAssign(_) => Request::Note,
            Action::Observe(_) => Request::Observe,
            Action::RemoveAddress(_, holder) => {
                Request::RemoveAddress(fixture.compact_holder(holder))
            }
            Action::RemoveRouting(_, holder) => {
                Request::RemoveRouting(fixture.compact_holder(holder))
            }
            Action::ReadSockets(_) => Request::Sockets,
            Action::Wait(delay) if delay.jitter => Request::BackOff,
            // Polls are far shorter than a tick, so any number of them fits into one.
            Action::Wait(delay) if delay.length < TICK => Request::Pause(0),
            Action::Wait(delay) => Request::Pause(ticks(delay.length)),
            Action::AwaitStop => Request::Stop,
            Action::Done => Request::Done,
            Action::ReadAllocated(_) => Request::Unknown,
        }
    }

    fn compact_write(&self, write: &Write) -> Request {
        match write {
            Write::UpdateStaticIp(stored) => Request::Write {
                expected: version_numbers(&stored.version),
                object: self.record_number(stored.object.clone()),
            },
            Write::CreateClaim(_) | Write::UpdateClaim(_) | Write::CreateStaticIp(_) => {
                Request::Unknown
            }
        }
    }
}

/// Rounds up: a wait is never shortened, and a call may take effect until then.
fn ticks(length: Duration) -> u8 {
    let ticks = length.as_millis().div_ceil(TICK.as_millis());
    u8::try_from(ticks).unwrap_or(u8::MAX)
}

fn end(outcome: &Outcome) -> End {
    match outcome {
        Outcome::Attached(attached) => {
            End::Attached { overlapped: attached.overlapped, path: attached.path }
        }
        Outcome::Released { release, .. } => End::Released(*release),
        Outcome::Maintained { .. } => End::Maintenance,
        Outcome::Failed(failure) => End::Failed(failure.exit),
    }
}
