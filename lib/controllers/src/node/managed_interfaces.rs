//! Makes the network interfaces that pools want on this node (`spec.interfaces`).
//!
//! One step runs at a time: read the records, create a record, create the interface, attach it,
//! record that it is attached. Each follows from the record and from what the metadata service
//! lists, so after a crash the next agent goes on. Guarantees: no call to EC2 without a record; a
//! repeated creation returns the same interface; an interface that is being removed gets no call.
//! Assumptions: only the agent of the node makes its interfaces.

mod condition;
pub(super) mod decide;
mod known;

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryFailure};
use firecamp_core::ids::{ClusterName, EniId, InterfaceName};
use firecamp_core::managed_interface::{NewInterface, NodeInterface, Phase, StoredInterface};
use firecamp_core::time::Moment;
use firecamp_node::preflight::facts::Unusable;

pub(crate) use self::decide::Inputs;
use self::decide::{Blocked, Decision, Refusal};
pub use self::known::{CniSettings, InterfaceRead, OwnNode, PoolPolicy, VpcCniSettings, Wanted};
use super::Task;

/// How often the records and pools are read while a pool wants interfaces.
const READ_EVERY: Duration = Duration::from_secs(30);
/// How long an attachment may take until the metadata service lists it, before the call is sent
/// again. EC2 takes seconds.
const ATTACH_PATIENCE: Duration = Duration::from_secs(30);
/// First pause after a failed step; it doubles.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause after a failed step.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// After so many refused calls in a row an interface that cannot be created or attached is removed.
const GIVE_UP_AFTER: u32 = 8;
/// No other interface is made for this long after one was given up.
const REST: Duration = Duration::from_mins(30);
/// An attached interface must be missing for this long before it is removed: the metadata service
/// omits an interface for seconds after a reboot.
const MISSING_FOR: Duration = Duration::from_mins(3);
/// While a pool wants interfaces, the startup taint is lifted after this long, whatever happened: a
/// node that never becomes ready is lost to all pods.
const TAINT_PATIENCE: Duration = Duration::from_mins(1);

/// One step. Steps that change EC2 write the record afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceStep {
    /// Read the records, the pools and the Node.
    Read,
    /// Create a record.
    Record(InterfaceName, NodeInterface),
    /// Create the interface of a record, then write its id.
    Create(StoredInterface, NewInterface),
    /// Attach the interface of a record at this device index.
    Attach(EniId, firecamp_core::ids::InstanceId, u32),
    /// Write a record.
    Update(StoredInterface),
    /// Read the Node, and remove its startup taint if it has it.
    LiftTaint,
}

/// How a step ended.
#[derive(Debug)]
pub enum StepEnd {
    /// The read.
    Read(Result<InterfaceRead, RegistryFailure>),
    /// Another step that succeeded.
    Done,
    /// EC2 failed.
    Cloud(CloudFailure),
    /// The registry failed.
    Registry(RegistryFailure),
}

/// The interfaces that this node makes.
#[derive(Debug)]
pub(crate) struct ManagedInterfaces {
    /// Whether a pool wants interfaces, once the pools are listed.
    wanted: Option<bool>,
    known: Option<InterfaceRead>,
    /// Why the last read failed: what is known may be old, so nothing is created or attached.
    stale: Option<RegistryFailure>,
    running: bool,
    /// When the records are read again.
    next_read: Moment,
    reads: Backoff,
    steps: Steps,
    /// Why and when an interface was given up.
    given_up: Option<(Failure, Moment)>,
    /// When the attachment of which interface was last sent.
    attaching: Option<(EniId, Moment)>,
    /// Since when an interface is unwanted or missing.
    unwanted_since: Option<Moment>,
    blocked: Option<Blocked>,
    taint: Taint,
}

/// The steps of the interface that is being made.
#[derive(Debug, Default)]
struct Steps {
    backoff: Backoff,
    /// How often in a row EC2 has refused a call. An error that says nothing about the interface,
    /// such as a throttled call, does not count.
    refused: u32,
    /// Why the last step failed.
    failure: Option<Failure>,
}

impl Steps {
    fn failed(&mut self, failure: Failure, now: Moment) {
        self.backoff.failed(now);
        let says_nothing = |kind| matches!(kind, CloudKind::Throttled | CloudKind::Transient);
        if failure.cloud_kind().is_some_and(|kind| !says_nothing(kind)) {
            self.refused = self.refused.saturating_add(1);
        }
        self.failure = Some(failure);
    }

