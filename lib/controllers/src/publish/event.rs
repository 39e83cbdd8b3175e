//! Events: each start and end of a problem, and each action, is emitted once.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::endpoint::POOL_LABEL;
use firecamp_core::ids::{Member, PodUid, SubnetId};
use firecamp_core::time::Moment;
use firecamp_node::volumes::Reason;
use firecamp_registry::api::{AddressStatus, NodeAttachmentsStatus, Problem, VolumeStatus};

use crate::publish::facts::{AddressFact, Facts};
use crate::publish::public_reasons::{AddressReason, EventReason};

/// A warning with the same reason and subject is emitted at most this often.
const REPEAT_AFTER: Duration = Duration::from_mins(5);
/// At most this many Events wait for the API; the oldest are dropped.
const QUEUE_MAX: usize = 64;

/// What an Event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum About {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// A static IP.
    StaticIp(Ipv4Addr),
    /// This node.
    Node,
}

/// One Event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Event {
    /// What it is about.
    pub about: About,
    /// The static IP that it also concerns.
    pub related: Option<Ipv4Addr>,
    /// Its stable reason.
    pub reason: &'static str,
    /// What the agent did: a stable word.
    pub action: &'static str,
    /// Whether it is a warning.
    pub warns: bool,
    /// What happened, as text.
    pub note: String,
    /// When (RFC 3339).
    pub at: String,
}

/// A pod of this node waits for a slot, and no parked address may be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Shortage {
    /// The name of the pod.
    pub member: Member,
    /// Its UID.
    pub pod: PodUid,
    /// The address that was parked first, which no reservation covers.
    pub parked: Ipv4Addr,
    /// Its subnet.
    pub subnet: SubnetId,
}

impl Shortage {
    fn event(&self, facts: &Facts, timestamp: &str) -> Event {
        let Self { member, pod, parked, subnet } = self;
        let reason = EventReason::AddressNotReserved;
        let note = format!(
            "{member} waits for an address on {}, where all slots are used. {parked} is parked \
             there, but no CIDR reservation of type explicit in {subnet} would keep it for its \
             pool. Create one, or start its member on another node",
            facts.node
        );
        Event {
            about: of_pod(member, pod),
            related: Some(*parked),
            reason: reason.name(),
            action: "Evict",
            warns: reason.warns(),
            note,
            at: timestamp.to_owned(),
        }
    }
}

/// What an operation of the agent has done, or why it could not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Notice {
    /// It restored the address in the kernel.
    Restored(Ipv4Addr),
    /// It assigned the address again in EC2.
    Reasserted(Ipv4Addr),
    /// It released the address of a pod that was gone.
    Released(Ipv4Addr),
    /// It created a StaticIP for an orphaned address.
    Adopted(Ipv4Addr),
    /// It unassigned a parked address, whose slot a pod needs.
    Evicted(Ipv4Addr),
    /// It may not evict a parked address, whose slot a pod needs.
    NotReserved(Shortage),
    /// A pod runs with a pool's label and has no address.
    WithoutAddress(Member, PodUid),
}

/// The Events that wait for the API, and the recently emitted ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events {
    /// Notices of addresses whose records are not known yet, with their times.
    early: VecDeque<(Notice, String)>,
    waiting: VecDeque<Event>,
    reported: BTreeMap<(About, &'static str), Moment>,
}

impl Events {
    /// The oldest pending Event.
    pub(crate) fn first(&self) -> Option<&Event> {
        self.waiting.front()
    }

    /// Removes the oldest pending Event.
    pub(crate) fn drop_first(&mut self) {
        self.waiting.pop_front();
    }

    fn report(&mut self, event: Event, now: Moment) {
        self.reported.retain(|_, at| now.since(*at) < REPEAT_AFTER);
        let key = (event.about.clone(), event.reason);
        // The end of a problem is always emitted.
        if event.warns && self.reported.contains_key(&key) {
            return;
        }
        self.reported.insert(key, now);
        if self.waiting.len() >= QUEUE_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(event);
    }

    /// Records what an operation has done. The Event is emitted once the address's record is known.
    pub(crate) fn notice(
        &mut self,
        notice: Notice,
        facts: &Facts,
        (now, timestamp): (Moment, &str),
    ) {
        if self.early.len() >= QUEUE_MAX {
            self.early.pop_front();
        }
        self.early.push_back((notice, timestamp.to_owned()));
        self.report_early(facts, now);
    }

    /// Emits the notices that were waiting for these facts.
    pub(crate) fn report_early(&mut self, facts: &Facts, now: Moment) {
        let Some(known) = &facts.addresses else { return };
        for (notice, timestamp) in std::mem::take(&mut self.early) {
            self.done(notice, (facts, known), (now, &timestamp));
        }
    }

