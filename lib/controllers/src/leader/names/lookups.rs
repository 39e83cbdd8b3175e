//! Which names are looked up in DNS, and when.
//!
//! A resolver remembers for minutes that a name does not exist. So a name is looked up only once
//! ExternalDNS has read its record and had time to write it: a look-up must not hide a record that
//! is about to appear.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::time::Moment;

use super::objects::{LookupAnswer, NamespacedName, ObservedRecords};
use crate::leader::view::View;

/// How long after ExternalDNS has read a record its name may be looked up.
const SETTLED: Duration = Duration::from_mins(1);
/// How long ExternalDNS may take to read a record: its default interval is one minute.
const PROCESSED_WITHIN: Duration = Duration::from_mins(3);
/// The pause between two look-ups: a resolver of a VPC answers 1,024 requests a second.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause after a look-up without an answer.
const FAILED_PAUSE: Duration = Duration::from_secs(10);
/// How often each name is looked up, unless there are too many.
const ROUND: Duration = Duration::from_mins(1);

/// How far ExternalDNS is with the records of a Service.
#[derive(Debug, Clone, Copy)]
struct Progress {
    generation: u64,
    is_processed: bool,
    since: Moment,
}

/// The look-ups of a term.
#[derive(Debug)]
pub(super) struct Lookups {
    progress: BTreeMap<NamespacedName, Progress>,
    /// The last name that was looked up.
    last: Option<(NamespacedName, String)>,
    /// The record of the name whose look-up runs.
    running: Option<Ipv4Addr>,
    round_began: Moment,
    next: Moment,
    /// Services whose names were all looked up in this term.
    judged: BTreeSet<NamespacedName>,
    /// The names with another answer than their record.
    deviations: BTreeMap<NamespacedName, BTreeMap<String, LookupAnswer>>,
}

impl Lookups {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            progress: BTreeMap::new(),
            last: None,
            running: None,
            round_began: now,
            next: now.plus(ROUND),
            judged: BTreeSet::new(),
            deviations: BTreeMap::new(),
        }
    }

    /// Observes the records of a Service. When its condition may change by itself, if it may.
    pub(super) fn observe(
        &mut self,
        service: &NamespacedName,
        records: Option<&ObservedRecords>,
        now: Moment,
    ) -> Option<Moment> {
        let Some(records) = records else {
            self.progress.remove(service);
            self.deviations.remove(service);
            self.judged.remove(service);
            return None;
        };
        let generation = records.generation;
        let is_processed = records.processed >= generation;
        let now_known = Progress { generation, is_processed, since: now };
        let known = self.progress.entry(service.clone()).or_insert(now_known);
        if (known.generation, known.is_processed) != (generation, is_processed) {
            *known = now_known;
        }
        let due = known.since.plus(PROCESSED_WITHIN);
        if let Some(of_service) = self.deviations.get_mut(service) {
            of_service.retain(|name, _| records.records.contains_key(name));
        }
        (!is_processed).then_some(due)
    }

    /// Whether ExternalDNS has not read the records for a long time.
    pub(super) fn is_late(&self, service: &NamespacedName, now: Moment) -> bool {
        self.progress.get(service).is_some_and(|progress| {
            !progress.is_processed && now.since(progress.since) >= PROCESSED_WITHIN
        })
    }

    /// The names whose last answer differs from their record.
    pub(super) fn deviations(&self, service: &NamespacedName) -> Vec<(String, LookupAnswer)> {
        let of_service = self.deviations.get(service).into_iter().flatten();
        of_service.map(|(name, answer)| (name.clone(), answer.clone())).collect()
    }

    /// Whether all names of the Service were looked up in this term.
    pub(super) fn has_judged(&self, service: &NamespacedName) -> bool {
        self.judged.contains(service)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// When the next look-up is due; none while one runs.
    pub(super) fn due(&self) -> Option<Moment> {
        (!self.is_running()).then_some(self.next)
    }

    /// No look-up before this time.
    pub(super) fn wait_until(&mut self, at: Moment) {
        self.next = self.next.max(at);
    }

    /// The name to look up now.
    pub(super) fn next(&mut self, view: &View, now: Moment) -> Option<String> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let (found, running) = self.following(view, now).unzip();
        self.running = running;
        self.next = now.plus(PAUSE);
        if found.is_none() {
            self.next = self.next.max(self.round_began.plus(ROUND));
            self.round_began = self.next;
        }
        let service = |of: &Option<(NamespacedName, String)>| of.as_ref().map(|it| it.0.clone());
        if service(&self.last) != service(&found) {
            self.judged.extend(service(&self.last));
        }
        self.last.clone_from(&found);
        found.map(|(_, name)| name)
    }

    /// The next name, its Service, and its record.
    fn following(&self, view: &View, now: Moment) -> Option<((NamespacedName, String), Ipv4Addr)> {
        let from = self.last.as_ref().map(|(service, _)| service.clone());
        let rest = view.records.range(from.unwrap_or_else(|| NamespacedName::new("", ""))..);
        for (service, records) in rest {
            let settled = self.progress.get(service).is_some_and(|progress| {
                progress.is_processed && now.since(progress.since) >= SETTLED
            });
            let Some(records) = records.as_ref().filter(|_| settled) else { continue };
            let after = self.last.as_ref().filter(|(last, _)| last == service);
            let mut names = records.records.iter();
            let name = names.find(|(name, _)| after.is_none_or(|(_, last)| *name > last));
            if let Some((name, record)) = name {
                return Some(((service.clone(), name.clone()), *record));
            }
        }
        None
    }

    /// Records the answer of the look-up that ran, if there is one. The Service whose condition may
    /// have changed.
    pub(super) fn answered(
        &mut self,
        view: &View,
        answer: Option<LookupAnswer>,
        now: Moment,
    ) -> Option<NamespacedName> {
        let (asked, answer) = (self.running.take()?, answer?);
        if let LookupAnswer::Failed(_) = answer {
            self.next = now.plus(FAILED_PAUSE);
        }
        let (service, name) = self.last.as_ref()?;
        let records = &view.records.get(service)?.as_ref()?.records;
        // An answer says nothing about a record that changed since.
        let expected = records.get(name).filter(|expected| **expected == asked)?;
        let is_right = matches!(&answer, LookupAnswer::Addresses(all)
            if all.len() == 1 && all.contains(expected));
        let of_service = self.deviations.entry(service.clone()).or_default();
        let changed = if is_right {
            of_service.remove(name).is_some()
        } else {
            of_service.insert(name.clone(), answer.clone()) != Some(answer)
        };
        changed.then(|| service.clone())
    }
}
