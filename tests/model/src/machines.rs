//! The core's machines, each state of each by a number, and what each reply makes of it.
//!
//! The machines are the product's own. What a reply makes of a machine depends on nothing but
//! the two, so it is worked out once and remembered.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Duty, Errand};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::canonical::Canonical;
use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::{Machine, Outcome, Path, Release as Released};
use firecamp_core::record::{State, StaticIp, Write};
use firecamp_core::release::{Release, ReleaseInput};
use firecamp_core::time::Moment;

use crate::agent::Look;
use crate::cast::{Cast, Kind, Who, epoch_number, version_numbers};
use crate::intern::{Interner, Memo};
use crate::seen::{Context, Seen};

/// The grain of time: T / 2.
pub(crate) const TICK: Duration = Duration::from_millis(2_500);

/// A machine of the core.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Core {
    Attach(Box<Attach>),
    Release(Box<Release>),
    Errand(Box<Errand>),
}

impl Core {
    fn action(&self) -> Action {
        match self {
            Self::Attach(machine) => machine.action(),
            Self::Release(machine) => machine.action(),
            Self::Errand(machine) => machine.action(),
        }
    }

    fn reply(&mut self, reply: Reply) {
        let now = Canonical::ORIGIN;
        match self {
            Self::Attach(machine) => machine.reply(reply, now),
            Self::Release(machine) => machine.reply(reply, now),
            Self::Errand(machine) => machine.reply(reply, now),
        }
        self.canonical(now);
    }

    fn canonical(&mut self, now: Moment) {
        match self {
            Self::Attach(machine) => machine.canonical(now),
            Self::Release(machine) => machine.canonical(now),
            Self::Errand(machine) => machine.canonical(now),
        }
    }

    fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Attach(machine) => machine.outcome(),
            Self::Release(machine) => machine.outcome(),
            Self::Errand(machine) => machine.outcome(),
        }
    }
}

/// What a machine asks for, in small numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
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
    /// `left`: ticks until T has passed since what authorised it; none: too late to send.
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
    AddAddress(Who),
    AddRouting(Who),
    /// Note an Assign on its node: see [`Small::lately`](crate::Small).
    Note,
    Observe,
    RemoveAddress(Who),
    RemoveRouting(Who),
    Sockets,
    /// An exact wait of so many ticks.
    Pause(u8),
    /// A wait with jitter: over at any moment.
    BackOff,
    Stop,
    Done,
    /// Something that this world lacks.
    Unknown,
}

impl Ask {
    /// For an EC2 mutation, the ticks that are left to send it.
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
    Mended,
    Failed(Exit),
}

/// What is known of one state of one machine.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) core: Core,
    pub(crate) ask: Ask,
    pub(crate) end: Option<End>,
}

/// What is known of one content of a record.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) object: StaticIp,
    pub(crate) epoch: u8,
    /// Pod, node and state of the attachment.
    pub(crate) attachment: Option<(u8, u8, State)>,
    pub(crate) marks: usize,
}

/// All machines and records that were met.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) cast: Cast,
    states: Interner<Core, Known>,
    records: Interner<StaticIp, Record>,
    replies: Memo<(u32, Seen)>,
    ticks: Memo<u32>,
    duties: Interner<Duty, Duty>,
    plans: Memo<Look>,
}

/// The number of no duty.
pub(crate) const NO_DUTY: u32 = u32::MAX;
/// Errands have a deadline of their own; one that begins this late has none.
const LATE: Duration = Duration::from_hours(2);

impl Machines {
    pub(crate) fn new(cast: Cast) -> Self {
        Self {
            cast,
            states: Interner::new(),
            records: Interner::new(),
            replies: Memo::new(),
            ticks: Memo::new(),
            duties: Interner::new(),
            plans: Memo::new(),
        }
    }

    pub(crate) fn known(&self, machine: u32) -> &Known {
        self.states.info(machine)
    }

    pub(crate) fn record(&self, record: u32) -> &Record {
        self.records.info(record)
    }

    pub(crate) fn record_number(&self, object: StaticIp) -> u32 {
        self.records.number(object, |object| self.look(object))
    }

