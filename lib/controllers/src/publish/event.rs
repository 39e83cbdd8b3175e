//! Events: what began and what ended, told once.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::time::Moment;
use firecamp_node::volumes::Reason;
use firecamp_registry::api::{AddressStatus, NodeAttachmentsStatus, Problem, VolumeStatus};

use crate::publish::facts::{AddressFact, Facts};
use crate::publish::reason::{AddressReason, EventReason};

/// The same of the same is told at most so often.
const PAUSE: Duration = Duration::from_mins(5);
/// So many wait for the API; older ones are dropped.
const WAITING_MAX: usize = 64;

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
    /// What the agent did, in one stable word.
    pub action: &'static str,
    /// It is a warning.
    pub warns: bool,
    /// What happened, for people.
    pub note: String,
    /// When (RFC 3339).
    pub at: String,
}

/// Something that an errand of the agent has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Notice {
    /// It put the address back into the kernel.
    Restored(Ipv4Addr),
    /// It assigned the address again.
    Reasserted(Ipv4Addr),
    /// It released the address for a pod that was gone.
    Released(Ipv4Addr),
    /// It made a record for an address that nobody claimed.
    Adopted(Ipv4Addr),
}

impl Notice {
    fn parts(self) -> (Ipv4Addr, EventReason, &'static str) {
        match self {
            Self::Restored(address) => (address, EventReason::AddressRestored, "Restore"),
            Self::Reasserted(address) => (address, EventReason::AddressReasserted, "Reassert"),
            Self::Released(address) => (address, EventReason::AddressReleased, "Release"),
            Self::Adopted(address) => (address, EventReason::AddressAdopted, "Adopt"),
        }
    }
}

/// The Events that wait for the API, and what was told lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events {
    /// What was done before it was known whose the addresses are, and when.
    early: VecDeque<(Notice, String)>,
    waiting: VecDeque<Event>,
    told: BTreeMap<(About, &'static str), Moment>,
}

impl Events {
    /// The oldest that waits.
    pub(crate) fn first(&self) -> Option<&Event> {
        self.waiting.front()
    }

    /// It was written, or never will be.
    pub(crate) fn drop_first(&mut self) {
        self.waiting.pop_front();
    }

    fn tell(&mut self, event: Event, now: Moment) {
        self.told.retain(|_, at| now.since(*at) < PAUSE);
        let key = (event.about.clone(), event.reason);
        // What is over is told whenever it is over.
        if event.warns && self.told.contains_key(&key) {
            return;
        }
        self.told.insert(key, now);
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(event);
    }

    /// What an errand has done. It is told once it is known whose the address is.
    pub(crate) fn notice(&mut self, notice: Notice, facts: &Facts, (now, wall): (Moment, &str)) {
        if self.early.len() >= WAITING_MAX {
            self.early.pop_front();
        }
        self.early.push_back((notice, wall.to_owned()));
        self.tell_early(facts, now);
    }

    /// Tells what was waiting for these facts.
    pub(crate) fn tell_early(&mut self, facts: &Facts, now: Moment) {
        let Some(known) = &facts.addresses else { return };
        for (notice, wall) in std::mem::take(&mut self.early) {
            self.done(notice, (facts, known), (now, &wall));
        }
    }

    fn done(
        &mut self,
        notice: Notice,
        (facts, known): (&Facts, &[AddressFact]),
        (now, wall): (Moment, &str),
    ) {
        let (address, reason, action) = notice.parts();
        let fact = known.iter().find(|fact| fact.record.address == address);
        let pod = fact.and_then(|fact| {
            let attachment = fact.record.attachment.as_ref()?;
            Some((&fact.record.member, attachment.pod.as_str()))
        });
        let about = match pod {
            // The pod of a release is gone, and what was adopted has none.
            Some((member, uid)) if has_pod(reason) => About::Pod {
                namespace: member.namespace().to_owned(),
                name: member.name().to_owned(),
                uid: uid.to_owned(),
            },
            Some(_) | None => About::StaticIp(address),
        };
        let event = Event {
            about,
            related: Some(address),
            reason: reason.name(),
            action,
            warns: reason.warns(),
            note: format!("{address} on {}: {}", facts.node, reason.meaning()),
            at: wall.to_owned(),
        };
        self.tell(event, now);
    }

    /// What began and what ended from one status to the next.
    pub(crate) fn changes(
        &mut self,
        old: &NodeAttachmentsStatus,
        new: &NodeAttachmentsStatus,
        (now, wall): (Moment, &str),
    ) {
        let mut all = addresses(&old.addresses, &new.addresses);
        all.extend(volumes(&old.volumes, &new.volumes));
        all.extend(checks(old, new));
        for event in all {
            self.tell(Event { at: wall.to_owned(), ..event }, now);
        }
    }
}

fn has_pod(reason: EventReason) -> bool {
    !matches!(reason, EventReason::AddressReleased | EventReason::AddressAdopted)
}

fn event(about: About, (reason, warns): (&'static str, bool), note: String) -> Event {
    let (related, at) = (None, String::new());
    Event { about, related, reason, action: "Observe", warns, note, at }
}

fn addresses(old: &[AddressStatus], new: &[AddressStatus]) -> Vec<Event> {
    let reason = |row: &AddressStatus| {
        row.problem.as_ref().and_then(|problem| AddressReason::named(&problem.reason))
    };
    let mut told = Vec::new();
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
                (EventReason::AddressRecovered, format!("{address}: {was} is over"))
            }
        };
        let about = pod(&row.member, &row.pod_uid).unwrap_or(About::StaticIp(address));
        let event = event(about, (reason.name(), reason.warns()), note);
        told.push(Event { related: Some(address), ..event });
    }
    told
}

fn pod(member: &str, uid: &str) -> Option<About> {
    let (namespace, name) = member.split_once('/')?;
    let (namespace, name, uid) = (namespace.to_owned(), name.to_owned(), uid.to_owned());
    Some(About::Pod { namespace, name, uid })
}

fn volumes(old: &[VolumeStatus], new: &[VolumeStatus]) -> Vec<Event> {
    let mut told = Vec::new();
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
            told.push(event(about.clone(), (reason.name(), true), note));
        }
        for problem in before.iter().filter(|problem| !has(&row.problems, problem)) {
            let reason = EventReason::VolumeRecovered;
            let note = format!("volume {}: {} is over", row.id, problem.reason);
            told.push(event(about.clone(), (reason.name(), reason.warns()), note));
        }
    }
    told
}

/// Checks of the node: every condition but the ones that are made of others.
fn checks(old: &NodeAttachmentsStatus, new: &NodeAttachmentsStatus) -> Vec<Event> {
    let summary = |kind: &str| matches!(kind, "Ready" | "AddressesReady" | "VolumesReady");
    let mut told = Vec::new();
    for check in new.conditions.iter().filter(|check| !summary(&check.kind)) {
        let before = old.conditions.iter().find(|before| before.kind == check.kind);
        let before = before.map_or("", |before| before.status.as_str());
        let reason = match (before, check.status.as_str()) {
            ("False", "True") => EventReason::PreflightPassed,
            (before, "False") if before != "False" => EventReason::PreflightFailed,
            _ => continue,
        };
        let note = format!("{}: {}: {}", check.kind, check.reason, check.message);
        told.push(event(About::Node, (reason.name(), reason.warns()), note));
    }
    told
}
