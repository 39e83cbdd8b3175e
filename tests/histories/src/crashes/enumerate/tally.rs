//! The results of an enumeration.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::step::{AttachStep, FreeStep, Step};

use crate::crash_injection::{BoundaryReport, Crash, CrashKind, Position, Recovery};
use crate::history::Report;

use crate::crashes::catalogue::Entry;

/// One kind of crash in one scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The index of the scenario.
    pub entry: usize,
    /// How the first process crashed.
    pub how: CrashKind,
    /// The recovery.
    pub recovery: Recovery,
}

/// The number of runs of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Runs with one crash.
    pub singles: u64,
    /// Pairs of boundaries: second boundaries that single crashes met.
    pub doubles: u64,
    /// Runs with two crashes.
    pub run: u64,
}

/// A run that violated an invariant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken(pub String);

/// The results.
#[derive(Debug, Clone)]
pub struct Tally {
    names: Vec<&'static str>,
    boundaries: Vec<u32>,
    rows: BTreeMap<Row, Count>,
    /// Single kills by the boundary that was crossed last.
    named: BTreeMap<(Step, Recovery), u64>,
    /// Single kills by position.
    positions: BTreeMap<Position, u64>,
    /// For each kind of crash: the longest time from the last crash until everything settled, and
    /// the run.
    slowest: BTreeMap<CrashKind, (Duration, String)>,
    broken: Vec<Broken>,
}

/// The most violations that are kept.
const KEPT: usize = 20;

impl Tally {
    /// Empty results.
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

    /// This many boundaries follow a single crash, each a possible second one.
    pub(super) fn follows(&mut self, row: Row, boundaries: u32) {
        self.rows.entry(row).or_default().doubles += u64::from(boundaries);
    }

    pub(super) fn add(&mut self, row: Row, at: &[u32], met: &BoundaryReport, report: &Report) {
        let count = self.rows.entry(row).or_default();
        if at.len() == 1 {
            count.singles += 1;
        } else {
            count.run += 1;
        }
        if let ([crash], CrashKind::Kill) = (met.crashes.as_slice(), row.how) {
            *self.positions.entry(crash.position).or_default() += 1;
            if let Some(step) = named(crash) {
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
            // Ties are broken by name, so that the thread order does not matter.
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

    /// The number of boundaries of a scenario without a crash.
    pub fn boundaries(&self, entry: usize) -> u32 {
        self.boundaries.get(entry).copied().unwrap_or_default()
    }

    /// The runs of a row.
    pub fn count(&self, row: Row) -> Count {
        self.rows.get(&row).copied().unwrap_or_default()
    }

    /// All runs.
    pub fn total(&self) -> Count {
        let mut total = Count::default();
        for count in self.rows.values() {
            total.singles += count.singles;
            total.doubles += count.doubles;
            total.run += count.run;
        }
        total
    }

    /// The number of single kills after a boundary.
    pub fn named(&self, step: Step, recovery: Recovery) -> u64 {
        self.named.get(&(step, recovery)).copied().unwrap_or_default()
    }

    /// The number of single kills at a position.
    pub fn at(&self, position: Position) -> u64 {
        self.positions.get(&position).copied().unwrap_or_default()
    }

    /// The longest time from the last crash, or from the end of all faults, until everything
    /// settled.
    pub fn slowest(&self, how: CrashKind) -> Duration {
        self.slowest.get(&how).map_or(Duration::ZERO, |(time, _)| *time)
    }

    /// The run that took longest.
    pub fn slowest_place(&self, how: CrashKind) -> &str {
        self.slowest.get(&how).map_or("", |(_, place)| place)
    }

    /// The violations.
    pub fn violations(&self) -> &[Broken] {
        &self.broken
    }
}

/// The name of a boundary: the step that was crossed last. A sent EC2 mutation is a step of its
/// own.
fn named(crash: &Crash) -> Option<Step> {
    let unanswered = crash.mutates && crash.position != Position::Before;
    match crash.step {
        Some(Step::Attach(_)) if unanswered => Some(Step::Attach(AttachStep::AssignSent)),
        Some(Step::Free(_)) if unanswered => Some(Step::Free(FreeStep::UnassignSent)),
        step => step,
    }
}

/// A kind of crash, as an argument.
pub fn how(how: CrashKind) -> &'static str {
    match how {
        CrashKind::Kill => "killed",
        CrashKind::Freeze(_) => "frozen",
        CrashKind::Power(_) => "powerless",
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
