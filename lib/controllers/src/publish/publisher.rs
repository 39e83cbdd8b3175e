//! From what is known to what is written, one step after the other.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::Slots;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;
use firecamp_registry::api::{AddressStatus, Condition, NodeAttachments, NodeAttachmentsStatus};

use crate::publish::address::{Memory, SETTLE};
use crate::publish::claim::Claims;
use crate::publish::event::{Events, Notice};
use crate::publish::facts::Facts;
use crate::publish::outside::Learned;
use crate::publish::retry::Retry;
use crate::publish::room::{self, Holders};
use crate::publish::step::{Done, Step, Target};
use crate::publish::{node, static_ip};

/// A status that keeps changing is written after this long all the same.
const RESTLESS: Duration = Duration::from_secs(10);
/// Between two writes of `NodeAttachments`.
const GAP: Duration = Duration::from_secs(5);
/// What others may have changed is read again after this long.
const LEARN_AGAIN: Duration = Duration::from_mins(5);
/// A process that has just begun unsays nothing for so long: by then EC2 has been asked everything.
const PATIENCE: Duration = Duration::from_mins(4);
/// What has not changed is taken in again after this long: some of it ends by time alone, after
/// minutes. To take it in costs more than all else that an agent does in a second.
const TAKE_AGAIN: Duration = Duration::from_secs(5);
/// An Event that cannot be written is given up after so many attempts.
const EVENT_ATTEMPTS: u32 = 5;

/// What is known of the API's objects.
#[derive(Debug, Clone, Default)]
struct Known {
    at: Moment,
    uid: Option<String>,
    capacity: Option<u32>,
    version: Option<Version>,
}

/// Since when what is wanted differs from what is published, and since when it stands.
#[derive(Debug, Clone)]
struct Pending {
    since: Moment,
    stands: Moment,
    wall: String,
}

/// A number that counts once it has stood for a while.
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

/// Decides what is written, and when.
#[derive(Debug, Clone)]
pub struct Publisher {
    node: NodeName,
    /// There is an API to write to.
    online: bool,
    begun: Option<Moment>,
    known: Option<Known>,
    published: NodeAttachmentsStatus,
    wanted: NodeAttachmentsStatus,
    pending: Option<Pending>,
    written: Option<Moment>,
    /// What Events have told of; none before anything is known of the past.
    told: Option<NodeAttachmentsStatus>,
    memories: BTreeMap<Ipv4Addr, Memory>,
    said: BTreeMap<Ipv4Addr, (StaticIp, Vec<Condition>)>,
    claims: Claims,
    capacity: Settled,
    holders: Holders,
    events: Events,
    retries: BTreeMap<Target, Retry>,
    facts: Facts,
    wall: String,
    /// When anything was taken in last.
    taken: Option<Moment>,
    /// A step has ended since then.
    stepped: bool,
}

impl Publisher {
    /// That of a node of a cluster.
    pub fn new(node: NodeName) -> Self {
        Self {
            online: true,
            begun: None,
            known: None,
            published: NodeAttachmentsStatus::default(),
            wanted: NodeAttachmentsStatus::default(),
            pending: None,
            written: None,
            told: None,
            memories: BTreeMap::new(),
            said: BTreeMap::new(),
            claims: Claims::default(),
            capacity: Settled::default(),
            holders: Holders::default(),
            events: Events::default(),
            retries: BTreeMap::new(),
            facts: Facts::new(node.clone()),
            wall: String::new(),
            taken: None,
            stepped: false,
            node,
        }
    }

    /// That of a node without an API: its only steps are Events, for the log.
    pub fn offline(node: NodeName) -> Self {
        let told = Some(NodeAttachmentsStatus::default());
        Self { online: false, told, ..Self::new(node) }
    }

    /// The object as it would be published now.
    pub fn wanted(&self) -> NodeAttachments {
        let uid = self.known.as_ref().and_then(|known| known.uid.as_deref());
        NodeAttachments::new(self.node.as_str(), uid, self.wanted.clone())
    }

    /// The node's capacity of the extended resource, once it is known and stands.
    pub fn capacity(&self) -> Option<u32> {
        self.capacity.value
    }

    /// What was published last, once that is known.
    pub fn published(&self) -> Option<&NodeAttachmentsStatus> {
        self.told.as_ref().map(|_| &self.published)
    }

