//! What came out of an enumeration.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::Report;
use crate::strike::{How, Met, Position, Recovery, Struck};
use firecamp_core::action::Step;

use crate::crashes::catalogue::Entry;

/// One kind of crash in one scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The scenario.
    pub entry: usize,
    /// How the first process crashed.
    pub how: How,
    /// What followed.
    pub recovery: Recovery,
}

/// What was run of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Runs with one crash.
    pub singles: u64,
    /// Pairs of boundaries: second ones that single crashes met.
    pub doubles: u64,
    /// Runs with two crashes.
    pub run: u64,
}

/// A run that broke a promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken(pub String);

/// What came out.
#[derive(Debug, Clone)]
pub struct Tally {
    names: Vec<&'static str>,
    boundaries: Vec<u32>,
    rows: BTreeMap<Row, Count>,
    /// Single kills by the boundary that was crossed last.
    named: BTreeMap<(Step, Recovery), u64>,
    /// By position.
    positions: BTreeMap<Position, u64>,
    /// The longest time from the last crash until all was well, and where; by how.
    slowest: BTreeMap<How, (Duration, String)>,
    broken: Vec<Broken>,
}

/// The most violations that are kept: the first ones say enough.
const KEPT: usize = 20;

impl Tally {
    /// Nothing has been run yet.
    pub fn new(entries: &[Entry]) -> Self {
        Self {
            names: entries.iter().map(|entry| entry.name).collect(),
            boundaries: vec![0; entries.len()],
            rows: BTreeMap::new(),
            named: BTreeMap::new(),
            positions: BTreeMap::new(),
            slowest: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    pub(super) fn counted(&mut self, entry: usize, count: u32) {
        if let Some(own) = self.boundaries.get_mut(entry) {
            *own = count;
        }
    }

    pub(super) fn broken(&mut self, why: String) {
        if self.broken.len() < KEPT {
            self.broken.push(Broken(why));
        }
    }

    /// So many boundaries come after a single crash, and may be the second one.
    pub(super) fn follows(&mut self, row: Row, boundaries: u32) {
        self.rows.entry(row).or_default().doubles += u64::from(boundaries);
    }

    pub(super) fn add(&mut self, row: Row, at: &[u32], met: &Met, report: &Report) {
        let count = self.rows.entry(row).or_default();
        if at.len() == 1 {
            count.singles += 1;
        } else {
            count.run += 1;
        }
        if let ([struck], How::Kill) = (met.struck.as_slice(), row.how) {
            *self.positions.entry(struck.position).or_default() += 1;
            if let Some(step) = named(struck) {
                *self.named.entry((step, row.recovery)).or_default() += 1;
            }
        }
        let place = || self.place(row, at);
        if let Some(violation) = &report.violation {
            let text = format!("{}: {violation}", place());
            self.broken(text);
        }
        let slowest = self.slowest.get(&row.how).map_or(Duration::ZERO, |(time, _)| *time);
        if report.healing > slowest {
            let place = self.place(row, at);
            self.slowest.insert(row.how, (report.healing, place));
        }
    }

    /// The arguments that replay a run.
    fn place(&self, row: Row, at: &[u32]) -> String {
        let name = self.names.get(row.entry).copied().unwrap_or_default();
        let numbers: Vec<String> = at.iter().map(u32::to_string).collect();
        format!("{name} {} {} {}", how(row.how), recovery(row.recovery), numbers.join(" "))
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (row, count) in other.rows {
            let own = self.rows.entry(row).or_default();
            own.singles += count.singles;
            own.doubles += count.doubles;
            own.run += count.run;
        }
        for (key, count) in other.named {
            *self.named.entry(key).or_default() += count;
        }
        for (key, count) in other.positions {
            *self.positions.entry(key).or_default() += count;
        }
        for (how, theirs) in other.slowest {
            let own = self.slowest.entry(how).or_default();
            // The same time twice: the first by name, whoever came first.
            if theirs.0 > own.0 || (theirs.0 == own.0 && theirs.1 < own.1) {
                *own = theirs;
            }
        }
        self.broken.extend(other.broken);
    }

    pub(super) fn sort(&mut self) {
        self.broken.sort();
        self.broken.truncate(KEPT);
    }

    /// The boundaries of a scenario without a crash.
    pub fn boundaries(&self, entry: usize) -> u32 {
        self.boundaries.get(entry).copied().unwrap_or_default()
    }

    /// What was run of a row.
    pub fn count(&self, row: Row) -> Count {
        self.rows.get(&row).copied().unwrap_or_default()
    }

    /// Everything.
    pub fn total(&self) -> Count {
        let mut total = Count::default();
        for count in self.rows.values() {
            total.singles += count.singles;
            total.doubles += count.doubles;
            total.run += count.run;
        }
        total
    }

    /// How many single kills came after a boundary.
    pub fn named(&self, step: Step, recovery: Recovery) -> u64 {
        self.named.get(&(step, recovery)).copied().unwrap_or_default()
    }

    /// How many single kills were at a position.
    pub fn at(&self, position: Position) -> u64 {
        self.positions.get(&position).copied().unwrap_or_default()
    }

    /// The longest time from the last crash, or from when faults ended, until all was well.
    pub fn slowest(&self, how: How) -> Duration {
        self.slowest.get(&how).map_or(Duration::ZERO, |(time, _)| *time)
    }

    /// The same, with its place.
    pub fn slowest_place(&self, how: How) -> &str {
        self.slowest.get(&how).map_or("", |(_, place)| place)
    }

    /// What broke a promise.
    pub fn violations(&self) -> &[Broken] {
        &self.broken
    }
}

/// The name of a boundary: the step that was crossed last; but that a mutation of EC2 is sent is a
/// step of its own.
fn named(struck: &Struck) -> Option<Step> {
    let unheard = struck.mutates && struck.position != Position::Before;
    match struck.step {
        Some(Step::Attach(_)) if unheard => Some(Step::Attach(8)),
        Some(Step::Free(_)) if unheard => Some(Step::Free(3)),
        step => step,
    }
}

/// How a process crashes, as an argument.
pub fn how(how: How) -> &'static str {
    match how {
        How::Kill => "killed",
        How::Freeze(_) => "frozen",
        How::Power(_) => "powerless",
    }
}

/// A recovery, as an argument.
pub fn recovery(recovery: Recovery) -> &'static str {
    match recovery {
        Recovery::SamePod => "same-pod",
        Recovery::Elsewhere => "elsewhere",
        Recovery::Nothing => "nothing",
    }
}