    /// How many states of machines, and contents of records, were met.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.states.len(), self.records.len())
    }

    pub(crate) fn attach(&self, input: AttachInput) -> u32 {
        let machine = Attach::new(input, Canonical::ORIGIN);
        self.fresh(Core::Attach(Box::new(machine)))
    }

    pub(crate) fn release(&self, input: ReleaseInput) -> u32 {
        let machine = Release::new(input, Canonical::ORIGIN);
        self.fresh(Core::Release(Box::new(machine)))
    }

    /// Whether it is a release, which reads the record only before it changes anything.
    pub(crate) fn releases(&self, machine: u32) -> bool {
        matches!(self.known(machine).core, Core::Release(_))
    }

    /// The number of what is planned.
    pub(crate) fn plan(&self, look: Look, planned: impl FnOnce() -> Option<Duty>) -> u32 {
        self.plans
            .get(look, || planned().map_or(NO_DUTY, |duty| self.duties.number(duty, Clone::clone)))
    }

    pub(crate) fn errand(&self, duty: u32, who: u8, run: u8) -> u32 {
        let run = Cast::run(who, Kind::Agent, run);
        let duty = self.duties.info(duty);
        if let Duty::Release { member, pod, by } = duty {
            return self.release(Cast::agents_release(member, pod, *by, run));
        }
        let late = Canonical::ORIGIN.plus(LATE);
        let errand = Errand::new(duty, &self.cast.cluster(), run, late);
        self.fresh(Core::Errand(Box::new(errand)))
    }

    fn fresh(&self, mut core: Core) -> u32 {
        core.canonical(Canonical::ORIGIN);
        self.number(core)
    }

    fn number(&self, core: Core) -> u32 {
        self.states.number(core, |core| Known {
            core: core.clone(),
            ask: self.ask(&core.action()),
            end: core.outcome().map(end),
        })
    }

    /// What a reply makes of a machine.
    pub(crate) fn reply(&self, machine: u32, seen: Seen, context: Context) -> u32 {
        self.replies.get((machine, seen), || {
            let mut core = self.known(machine).core.clone();
            core.reply(seen.reply(self, context));
            self.number(core)
        })
    }

    /// What a tick makes of a machine: everything that it remembers is older.
    pub(crate) fn older(&self, machine: u32) -> u32 {
        self.ticks.get(machine, || {
            let mut core = self.known(machine).core.clone();
            core.canonical(Canonical::ORIGIN.plus(TICK));
            self.number(core)
        })
    }

    fn look(&self, object: &StaticIp) -> Record {
        let attachment = object.attachment.as_ref();
        Record {
            object: object.clone(),
            epoch: epoch_number(object.epoch),
            attachment: attachment
                .map(|a| (self.cast.pod_number(&a.pod), self.cast.node_number(&a.node), a.state)),
            marks: object.unsettled.len(),
        }
    }

    fn ask(&self, action: &Action) -> Ask {
        let cast = &self.cast;
        let left = action.time_left(Canonical::ORIGIN).map_or(0, ticks);
        match action {
            Action::ReadMember => Ask::Member,
            Action::ReadRecord(_) => Ask::Record,
            Action::ReadPod => Ask::Pod,
            Action::Write(write) => self.ask_write(write),
            Action::ReadIdentity => Ask::Identity,
            Action::ReadListed(_) => Ask::Listed,
            Action::BeginOwner(..) => Ask::Begin,
            Action::AwaitOwner => Ask::Await,
            Action::ReadOwner(..) => Ask::Owner,
            Action::Assign { eni, force, .. } => {
                Ask::Assign { eni: cast.eni_number(eni), force: *force, left }
            }
            Action::Unassign { eni, .. } => Ask::Unassign { eni: cast.eni_number(eni), left },
            Action::ProbeFile => Ask::Probe,
            Action::StageFile(_) => Ask::Stage,
            Action::PublishFile => Ask::Publish,
            Action::SyncFile => Ask::Sync,
            Action::AddAddress(_, holder) => Ask::AddAddress(cast.who(holder)),
            Action::AddRouting(_, holder) => Ask::AddRouting(cast.who(holder)),
            Action::NoteAssign(_) => Ask::Note,
            Action::Observe(_) => Ask::Observe,
            Action::RemoveAddress(_, holder) => Ask::RemoveAddress(cast.who(holder)),
            Action::RemoveRouting(_, holder) => Ask::RemoveRouting(cast.who(holder)),
            Action::ReadSockets(_) => Ask::Sockets,
            Action::Wait(delay) if delay.jitter => Ask::BackOff,
            // Polls are far shorter than a tick, so any number of them fits into one.
            Action::Wait(delay) if delay.length < TICK => Ask::Pause(0),
            Action::Wait(delay) => Ask::Pause(ticks(delay.length)),
            Action::AwaitStop => Ask::Stop,
            Action::Done => Ask::Done,
            Action::ReadAllocated(_) => Ask::Unknown,
        }
    }

    fn ask_write(&self, write: &Write) -> Ask {
        match write {
            Write::UpdateStaticIp(stored) => Ask::Write {
                expected: version_numbers(&stored.version),
                object: self.record_number(stored.object.clone()),
            },
            Write::CreateClaim(_) | Write::UpdateClaim(_) | Write::CreateStaticIp(_) => {
                Ask::Unknown
            }
        }
    }
}

/// Begun ticks count whole: a wait is never cut short, a call that may land may do so until then.
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
        Outcome::Mended { .. } => End::Mended,
        Outcome::Failed(failure) => End::Failed(failure.exit),
    }
}