    /// Whether facts that have not changed since they were taken in are to be taken in again: at
    /// once where that may change something within seconds.
    pub fn is_due(&self, now: Moment) -> bool {
        self.stepped
            || self.taken.is_none_or(|at| now.since(at) >= TAKE_AGAIN)
            || self.capacity.coming.is_some()
            || self.memories.values().any(Memory::is_waiting)
    }

    /// Takes in what is known now: whenever it has changed, and when it is due. `wall` is the time
    /// as RFC 3339.
    pub fn take(&mut self, facts: Facts, now: Moment, wall: &str) {
        let begun = *self.begun.get_or_insert(now);
        (self.taken, self.stepped) = (Some(now), false);
        wall.clone_into(&mut self.wall);
        self.facts = facts;
        self.events.tell_early(&self.facts, now);
        self.claims.step(&self.facts, (now, wall));
        let held = self.holders.step(now, &self.facts);
        let slots = held.as_ref().and_then(|held| room::room(&self.facts, held));
        self.capacity.step(now, slots.map(Slots::capacity));
        let rows = self.rows(now);
        let rows = (rows, held.as_ref());
        let patient = now.since(begun) < PATIENCE;
        // The time of what is pending stands, so that it does not change for being late.
        let at = self.pending.as_ref().map_or(wall, |pending| &pending.wall).to_owned();
        let wanted = node::status(&self.facts, rows, &self.published, (patient, &at));
        if wanted == self.published {
            self.pending = None;
        } else {
            let new = Pending { since: now, stands: now, wall: at };
            let pending = self.pending.get_or_insert(new);
            if wanted != self.wanted {
                pending.stands = now;
            }
        }
        if let Some(told) = &mut self.told {
            self.events.changes(told, &wanted, (now, wall));
            told.clone_from(&wanted);
        }
        self.wanted = wanted;
    }

    fn rows(&mut self, now: Moment) -> Option<Vec<AddressStatus>> {
        let facts = self.facts.addresses.as_ref()?;
        let is_known =
            |address: &Ipv4Addr| facts.iter().any(|fact| fact.record.address == *address);
        self.memories.retain(|address, _| is_known(address));
        self.said.retain(|address, _| is_known(address));
        let memories = &mut self.memories;
        for fact in facts {
            let memory = memories.entry(fact.record.address).or_default();
            memory.step(now, fact, &self.node, self.facts.pools.as_deref());
        }
        Some(memories.values().filter_map(|memory| memory.row(&self.node)).collect())
    }

    /// An errand of the agent has done something.
    pub fn notice(&mut self, notice: Notice, now: Moment) {
        self.events.notice(notice, &self.facts, (now, &self.wall));
    }

    /// What to do next, if there is anything to do by now.
    pub fn next(&self, now: Moment) -> Option<Step> {
        let tell = || self.events.first().cloned().map(Step::Tell);
        if !self.online {
            return tell();
        }
        if !self.is_open(&Target::Api, now) {
            return None;
        }
        let Some(known) = &self.known else { return self.open(Some(Step::Learn), now) };
        let learn = || (now.since(known.at) >= LEARN_AGAIN).then_some(Step::Learn);
        self.open(self.set_capacity(known), now)
            .or_else(|| self.open(self.write(known, now), now))
            .or_else(|| self.say(now))
            .or_else(|| self.say_of_claims(now))
            .or_else(|| self.open(tell(), now))
            .or_else(|| self.open(learn(), now))
    }

    fn is_open(&self, target: &Target, now: Moment) -> bool {
        self.retries.get(target).is_none_or(|retry| retry.is_open(now))
    }

    fn open(&self, step: Option<Step>, now: Moment) -> Option<Step> {
        step.filter(|step| self.is_open(&step.target(), now))
    }

    /// A capacity that is not known is left as it stands.
    fn set_capacity(&self, known: &Known) -> Option<Step> {
        let wanted = self.capacity.value?;
        let differs = known.uid.is_some() && known.capacity != Some(wanted);
        differs.then_some(Step::Capacity(wanted))
    }

    /// Without a Node nobody would own it, so it would stay for ever.
    fn write(&self, known: &Known, now: Moment) -> Option<Step> {
        let pending = self.pending.as_ref()?;
        known.uid.as_ref()?;
        let settled = now.since(pending.stands) >= SETTLE || now.since(pending.since) >= RESTLESS;
        let rested = self.written.is_none_or(|at| now.since(at) >= GAP);
        if !settled || !rested {
            return None;
        }
        let mut object = Box::new(self.wanted());
        match &known.version {
            None => Some(Step::Create(object)),
            Some(version) => {
                object.metadata.resource_version = Some(version.to_string());
                Some(Step::Replace(object))
            }
        }
    }

