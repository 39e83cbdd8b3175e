//! The faults that are set, and whether they fire.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Fault, FaultError, FaultId, FaultSpec, FaultStatus, Selector};
use crate::chance::Chance;
use crate::ec2::matches_pattern;
use crate::world::micros;

/// The most faults at a time.
const MAX_FAULTS: usize = 1_000;

/// What a fault is matched with.
pub(crate) struct Moment<'a> {
    pub(crate) now: Duration,
    pub(crate) op: &'a str,
    pub(crate) caller: &'a str,
    /// Whether the call names a resource.
    pub(crate) names: &'a dyn Fn(&str) -> bool,
}

#[derive(Debug, Clone)]
struct Entry {
    spec: FaultSpec,
    set_at: Duration,
    matched: u64,
    fired: u64,
    last_problem: Option<String>,
}

/// All faults.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    chance: Chance,
    last: u64,
    entries: BTreeMap<u64, Entry>,
}

impl Book {
    pub(crate) fn new(chance: Chance) -> Self {
        Self { chance, last: 0, entries: BTreeMap::new() }
    }

    /// Sets a fault that makes sense.
    pub(crate) fn set(&mut self, now: Duration, spec: FaultSpec) -> Result<FaultId, FaultError> {
        super::check::check(&spec)?;
        if self.entries.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany(self.entries.len()));
        }
        self.last += 1;
        let entry = Entry { spec, set_at: now, matched: 0, fired: 0, last_problem: None };
        self.entries.insert(self.last, entry);
        Ok(FaultId(self.last))
    }

    /// Clears one or all.
    pub(crate) fn clear(&mut self, id: Option<FaultId>) -> Result<Vec<FaultStatus>, FaultError> {
        let statuses = self.list();
        match id {
            None => {
                self.entries.clear();
                Ok(statuses)
            }
            Some(id) if self.entries.remove(&id.0).is_some() => {
                Ok(statuses.into_iter().filter(|status| status.id == id).collect())
            }
            Some(id) => Err(FaultError::Unknown(id.0)),
        }
    }

    /// Everything that is set.
    pub(crate) fn list(&self) -> Vec<FaultStatus> {
        self.entries
            .iter()
            .map(|(id, entry)| FaultStatus {
                id: FaultId(*id),
                spec: entry.spec.clone(),
                set_at_us: micros(entry.set_at),
                matched: entry.matched,
                fired: entry.fired,
                last_problem: entry.last_problem.clone(),
            })
            .collect()
    }

    /// The faults of this kind that this call is to have, in the order in which they were set.
    /// Counts the matches; whoever lets a fault do something says so with [`Book::fired`].
    pub(crate) fn matching(
        &mut self,
        moment: &Moment<'_>,
        kind: impl Fn(&Fault) -> bool,
    ) -> Vec<(u64, Duration, Fault)> {
        let mut found = Vec::new();
        for (id, entry) in &mut self.entries {
            let spec = &entry.spec;
            if !kind(&spec.fault) || !selects(&spec.when, moment) || !is_about(spec, moment) {
                continue;
            }
            entry.matched += 1;
            let Selector { nth, count, probability, .. } = entry.spec.when;
            let turn = match (nth, count) {
                (Some(nth), None) => entry.matched == nth,
                (Some(nth), Some(_)) => entry.matched >= nth,
                (None, _) => true,
            };
            let left = count.is_none_or(|count| entry.fired < count);
            let drawn =
                probability.is_none_or(|p| self.chance.unit("fault", *id, entry.matched) < p);
            if turn && left && drawn {
                found.push((*id, entry.set_at, entry.spec.fault.clone()));
            }
        }
        found
    }

    /// A fault did something.
    pub(crate) fn fired(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.fired += 1;
        }
    }

    /// The actor of a background fault failed.
    pub(crate) fn failed(&mut self, id: u64, problem: String) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.last_problem = Some(problem);
        }
    }

    /// A fault that is still set, and within its time and count.
    pub(crate) fn live(&self, id: u64, now: Duration) -> Option<&Fault> {
        let entry = self.entries.get(&id)?;
        let when = &entry.spec.when;
        let left = when.count.is_none_or(|count| entry.fired < count);
        (left && in_time(when, now)).then_some(&entry.spec.fault)
    }

    /// The resource that a fault is about.
    pub(crate) fn resource(&self, id: u64) -> Option<String> {
        self.entries.get(&id)?.spec.when.resource.clone()
    }

    /// Whether a fault is set at all.
    pub(crate) fn is_set(&self, id: u64) -> bool {
        self.entries.contains_key(&id)
    }
}

fn in_time(when: &Selector, now: Duration) -> bool {
    let from = when.from_ms.is_none_or(|ms| now >= Duration::from_millis(ms));
    from && when.until_ms.is_none_or(|ms| now < Duration::from_millis(ms))
}

fn selects(when: &Selector, moment: &Moment<'_>) -> bool {
    in_time(when, moment.now)
        && when.op.as_deref().is_none_or(|op| matches_pattern(op, moment.op))
        && when.caller.as_deref().is_none_or(|caller| matches_pattern(caller, moment.caller))
}

/// What Describe leaves out need not be named in the request.
fn is_about(spec: &FaultSpec, moment: &Moment<'_>) -> bool {
    let resource = spec.when.resource.as_deref();
    matches!(spec.fault, Fault::DescribeOmits {})
        || resource.is_none_or(|resource| (moment.names)(resource))
}
