//! Turns facts into requests to the Kubernetes API, one step after the other.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::Slots;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;
use firecamp_registry::api::{AddressStatus, Condition, NodeAttachments, NodeAttachmentsStatus};

use crate::publish::address::{AddressTracker, SETTLE};
use crate::publish::backoff::Retry;
use crate::publish::capacity::{self, Holders};
use crate::publish::claim::Claims;
use crate::publish::event::{Events, Notice};
use crate::publish::facts::Facts;
use crate::publish::ports::FetchedNode;
use crate::publish::step::{Done, Step, Target};
use crate::publish::{node, static_ip};

/// A status that keeps changing is written after this long even though it is not stable.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// The minimum interval between two writes of `NodeAttachments`.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// The node is read again after this long, because others may have changed it.
const REFRESH_EVERY: Duration = Duration::from_mins(5);
/// After a start the publisher clears no condition for this long: by then every EC2 query has run.
const STARTUP_GRACE: Duration = Duration::from_mins(4);
/// Unchanged facts are evaluated again after this long, because some causes end by time alone. An
/// evaluation costs more than everything else that an agent does in a second.
const REEVALUATE_EVERY: Duration = Duration::from_secs(5);
/// An Event is dropped after this many failed attempts.
const EVENT_ATTEMPTS: u32 = 5;

/// The publisher's knowledge of the API objects.
#[derive(Debug, Clone, Default)]
struct Known {
    at: Moment,
    uid: Option<String>,
    capacity: Option<u32>,
    version: Option<Version>,
}

/// A status that is to be written: since when it differs from the published one, and since when it
/// is unchanged.
#[derive(Debug, Clone)]
struct Pending {
    since: Moment,
    stands: Moment,
    timestamp: String,
}

/// A number that counts once it has been stable for [`SETTLE`].
#[derive(Debug, Clone, Copy, Default)]
struct Settled {
    value: Option<u32>,
    coming: Option<(u32, Moment)>,
}

impl Settled {
    fn step(&mut self, now: Moment, seen: Option<u32>) {
        let Some(seen) = seen.filter(|seen| self.value != Some(*seen)) else {
            self.coming = None;
            return;
        };
        let since = self.coming.filter(|(coming, _)| *coming == seen).map_or(now, |(_, at)| at);
        self.coming = Some((seen, since));
        if now.since(since) >= SETTLE {
            *self = Self { value: Some(seen), coming: None };
        }
    }
}

/// Decides what is written and when.
#[derive(Debug, Clone)]
pub struct Publisher {
    node: NodeName,
    /// Whether there is a Kubernetes API to write to.
    online: bool,
    begun: Option<Moment>,
    known: Option<Known>,
    published: NodeAttachmentsStatus,
    wanted: NodeAttachmentsStatus,
    pending: Option<Pending>,
    written: Option<Moment>,
    /// The status that Events have reported; none before the published status is read.
    reported: Option<NodeAttachmentsStatus>,
    trackers: BTreeMap<Ipv4Addr, AddressTracker>,
    published_conditions: BTreeMap<Ipv4Addr, (StaticIp, Vec<Condition>)>,
    claims: Claims,
    capacity: Settled,
    holders: Holders,
    events: Events,
    retries: BTreeMap<Target, Retry>,
    facts: Facts,
    timestamp: String,
    /// When facts were evaluated last.
    evaluated: Option<Moment>,
    /// Whether a step has ended since then.
    stepped: bool,
}