    fn say(&self, now: Moment) -> Option<Step> {
        self.memories.iter().find_map(|(address, memory)| {
            let record = memory.shown()?;
            if record.attachment.as_ref()?.node != self.node {
                return None;
            }
            let conditions = static_ip::conditions(memory);
            let said = self.said.get(address);
            if said.is_some_and(|(about, said)| about == record && *said == conditions) {
                return None;
            }
            let record = Box::new(record.clone());
            let wall = self.wall.clone();
            self.open(Some(Step::Say { record, conditions, wall }), now)
        })
    }

    fn say_of_claims(&self, now: Moment) -> Option<Step> {
        self.claims.next(now).find_map(|(member, saying)| {
            let (member, saying, wall) = (member.clone(), saying.clone(), self.wall.clone());
            self.open(Some(Step::SayOfClaim { member, saying, wall }), now)
        })
    }

    /// A step has ended. `chance` is any number; it spreads what is tried again.
    pub fn done(
        &mut self,
        step: &Step,
        result: Result<Done, RegistryFailure>,
        (now, chance): (Moment, u32),
    ) {
        self.stepped = true;
        match result {
            Ok(done) => {
                for target in [Target::Api, step.target()] {
                    self.retries.remove(&target);
                }
                self.went_well(step, done, now);
            }
            Err(failure) => self.failed(step, &failure, (now, chance)),
        }
    }

    fn went_well(&mut self, step: &Step, done: Done, now: Moment) {
        match (step, done) {
            (Step::Learn, Done::Learned(learned)) => self.learned(*learned, now),
            (Step::Create(_), Done::Written(version)) => self.set_version(version),
            (Step::Replace(object), Done::Written(version)) => {
                self.set_version(version);
                self.published = object.status.clone();
                self.written = Some(now);
                self.pending = None;
            }
            (Step::Say { record, conditions, .. }, _) => {
                let said = (StaticIp::clone(record), conditions.clone());
                self.said.insert(record.address, said);
            }
            (Step::SayOfClaim { member, saying, .. }, _) => self.claims.done(member, saying, now),
            (Step::Capacity(capacity), _) => {
                if let Some(known) = &mut self.known {
                    known.capacity = Some(*capacity);
                }
            }
            (Step::Tell(_), _) => self.events.drop_first(),
            (
                Step::Learn | Step::Create(_) | Step::Replace(_),
                Done::Well | Done::Nothing | Done::Learned(_) | Done::Written(_),
            ) => self.known = None,
        }
    }

    fn set_version(&mut self, version: Version) {
        if let Some(known) = &mut self.known {
            known.version = Some(version);
        }
    }

    /// What stands there is what was published, whoever wrote it.
    fn learned(&mut self, learned: Learned, now: Moment) {
        let attachments = learned.attachments.as_ref();
        let version = attachments.and_then(|object| object.metadata.resource_version.as_deref());
        self.known = Some(Known {
            at: now,
            uid: learned.node,
            capacity: learned.capacity.and_then(|text| text.parse().ok()),
            version: version.and_then(|text| Version::new(text).ok()),
        });
        self.published = learned.attachments.map(|object| object.status).unwrap_or_default();
        if self.told.is_none() {
            self.told = Some(self.published.clone());
            for row in &self.published.addresses {
                if let Ok(address) = row.address.parse() {
                    self.memories.entry(address).or_default().resume(row);
                }
            }
        }
    }

    fn failed(&mut self, step: &Step, failure: &RegistryFailure, (now, chance): (Moment, u32)) {
        let target = match failure.kind {
            RegistryKind::Unavailable => Target::Api,
            RegistryKind::Conflict
            | RegistryKind::AlreadyExists
            | RegistryKind::NotFound
            | RegistryKind::Refused
            | RegistryKind::Invalid => step.target(),
        };
        let retry = self.retries.entry(target.clone()).or_default();
        retry.failed(now, chance);
        let failures = retry.failures();
        match step {
            // What was written in between is not known: it is read before anything else.
            Step::Create(_) | Step::Replace(_) => self.known = None,
            Step::Tell(_) if target == Target::Event && failures >= EVENT_ATTEMPTS => {
                self.events.drop_first();
                self.retries.remove(&target);
            }
            Step::Learn
            | Step::Say { .. }
            | Step::SayOfClaim { .. }
            | Step::Capacity(_)
            | Step::Tell(_) => {}
        }
    }
}
