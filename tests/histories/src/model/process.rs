//! A process: a machine, what it waits for, and what it has met.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::agent::Errand;
use firecamp_core::attach::Attach;
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::outside::{Owner, OwnerEni};
use firecamp_core::release::Release;
use firecamp_core::time::Moment;

use crate::audit::Causes;
use crate::level::Spawn;
use crate::names::{EniIx, Names, ProcessId};
use crate::seed::Chance;
use crate::trace::Trace;

use super::agent::Agent;
use super::attempt::Attempt;

/// A process or an errand of an agent, by its number here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(super) fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What a process runs.
#[derive(Debug)]
pub(super) enum Runs {
    Attach(Box<Attach>),
    Release(Box<Release>),
    Errand(Box<Errand>),
    /// An agent looks into an address that nobody seems to claim.
    Attempt(Box<Attempt>),
    /// An agent has no machine of its own: it looks around, plans and runs errands.
    Agent(Box<Agent>),
}

/// What a process would have done while it was frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stalled {
    Reply,
    Act,
    Tick,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) spawn: Spawn,
    /// The agent whose errand it is.
    pub(super) agent: Option<Slot>,
    /// The address that an errand is about.
    pub(super) about: Option<Ipv4Addr>,
    /// An errand releases for another node.
    pub(super) by_lease: bool,
    /// It takes this address, which is nobody's, out of EC2.
    pub(super) reclaims: Option<Ipv4Addr>,
    pub(super) machine: Runs,
    pub(super) alive: bool,
    pub(super) frozen: bool,
    /// It is frozen after its machine has decided, just before the next request is sent.
    pub(super) decides_first: bool,
    pub(super) stalled: Option<Stalled>,
    pub(super) signalled: bool,
    /// The machine has been told of the signal.
    pub(super) told: bool,
    pub(super) turn: u32,
    pub(super) reply: Option<Reply>,
    /// The answer to an owner look-up that was begun, and when it comes.
    pub(super) begun: Option<(Moment, Reply)>,
    pub(super) chance: Chance,
    pub(super) causes: Causes,
    pub(super) began: Moment,
    pub(super) signalled_at: Option<Moment>,
    pub(super) frozen_since: Moment,
    pub(super) frozen_for: Duration,
    pub(super) steps: u32,
    pub(super) ec2_calls: u16,
    pub(super) mutations: u16,
    /// It has announced an Unassign in the record.
    pub(super) announced: bool,
    /// The boundary that it crossed last.
    pub(super) crossed: Option<Step>,
    /// A request of its took seconds.
    pub(super) slow: bool,
    /// A mark of its stood in the record.
    pub(super) marked: bool,
    /// The epoch that a release fixed at its start.
    pub(super) fixed: Option<u64>,
    /// Its last read of the record or the pod was answered.
    pub(super) read: bool,
    /// Its last look-up showed a stranger.
    pub(super) shown_foreign: bool,
    /// Until then a call of its without an answer may land.
    pub(super) unsettled_until: Moment,
}

impl Process {
    pub(super) fn new(spawn: Spawn, machine: Runs, chance: Chance, now: Moment) -> Self {
        Self {
            spawn,
            agent: None,
            about: None,
            by_lease: false,
            reclaims: None,
            machine,
            alive: true,
            frozen: false,
            decides_first: false,
            stalled: None,
            signalled: false,
            told: false,
            turn: 0,
            reply: None,
            begun: None,
            chance,
            causes: Causes::default(),
            began: now,
            signalled_at: None,
            frozen_since: now,
            frozen_for: Duration::ZERO,
            steps: 0,
            ec2_calls: 0,
            mutations: 0,
            announced: false,
            crossed: None,
            slow: false,
            marked: false,
            fixed: None,
            read: false,
            shown_foreign: false,
            unsettled_until: Moment::default(),
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
            let stranger = |eni: &OwnerEni| EniIx::of(&eni.id).and_then(EniIx::node).is_none();
            self.shown_foreign = matches!(owner, Owner::Eni(eni) if stranger(eni));
        } else if let (Reply::Member(Ok(records)), true) = (reply, self.is_release()) {
            let held = records.static_ip.as_ref().map(|stored| &stored.object).filter(|ip| {
                let pod = ip.attachment.as_ref().map(|a| &a.pod);
                pod.and_then(Names::pod_ix) == Some(self.spawn.pod)
            });
            self.fixed = held.map(|ip| ip.epoch.0);
        }
    }

    /// Whether it releases, as a stop container or for one.
    pub(super) fn is_release(&self) -> bool {
        match &self.machine {
            Runs::Release(_) => true,
            Runs::Errand(errand) => matches!(**errand, Errand::Release(_)),
            Runs::Attach(_) | Runs::Agent(_) | Runs::Attempt(_) => false,
        }
    }
}

impl Runs {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Attach(it) => it.action(),
            Self::Release(it) => it.action(),
            Self::Errand(it) => it.action(),
            Self::Agent(_) | Self::Attempt(_) => Action::Done,
        }
    }

    pub(super) fn reply(&mut self, reply: Reply, now: Moment, (to, slot): (&mut Trace, Slot)) {
        match self {
            Self::Attach(it) => to.tell(slot.0, &mut **it, reply, now),
            Self::Release(it) => to.tell(slot.0, &mut **it, reply, now),
            Self::Errand(it) => to.tell(slot.0, &mut **it, reply, now),
            Self::Attempt(it) => it.reply(&reply, to),
            Self::Agent(_) => {}
        }
    }

    pub(super) fn crossed(&self) -> Option<Step> {
        match self {
            Self::Attach(it) => it.crossed(),
            Self::Release(it) => it.crossed(),
            Self::Errand(it) => it.crossed(),
            Self::Agent(_) | Self::Attempt(_) => None,
        }
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Attach(it) => it.outcome(),
            Self::Release(it) => it.outcome(),
            Self::Errand(it) => it.outcome(),
            Self::Agent(_) | Self::Attempt(_) => None,
        }
    }
}