    /// Whether the interface is removed: it cannot be created, or cannot be attached.
    fn are_hopeless(&self) -> bool {
        let kind = self.failure.as_ref().and_then(Failure::cloud_kind);
        self.refused >= GIVE_UP_AFTER || kind == Some(CloudKind::AttachmentLimitExceeded)
    }
}

/// A failed step.
#[derive(Debug, Clone)]
enum Failure {
    Cloud(CloudFailure),
    Registry(RegistryFailure),
}

impl Failure {
    fn cloud_kind(&self) -> Option<CloudKind> {
        if let Self::Cloud(failure) = self { Some(failure.kind) } else { None }
    }
}

/// Failures in a row, and the pause after them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    failures: u32,
    pub(super) not_before: Moment,
}

impl Backoff {
    pub(super) fn failed(&mut self, now: Moment) {
        let pause = PAUSE.saturating_mul(1_u32 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.plus(pause);
    }
}

/// The startup taint of the Node.
#[derive(Debug, Clone, Copy, Default)]
struct Taint {
    is_lifted: bool,
    /// The running step lifts it.
    is_running: bool,
    backoff: Backoff,
}

impl ManagedInterfaces {
    pub(crate) fn new() -> Self {
        Self {
            wanted: None,
            known: None,
            stale: None,
            running: false,
            next_read: Moment::default(),
            reads: Backoff::default(),
            steps: Steps::default(),
            given_up: None,
            attaching: None,
            unwanted_since: None,
            blocked: None,
            taint: Taint::default(),
        }
    }

    /// The pools were listed: whether one wants interfaces. While none does and the node has no
    /// record, the records are read once and the startup taint is lifted once.
    pub(crate) fn pools(&mut self, wanted: bool, now: Moment) {
        if self.wanted != Some(wanted) {
            (self.wanted, self.next_read) = (Some(wanted), now);
        }
    }

    /// The interfaces that members may not get, and why.
    pub(crate) fn unusable(&self, cluster: &ClusterName) -> BTreeMap<EniId, Unusable> {
        let Some(known) = &self.known else { return BTreeMap::new() };
        let wanted = known.wanted.as_ref();
        let taken = wanted.and_then(|wanted| decide::taken_by_cni(wanted, cluster));
        let why = |one: &StoredInterface| {
            if one.record.phase.is_removal() {
                return Some(Unusable::Removing(one.name.to_string()));
            }
            taken.as_ref().map(|taken| Unusable::TakenByCni(taken.to_string()))
        };
        let records = known.records.iter();
        records.filter_map(|one| Some((one.record.eni.clone()?, why(one)?))).collect()
    }

    /// Whether an attachment was sent recently that the metadata service does not list yet.
    pub(crate) fn is_attaching(&self, now: Moment) -> bool {
        self.attaching.as_ref().is_some_and(|(_, at)| now.since(*at) < ATTACH_PATIENCE)
    }

    /// Whether the records were read.
    pub(crate) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// The interfaces of the records that members may get.
    pub(crate) fn made(&self) -> impl Iterator<Item = &EniId> {
        let records = self.known.iter().flat_map(|known| &known.records);
        let made = records.filter(|one| !one.record.phase.is_removal());
        made.filter_map(|one| one.record.eni.as_ref())
    }

    /// Whether a pool wants an interface on this node. Beside the VPC CNI, and for the default
    /// security groups, EC2 must have described the interfaces of the instance before.
    pub(crate) fn is_wanted_here(&self) -> bool {
        let wanted = self.known.as_ref().and_then(|known| known.wanted.as_ref());
        wanted.is_some_and(|it| it.policies.iter().any(|policy| policy.selects(&it.node)))
    }

    /// The step to start now.
    pub(crate) fn due(&mut self, inputs: &Inputs<'_>, now: Moment) -> Option<Task> {
        if self.running {
            return None;
        }
        let step = self.next(inputs, now)?;
        self.running = true;
        Some(Task::Interface(step))
    }

