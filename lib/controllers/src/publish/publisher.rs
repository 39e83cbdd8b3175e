//! Turns facts into requests to the Kubernetes API, one step after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::agent::ResourceList;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_registry::api::{NodeAttachments, NodeAttachmentsStatus};

use crate::publish::address_updates::AddressUpdates;
use crate::publish::attachments_update::AttachmentsUpdate;
use crate::publish::capacity::StableCapacity;
use crate::publish::event::{Events, Notice};
use crate::publish::facts::Facts;
use crate::publish::node_attachments;
use crate::publish::ports::FetchedNode;
use crate::publish::request::{Done, Step, Target};
use crate::publish::request_backoff::Retry;
use crate::publish::volume_ready_condition::Claims;

/// After a start the publisher clears no condition for this long: by then every EC2 query has run.
const STARTUP_GRACE: Duration = Duration::from_mins(4);
/// Unchanged facts are evaluated again after this long, because some causes end by time alone. An
/// evaluation costs more than everything else that an agent does in a second.
const REEVALUATE_EVERY: Duration = Duration::from_secs(5);
/// An Event is dropped after this many failed attempts.
const EVENT_ATTEMPTS: u32 = 5;

/// The last evaluation of facts.
#[derive(Debug, Clone)]
struct Evaluation {
    facts: Facts,
    /// Its time as RFC 3339.
    timestamp: String,
    at: Option<Moment>,
    /// The first evaluation.
    begun: Option<Moment>,
    /// Whether a step has ended since then.
    stepped: bool,
}

/// Decides what is written and when.
#[derive(Debug, Clone)]
pub struct Publisher {
    node: NodeName,
    /// Whether there is a Kubernetes API to write to.
    online: bool,
    evaluation: Evaluation,
    attachments: AttachmentsUpdate,
    /// The status that Events have reported; none before the published status is read.
    reported: Option<NodeAttachmentsStatus>,
    addresses: AddressUpdates,
    claims: Claims,
    capacity: StableCapacity,
    events: Events,
    retries: BTreeMap<Target, Retry>,
}

impl Publisher {
    /// The publisher of a cluster node.
    pub fn new(node: NodeName) -> Self {
        let (facts, timestamp) = (Facts::new(node.clone()), String::new());
        Self {
            online: true,
            evaluation: Evaluation { facts, timestamp, at: None, begun: None, stepped: false },
            attachments: AttachmentsUpdate::default(),
            reported: None,
            addresses: AddressUpdates::default(),
            claims: Claims::default(),
            capacity: StableCapacity::default(),
            events: Events::default(),
            retries: BTreeMap::new(),
            node,
        }
    }

    /// The publisher of a node without a Kubernetes API: its only steps are Events, for the log.
    pub fn offline(node: NodeName) -> Self {
        let reported = Some(NodeAttachmentsStatus::default());
        Self { online: false, reported, ..Self::new(node) }
    }

    /// The object that is to be published.
    pub fn wanted(&self) -> NodeAttachments {
        self.attachments.object(&self.node)
    }

    /// The node's capacity of each extended resource, once it is known and stable.
    pub fn capacity(&self) -> ResourceList {
        self.capacity.value()
    }

    /// The status that was published last, once it is known.
    pub fn published(&self) -> Option<&NodeAttachmentsStatus> {
        self.reported.as_ref().map(|_| &self.attachments.published)
    }

    /// Whether unchanged facts are to be evaluated again: immediately if time may change the result
    /// within seconds.
    pub fn is_due(&self, now: Moment) -> bool {
        self.evaluation.stepped
            || self.evaluation.at.is_none_or(|at| now.since(at) >= REEVALUATE_EVERY)
            || self.capacity.is_waiting()
            || self.addresses.is_waiting()
    }

    /// Evaluates the current facts; to be called when they change and when [`Self::is_due`].
    /// `timestamp` is the time as RFC 3339.
    pub fn take(&mut self, facts: Facts, now: Moment, timestamp: &str) {
        let begun = self.evaluation.begun.unwrap_or(now);
        self.events.report_early(&facts, now);
        self.claims.step(&facts, (now, timestamp));
        let held = self.capacity.step(now, &facts, self.attachments.resources());
        let addresses = (self.addresses.step(&facts, now), held.as_ref());
        let starting = now.since(begun) < STARTUP_GRACE;
        let at = self.attachments.timestamp(timestamp);
        let published = &self.attachments.published;
        let wanted = node_attachments::status(&facts, addresses, published, (starting, &at));
        if let Some(reported) = &mut self.reported {
            self.events.changes(reported, &wanted, (now, timestamp));
            reported.clone_from(&wanted);
        }
        self.attachments.want(wanted, now, at);
        let (begun, timestamp) = (Some(begun), timestamp.to_owned());
        self.evaluation = Evaluation { facts, timestamp, at: Some(now), begun, stepped: false };
    }

