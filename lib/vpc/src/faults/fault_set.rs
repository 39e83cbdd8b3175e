//! The faults that are set, and which of them fire.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Fault, FaultError, FaultId, FaultSpec, FaultStatus, Selector};
use crate::ec2::matches_pattern;
use crate::rng::SeededRng;
use crate::simulator::micros;

/// The largest number of faults.
const MAX_FAULTS: usize = 1_000;

/// The call or event that faults are matched against.
pub(crate) struct FaultContext<'a> {
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

/// All faults that are set.
#[derive(Debug, Clone)]
pub(crate) struct FaultSet {
    rng: SeededRng,
    last: u64,
    entries: BTreeMap<u64, Entry>,
}

impl FaultSet {
    pub(crate) fn new(rng: SeededRng) -> Self {
        Self { rng, last: 0, entries: BTreeMap::new() }
    }

    /// Validates and sets a fault.
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

    /// Clears one fault or all.
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

    /// All faults that are set.
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

    /// The faults of this kind that apply to this call, in the order in which they were set. Counts
    /// the matches; the caller reports a fault that takes effect with [`FaultSet::fired`].
    pub(crate) fn matching(
        &mut self,
        context: &FaultContext<'_>,
        kind: impl Fn(&Fault) -> bool,
    ) -> Vec<(u64, Duration, Fault)> {
        let mut found = Vec::new();
        for (id, entry) in &mut self.entries {
            let spec = &entry.spec;
            if !kind(&spec.fault) || !selects(&spec.when, context) || !is_about(spec, context) {
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
            let drawn = probability.is_none_or(|p| self.rng.unit("fault", *id, entry.matched) < p);
            if turn && left && drawn {
                found.push((*id, entry.set_at, entry.spec.fault.clone()));
            }
        }
        found
    }

    /// Records that a fault took effect.
    pub(crate) fn fired(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.fired += 1;
        }
    }

    /// Records that the actor of a background fault failed.
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

    /// The resource of a fault.
    pub(crate) fn resource(&self, id: u64) -> Option<String> {
        self.entries.get(&id)?.spec.when.resource.clone()
    }

    /// Whether a fault is still set.
    pub(crate) fn is_set(&self, id: u64) -> bool {
        self.entries.contains_key(&id)
    }
}

fn in_time(when: &Selector, now: Duration) -> bool {
    let from = when.from_ms.is_none_or(|ms| now >= Duration::from_millis(ms));
    from && when.until_ms.is_none_or(|ms| now < Duration::from_millis(ms))
}

fn selects(when: &Selector, context: &FaultContext<'_>) -> bool {
    in_time(when, context.now)
        && when.op.as_deref().is_none_or(|op| matches_pattern(op, context.op))
        && when.caller.as_deref().is_none_or(|caller| matches_pattern(caller, context.caller))
}

/// What Describe omits need not be named in the request.
fn is_about(spec: &FaultSpec, context: &FaultContext<'_>) -> bool {
    let resource = spec.when.resource.as_deref();
    matches!(spec.fault, Fault::DescribeOmits {})
        || resource.is_none_or(|resource| (context.names)(resource))
}