impl Publisher {
    /// The publisher of a cluster node.
    pub fn new(node: NodeName) -> Self {
        Self {
            online: true,
            begun: None,
            known: None,
            published: NodeAttachmentsStatus::default(),
            wanted: NodeAttachmentsStatus::default(),
            pending: None,
            written: None,
            reported: None,
            trackers: BTreeMap::new(),
            published_conditions: BTreeMap::new(),
            claims: Claims::default(),
            capacity: Settled::default(),
            holders: Holders::default(),
            events: Events::default(),
            retries: BTreeMap::new(),
            facts: Facts::new(node.clone()),
            timestamp: String::new(),
            evaluated: None,
            stepped: false,
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
        let uid = self.known.as_ref().and_then(|known| known.uid.as_deref());
        NodeAttachments::new(self.node.as_str(), uid, self.wanted.clone())
    }

    /// The node's capacity of the extended resource, once it is known and stable.
    pub fn capacity(&self) -> Option<u32> {
        self.capacity.value
    }

    /// The status that was published last, once it is known.
    pub fn published(&self) -> Option<&NodeAttachmentsStatus> {
        self.reported.as_ref().map(|_| &self.published)
    }

    /// Whether unchanged facts are to be evaluated again: immediately if time may change the result
    /// within seconds.
    pub fn is_due(&self, now: Moment) -> bool {
        self.stepped
            || self.evaluated.is_none_or(|at| now.since(at) >= REEVALUATE_EVERY)
            || self.capacity.coming.is_some()
            || self.trackers.values().any(AddressTracker::is_waiting)
    }

    /// Evaluates the current facts; to be called when they change and when [`Self::is_due`].
    /// `timestamp` is the time as RFC 3339.
    pub fn take(&mut self, facts: Facts, now: Moment, timestamp: &str) {
        let begun = *self.begun.get_or_insert(now);
        (self.evaluated, self.stepped) = (Some(now), false);
        timestamp.clone_into(&mut self.timestamp);
        self.facts = facts;
        self.events.report_early(&self.facts, now);
        self.claims.step(&self.facts, (now, timestamp));
        let held = self.holders.step(now, &self.facts);
        let slots = held.as_ref().and_then(|held| capacity::capacity(&self.facts, held));
        self.capacity.step(now, slots.map(Slots::capacity));
        let addresses = self.address_statuses(now);
        let addresses = (addresses, held.as_ref());
        let starting = now.since(begun) < STARTUP_GRACE;
        // A pending status keeps its time, so that a late write does not change it.
        let at = self.pending.as_ref().map_or(timestamp, |pending| &pending.timestamp).to_owned();
        let wanted = node::status(&self.facts, addresses, &self.published, (starting, &at));
        if wanted == self.published {
            self.pending = None;
        } else {
            let new = Pending { since: now, stands: now, timestamp: at };
            let pending = self.pending.get_or_insert(new);
            if wanted != self.wanted {
                pending.stands = now;
            }
        }
        if let Some(reported) = &mut self.reported {
            self.events.changes(reported, &wanted, (now, timestamp));
            reported.clone_from(&wanted);
        }
        self.wanted = wanted;
    }

    fn address_statuses(&mut self, now: Moment) -> Option<Vec<AddressStatus>> {
        let facts = self.facts.addresses.as_ref()?;
        let is_known =
            |address: &Ipv4Addr| facts.iter().any(|fact| fact.record.address == *address);
        self.trackers.retain(|address, _| is_known(address));
        self.published_conditions.retain(|address, _| is_known(address));
        let trackers = &mut self.trackers;
        for fact in facts {
            let tracker = trackers.entry(fact.record.address).or_default();
            tracker.step(now, fact, &self.node, self.facts.pools.as_deref());
        }
        Some(trackers.values().filter_map(|tracker| tracker.status(&self.node)).collect())
    }

    /// Records what an operation of the agent has done.
    pub fn notice(&mut self, notice: Notice, now: Moment) {
        self.events.notice(notice, &self.facts, (now, &self.timestamp));
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
        let Some(known) = &self.known else { return self.open(Some(Step::Get), now) };
        let get_node = || (now.since(known.at) >= REFRESH_EVERY).then_some(Step::Get);
        self.open(self.set_capacity(known), now)
            .or_else(|| self.open(self.write(known, now), now))
            .or_else(|| self.update_status(now))
            .or_else(|| self.update_claim_status(now))
            .or_else(|| self.open(report(), now))
            .or_else(|| self.open(get_node(), now))
    }

    fn is_open(&self, target: &Target, now: Moment) -> bool {
        self.retries.get(target).is_none_or(|retry| retry.is_open(now))
    }

    fn open(&self, step: Option<Step>, now: Moment) -> Option<Step> {
        step.filter(|step| self.is_open(&step.target(), now))
    }

    /// An unknown capacity is not written.
    fn set_capacity(&self, known: &Known) -> Option<Step> {
        let wanted = self.capacity.value?;
        let differs = known.uid.is_some() && known.capacity != Some(wanted);
        differs.then_some(Step::UpdateCapacity(wanted))
    }

    /// Nothing is written without a Node, because the object would have no owner and stay for ever.
    fn write(&self, known: &Known, now: Moment) -> Option<Step> {
        let pending = self.pending.as_ref()?;
        known.uid.as_ref()?;
        let stable = now.since(pending.stands) >= SETTLE || now.since(pending.since) >= MAX_DELAY;
        let spaced = self.written.is_none_or(|at| now.since(at) >= MIN_INTERVAL);
        if !stable || !spaced {
            return None;
        }
        let mut object = Box::new(self.wanted());
        match &known.version {
            None => Some(Step::Create(object)),
            Some(version) => {
                object.metadata.resource_version = Some(version.to_string());
                Some(Step::Update(object))
            }
        }
    }

    fn update_status(&self, now: Moment) -> Option<Step> {
        self.trackers.iter().find_map(|(address, tracker)| {
            let record = tracker.shown()?;
            if record.attachment.as_ref()?.node != self.node {
                return None;
            }
            let conditions = static_ip::conditions(tracker);
            let last = self.published_conditions.get(address);
            if last.is_some_and(|(about, last)| about == record && *last == conditions) {
                return None;
            }
            let record = Box::new(record.clone());
            let timestamp = self.timestamp.clone();
            self.open(Some(Step::UpdateStatus { record, conditions, timestamp }), now)
        })
    }

    fn update_claim_status(&self, now: Moment) -> Option<Step> {
        self.claims.next(now).find_map(|(member, report)| {
            let (member, report, timestamp) =
                (member.clone(), report.clone(), self.timestamp.clone());
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
        self.stepped = true;
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
            (Step::Create(_), Done::Written(version)) => self.set_version(version),
            (Step::Update(object), Done::Written(version)) => {
                self.set_version(version);
                self.published = object.status.clone();
                self.written = Some(now);
                self.pending = None;
            }
            (Step::UpdateStatus { record, conditions, .. }, _) => {
                let written = (StaticIp::clone(record), conditions.clone());
                self.published_conditions.insert(record.address, written);
            }
            (Step::UpdateClaimStatus { member, report, .. }, _) => {
                self.claims.done(member, report, now);
            }
            (Step::UpdateCapacity(capacity), _) => {
                if let Some(known) = &mut self.known {
                    known.capacity = Some(*capacity);
                }
            }
            (Step::EmitEvent(_), _) => self.events.drop_first(),
            (
                Step::Get | Step::Create(_) | Step::Update(_),
                Done::Success | Done::Nothing | Done::FetchedNode(_) | Done::Written(_),
            ) => self.known = None,
        }
    }

    fn set_version(&mut self, version: Version) {
        if let Some(known) = &mut self.known {
            known.version = Some(version);
        }
    }

    /// The fetched status counts as published, whoever wrote it.
    fn fetched(&mut self, fetched: FetchedNode, now: Moment) {
        let attachments = fetched.attachments.as_ref();
        let version = attachments.and_then(|object| object.metadata.resource_version.as_deref());
        self.known = Some(Known {
            at: now,
            uid: fetched.node,
            capacity: fetched.capacity.and_then(|text| text.parse().ok()),
            version: version.and_then(|text| Version::new(text).ok()),
        });
        self.published = fetched.attachments.map(|object| object.status).unwrap_or_default();
        if self.reported.is_none() {
            self.reported = Some(self.published.clone());
            for row in &self.published.addresses {
                if let Ok(address) = row.address.parse() {
                    self.trackers.entry(address).or_default().resume(row);
                }
            }
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
            // The write may have taken effect: read the object before anything else.
            Step::Create(_) | Step::Update(_) => self.known = None,
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