    /// Records what an operation of the agent has done.
    pub fn notice(&mut self, notice: Notice, now: Moment) {
        let Evaluation { facts, timestamp, .. } = &self.evaluation;
        self.events.notice(notice, facts, (now, timestamp));
    }

    /// The next step, if one is due.
    pub fn next(&self, now: Moment) -> Option<Step> {
        let report = || self.events.first().cloned().map(Step::EmitEvent);
        if !self.online {
            return report();
        }
        if !self.is_open(&Target::Api, now) {
            return None;
        }
        if !self.attachments.is_known() {
            return self.open(Some(Step::Get), now);
        }
        self.open(self.set_capacity(), now)
            .or_else(|| self.open(self.attachments.write(&self.node, now), now))
            .or_else(|| self.update_status(now))
            .or_else(|| self.update_claim_status(now))
            .or_else(|| self.open(report(), now))
            .or_else(|| self.open(self.attachments.refresh(now), now))
    }

    fn is_open(&self, target: &Target, now: Moment) -> bool {
        self.retries.get(target).is_none_or(|retry| retry.is_open(now))
    }

    fn open(&self, step: Option<Step>, now: Moment) -> Option<Step> {
        step.filter(|step| self.is_open(&step.target(), now))
    }

    /// An unknown capacity is not written.
    fn set_capacity(&self) -> Option<Step> {
        let unpublished = self.attachments.unpublished(self.capacity.value());
        (!unpublished.is_empty()).then_some(Step::UpdateCapacity(unpublished))
    }

    fn update_status(&self, now: Moment) -> Option<Step> {
        self.addresses.next(&self.node).find_map(|(record, conditions)| {
            let record = Box::new(record.clone());
            let timestamp = self.evaluation.timestamp.clone();
            self.open(Some(Step::UpdateStatus { record, conditions, timestamp }), now)
        })
    }

    fn update_claim_status(&self, now: Moment) -> Option<Step> {
        self.claims.next(now).find_map(|(member, report)| {
            let (member, report, timestamp) =
                (member.clone(), report.clone(), self.evaluation.timestamp.clone());
            self.open(Some(Step::UpdateClaimStatus { member, report, timestamp }), now)
        })
    }

    /// Processes the result of a step. `jitter` is any number; it spreads retries.
    pub fn done(
        &mut self,
        step: &Step,
        result: Result<Done, RegistryFailure>,
        (now, jitter): (Moment, u32),
    ) {
        self.evaluation.stepped = true;
        match result {
            Ok(done) => {
                for target in [Target::Api, step.target()] {
                    self.retries.remove(&target);
                }
                self.succeeded(step, done, now);
            }
            Err(failure) => self.failed(step, &failure, (now, jitter)),
        }
    }

    fn succeeded(&mut self, step: &Step, done: Done, now: Moment) {
        match (step, done) {
            (Step::Get, Done::FetchedNode(fetched)) => self.fetched(*fetched, now),
            (Step::Get, Done::Success | Done::Nothing | Done::Written(_)) => {
                self.attachments.forget();
            }
            (Step::Create(_) | Step::Update(_), done) => self.attachments.written(step, done, now),
            (Step::UpdateStatus { record, conditions, .. }, _) => {
                self.addresses.written(record, conditions);
            }
            (Step::UpdateClaimStatus { member, report, .. }, _) => {
                self.claims.done(member, report, now);
            }
            (Step::UpdateCapacity(capacity), _) => self.attachments.capacity_written(capacity),
            (Step::EmitEvent(_), _) => self.events.drop_first(),
        }
    }

    /// The first status that is read is what an earlier process published.
    fn fetched(&mut self, fetched: FetchedNode, now: Moment) {
        self.attachments.fetched(fetched, now);
        if self.reported.is_none() {
            self.reported = Some(self.attachments.published.clone());
            self.addresses.resume(&self.attachments.published.addresses);
        }
    }

    fn failed(&mut self, step: &Step, failure: &RegistryFailure, (now, jitter): (Moment, u32)) {
        let target = match failure.kind {
            RegistryKind::Unavailable => Target::Api,
            RegistryKind::Conflict
            | RegistryKind::AlreadyExists
            | RegistryKind::NotFound
            | RegistryKind::Refused
            | RegistryKind::Invalid => step.target(),
        };
        let retry = self.retries.entry(target.clone()).or_default();
        retry.failed(now, jitter);
        let failures = retry.failures();
        match step {
            Step::Create(_) | Step::Update(_) => self.attachments.forget(),
            Step::EmitEvent(_) if target == Target::Event && failures >= EVENT_ATTEMPTS => {
                self.events.drop_first();
                self.retries.remove(&target);
            }
            Step::Get
            | Step::UpdateStatus { .. }
            | Step::UpdateClaimStatus { .. }
            | Step::UpdateCapacity(_)
            | Step::EmitEvent(_) => {}
        }
    }
}