    fn next(&mut self, inputs: &Inputs<'_>, now: Moment) -> Option<InterfaceStep> {
        let decision = self.known.as_ref().map(|known| decide::decide(known, inputs));
        if let Some(step) = self.lift_taint(decision.as_ref(), now) {
            return Some(step);
        }
        let is_wanted = self.wanted?;
        let without_records = self.known.as_ref().is_some_and(|known| known.records.is_empty());
        if !is_wanted && without_records {
            return None;
        }
        if now >= self.next_read {
            return Some(InterfaceStep::Read);
        }
        let decision = decision.filter(|_| self.stale.is_none())?;
        self.blocked = decision.blocked();
        if !matches!(decision, Decision::Unwanted(_)) {
            self.unwanted_since = None;
        }
        if decision == Decision::Nothing {
            // The failed step took effect, or is no longer needed.
            self.steps = Steps::default();
        }
        if now < self.steps.backoff.not_before {
            return None;
        }
        match decision {
            Decision::Nothing | Decision::Wait(_) | Decision::Refused(_) => None,
            Decision::Record(..) if self.rests(now) => None,
            Decision::Record(name, record) => Some(InterfaceStep::Record(name, record)),
            Decision::Create(stored, _) if self.steps.are_hopeless() => {
                Some(self.give_up(&stored, now))
            }
            Decision::Create(stored, request) => Some(InterfaceStep::Create(stored, request)),
            Decision::Attached(stored) => {
                (self.attaching, self.given_up) = (None, None);
                Some(InterfaceStep::Update(stored.in_phase(Phase::Attached)))
            }
            Decision::Attach(stored, eni, index) => self.attach(stored, eni, index, now),
            Decision::Excluded(stored) => Some(InterfaceStep::Update(stored.excluded())),
            Decision::Unwanted(stored) => {
                let since = *self.unwanted_since.get_or_insert(now);
                let is_over = now.since(since) >= MISSING_FOR;
                is_over.then(|| InterfaceStep::Update(stored.in_phase(Phase::Draining)))
            }
        }
    }

    /// Attaches the interface, unless that was sent recently. One that cannot be attached is given
    /// up, so that it does not stay behind.
    fn attach(
        &mut self,
        stored: StoredInterface,
        eni: EniId,
        index: u32,
        now: Moment,
    ) -> Option<InterfaceStep> {
        if self.steps.are_hopeless() {
            return Some(self.give_up(&stored, now));
        }
        let sent = self.attaching.as_ref().filter(|(sent, _)| *sent == eni);
        if sent.is_some_and(|(_, at)| now.since(*at) < ATTACH_PATIENCE) {
            return None;
        }
        self.attaching = Some((eni.clone(), now));
        Some(InterfaceStep::Attach(eni, stored.record.instance, index))
    }

    /// The interface is removed, and for a while no other is made.
    fn give_up(&mut self, stored: &StoredInterface, now: Moment) -> InterfaceStep {
        let failure = std::mem::take(&mut self.steps).failure;
        self.given_up = failure.map(|failure| (failure, now));
        InterfaceStep::Update(stored.in_phase(Phase::Draining))
    }

    /// Whether an interface was given up so recently that no other is made.
    fn rests(&self, now: Moment) -> bool {
        self.given_up.as_ref().is_some_and(|(_, at)| now.since(*at) < REST)
    }

    /// The taint goes once an interface is attached or none is to be made, and in any case after a
    /// while.
    fn lift_taint(&mut self, decision: Option<&Decision>, now: Moment) -> Option<InterfaceStep> {
        let over = now.0 >= TAINT_PATIENCE;
        let ready = match decision {
            Some(Decision::Refused(refusal)) => *refusal != Refusal::CiliumPending,
            decision => decision == Some(&Decision::Nothing),
        };
        let waits = self.taint.is_lifted || now < self.taint.backoff.not_before;
        if waits || !(over || ready) {
            return None;
        }
        self.taint.is_running = true;
        Some(InterfaceStep::LiftTaint)
    }

    /// A step has ended.
    pub(crate) fn ended(&mut self, end: StepEnd, now: Moment) {
        self.running = false;
        if std::mem::take(&mut self.taint.is_running) {
            match end {
                StepEnd::Done => self.taint.is_lifted = true,
                StepEnd::Registry(_) | StepEnd::Cloud(_) | StepEnd::Read(_) => {
                    self.taint.backoff.failed(now);
                }
            }
            return;
        }
        let failure = match end {
            StepEnd::Read(Ok(read)) => {
                (self.reads, self.next_read) = (Backoff::default(), now.plus(READ_EVERY));
                (self.known, self.stale) = (Some(read), None);
                return;
            }
            StepEnd::Read(Err(failure)) => {
                self.reads.failed(now);
                (self.next_read, self.stale) = (self.reads.not_before, Some(failure));
                return;
            }
            StepEnd::Done => {
                (self.steps, self.next_read) = (Steps::default(), now);
                return;
            }
            StepEnd::Cloud(failure) => Failure::Cloud(failure),
            StepEnd::Registry(failure) => Failure::Registry(failure),
        };
        // EC2 has refused the call, for example because it does not know a new interface yet: only
        // the pause delays the next one.
        if matches!(&failure, Failure::Cloud(why) if why.effect == Effect::None) {
            self.attaching = None;
        }
        self.steps.failed(failure, now);
        self.next_read = now;
    }
}