    fn done(
        &mut self,
        notice: Notice,
        (facts, known): (&Facts, &[AddressFact]),
        (now, timestamp): (Moment, &str),
    ) {
        let (address, reason, action) = match notice {
            Notice::Restored(address) => (address, EventReason::AddressRestored, "Restore"),
            Notice::Reasserted(address) => (address, EventReason::AddressReasserted, "Reassert"),
            Notice::Released(address) => (address, EventReason::AddressReleased, "Release"),
            Notice::Adopted(address) => (address, EventReason::AddressAdopted, "Adopt"),
            Notice::Evicted(address) => (address, EventReason::AddressEvicted, "Evict"),
            Notice::NotReserved(short) => return self.report(short.event(facts, timestamp), now),
            Notice::WithoutAddress(member, pod) => {
                let reason = EventReason::PodWithoutAddress;
                let note = format!(
                    "{member} runs on {} with the label {POOL_LABEL}, and no StaticIP is attached \
                     to it. If it was created without FireCamp's init container, delete it once \
                     injection works: its successor gets an address",
                    facts.node
                );
                let event = event(of_pod(&member, &pod), (reason.name(), reason.warns()), note);
                return self.report(Event { at: timestamp.to_owned(), ..event }, now);
            }
        };
        let fact = known.iter().find(|fact| fact.record.address == address);
        let pod = fact.and_then(|fact| {
            let attachment = fact.record.attachment.as_ref()?;
            Some((&fact.record.member, &attachment.pod))
        });
        let about = match pod {
            // The pod of a released or evicted address is gone, and an adopted one has none.
            Some((member, uid)) if has_pod(reason) => of_pod(member, uid),
            Some(_) | None => About::StaticIp(address),
        };
        let event = Event {
            about,
            related: Some(address),
            reason: reason.name(),
            action,
            warns: reason.warns(),
            note: format!("{address} on {}: {}", facts.node, reason.meaning()),
            at: timestamp.to_owned(),
        };
        self.report(event, now);
    }

    /// Emits the problems that start and end from one status to the next.
    pub(crate) fn changes(
        &mut self,
        old: &NodeAttachmentsStatus,
        new: &NodeAttachmentsStatus,
        (now, timestamp): (Moment, &str),
    ) {
        let mut all = addresses(&old.addresses, &new.addresses);
        all.extend(volumes(&old.volumes, &new.volumes));
        all.extend(checks(old, new));
        for event in all {
            self.report(Event { at: timestamp.to_owned(), ..event }, now);
        }
    }
}

fn of_pod(member: &Member, pod: &PodUid) -> About {
    About::Pod {
        namespace: member.namespace().to_owned(),
        name: member.name().to_owned(),
        uid: pod.to_string(),
    }
}

fn has_pod(reason: EventReason) -> bool {
    use EventReason::{AddressAdopted, AddressEvicted, AddressReleased};
    !matches!(reason, AddressReleased | AddressAdopted | AddressEvicted)
}

fn event(about: About, (reason, warns): (&'static str, bool), note: String) -> Event {
    let (related, at) = (None, String::new());
    Event { about, related, reason, action: "Observe", warns, note, at }
}

fn addresses(old: &[AddressStatus], new: &[AddressStatus]) -> Vec<Event> {
    let reason = |row: &AddressStatus| {
        row.problem.as_ref().and_then(|problem| AddressReason::named(&problem.reason))
    };
    let mut reported = Vec::new();
    for row in new {
        let before = old.iter().find(|before| before.address == row.address).and_then(reason);
        let after = reason(row);
        if before == after {
            continue;
        }
        let Ok(address) = row.address.parse::<Ipv4Addr>() else { continue };
        let message = row.problem.as_ref().map(|problem| problem.message.clone());
        let (reason, note) = match (after, before) {
            (Some(after), _) => (EventReason::from(after), message.unwrap_or_default()),
            (None, before) => {
                let was = before.map_or("", AddressReason::name);
                (EventReason::AddressRecovered, format!("{address} has recovered from {was}"))
            }
        };
        let about = pod(&row.member, &row.pod_uid).unwrap_or(About::StaticIp(address));
        let event = event(about, (reason.name(), reason.warns()), note);
        reported.push(Event { related: Some(address), ..event });
    }
    reported
}

fn pod(member: &str, uid: &str) -> Option<About> {
    let (namespace, name) = member.split_once('/')?;
    let (namespace, name, uid) = (namespace.to_owned(), name.to_owned(), uid.to_owned());
    Some(About::Pod { namespace, name, uid })
}

fn volumes(old: &[VolumeStatus], new: &[VolumeStatus]) -> Vec<Event> {
    let mut reported = Vec::new();
    for row in new {
        let empty: &[Problem] = &[];
        let before = old.iter().find(|before| before.id == row.id);
        let before = before.map_or(empty, |before| &before.problems);
        let about =
            row.mounts.iter().find_map(|mount| pod(mount.pod.as_ref()?, mount.pod_uid.as_ref()?));
        let about = about.unwrap_or(About::Node);
        let has = |all: &[Problem], one: &Problem| all.iter().any(|p| p.reason == one.reason);
        for problem in row.problems.iter().filter(|problem| !has(before, problem)) {
            let Ok(reason) = problem.reason.parse::<Reason>() else { continue };
            let note = format!("volume {}: {}", row.id, problem.message);
            reported.push(event(about.clone(), (reason.name(), true), note));
        }
        for problem in before.iter().filter(|problem| !has(&row.problems, problem)) {
            let reason = EventReason::VolumeRecovered;
            let note = format!("volume {} has recovered from {}", row.id, problem.reason);
            reported.push(event(about.clone(), (reason.name(), reason.warns()), note));
        }
    }
    reported
}

/// The checks of the node: every condition except the summaries.
fn checks(old: &NodeAttachmentsStatus, new: &NodeAttachmentsStatus) -> Vec<Event> {
    let summary = |kind: &str| matches!(kind, "Ready" | "AddressesReady" | "VolumesReady");
    let mut reported = Vec::new();
    for check in new.conditions.iter().filter(|check| !summary(&check.kind)) {
        let before = old.conditions.iter().find(|before| before.kind == check.kind);
        let before = before.map_or("", |before| before.status.as_str());
        let reason = match (before, check.status.as_str()) {
            ("False", "True") => EventReason::PreflightPassed,
            (before, "False") if before != "False" => EventReason::PreflightFailed,
            _ => continue,
        };
        let note = format!("{}: {}: {}", check.kind, check.reason, check.message);
        reported.push(event(About::Node, (reason.name(), reason.warns()), note));
    }
    reported
}
