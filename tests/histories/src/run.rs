//! Runs many histories, on all cores. The results do not depend on the number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::audit::Violation;
use crate::coverage::Coverage;
use crate::history::{Play, Report};
use crate::names::Names;
use crate::scenario::Scenario;
use crate::trace::Trace;

/// Which histories to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The level.
    pub play: Play,
    /// The first seed.
    pub first: u64,
    /// The number of consecutive seeds.
    pub count: u64,
    /// The number of threads.
    pub jobs: usize,
    /// One history in this many runs twice, and both runs must be identical; 0: none.
    pub twice: u64,
    /// Stop after this many violations.
    pub enough: usize,
}

/// Histogram bins of the number of steps: powers of two.
const BINS: usize = 16;

/// A history that violated an invariant.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its seed.
    pub seed: u64,
    /// The violation.
    pub violation: Violation,
}

/// The results of many histories.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The number of histories.
    pub histories: u64,
    /// The number of histories that ran twice.
    pub twice: u64,
    /// Their coverage.
    pub coverage: Coverage,
    /// The smallest number of steps, and its seed.
    pub shortest: (u64, u64),
    /// The largest number of steps.
    pub longest: u64,
    lengths: [u64; BINS],
    /// The longest healing, and its seed.
    pub slowest: (Duration, u64),
    /// The total virtual time.
    pub virtual_time: Duration,
    /// The violations, ordered by seed.
    pub found: Vec<Found>,
    /// Seeds whose two runs differed.
    pub diverged: Vec<u64>,
}

/// A history with fewer steps is considered empty.
pub const MIN_STEPS: u64 = 60;

/// The number of histories that a thread takes at once.
const CHUNK: u64 = 64;

/// The progress of a run.
#[derive(Debug, Default)]
pub struct Progress {
    /// Histories that have ended.
    pub done: AtomicU64,
    /// Violations so far.
    pub found: AtomicU64,
    /// The last seed with a violation.
    pub last: AtomicU64,
    stop: AtomicBool,
}

/// Runs them.
pub fn run(plan: &Plan, progress: &Progress) -> Summary {
    let next = AtomicU64::new(0);
    let all = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                let own = work(plan, &next, progress);
                all.lock().expect("no worker panics").merge(own);
            });
        }
    });
    let mut summary = all.into_inner().expect("no worker panics");
    summary.found.sort_by_key(|found| found.seed);
    summary.diverged.sort_unstable();
    summary
}

fn work(plan: &Plan, next: &AtomicU64, progress: &Progress) -> Summary {
    let names = Names::new();
    let mut summary = Summary::default();
    loop {
        let begin = next.fetch_add(CHUNK, Ordering::Relaxed);
        if begin >= plan.count || progress.stop.load(Ordering::Relaxed) {
            return summary;
        }
        let end = plan.count.min(begin.saturating_add(CHUNK));
        for number in begin..end {
            let seed = plan.first.wrapping_add(number);
            if one(plan, seed, &names, &mut summary) {
                progress.last.store(seed, Ordering::Relaxed);
                let found = progress.found.fetch_add(1, Ordering::Relaxed) + 1;
                if usize::try_from(found).unwrap_or(usize::MAX) >= plan.enough {
                    progress.stop.store(true, Ordering::Relaxed);
                }
            }
        }
        progress.done.fetch_add(end - begin, Ordering::Relaxed);
    }
}

/// Runs one history. True if it violated an invariant.
fn one(plan: &Plan, seed: u64, names: &Names, summary: &mut Summary) -> bool {
    let scenario = Scenario::draw(seed);
    let twice = plan.twice > 0 && seed.is_multiple_of(plan.twice);
    let trace = if twice { Trace::hash() } else { Trace::Off };
    let report = (plan.play)(&scenario, names, trace);
    if twice {
        summary.twice += 1;
        let again = (plan.play)(&scenario, names, Trace::hash());
        let same = again.trace.value() == report.trace.value()
            && again.coverage == report.coverage
            && again.length == report.length;
        if !same {
            summary.diverged.push(seed);
        }
    }
    let broken = report.violation.is_some();
    summary.add(seed, report);
    broken
}

impl Summary {
    fn add(&mut self, seed: u64, report: Report) {
        self.histories += 1;
        let steps = report.coverage.steps;
        let first = self.histories == 1;
        let own = (steps, seed);
        self.shortest = if first { own } else { self.shortest.min(own) };
        self.longest = self.longest.max(steps);
        let bin = usize::try_from(steps.max(1).ilog2()).unwrap_or_default();
        self.lengths[bin.min(BINS - 1)] += 1;
        self.slowest = self.slowest.max((report.healing, seed));
        self.virtual_time = self.virtual_time.saturating_add(report.length);
        self.coverage.merge(&report.coverage);
        if let Some(violation) = report.violation {
            self.found.push(Found { seed, violation });
        }
    }

    fn merge(&mut self, other: Self) {
        let both = self.histories > 0 && other.histories > 0;
        let least = self.shortest.min(other.shortest);
        let most = self.shortest.max(other.shortest);
        self.shortest = if both { least } else { most };
        self.histories += other.histories;
        self.twice += other.twice;
        self.longest = self.longest.max(other.longest);
        self.slowest = self.slowest.max(other.slowest);
        self.virtual_time = self.virtual_time.saturating_add(other.virtual_time);
        self.coverage.merge(&other.coverage);
        for (to, from) in self.lengths.iter_mut().zip(other.lengths) {
            *to += from;
        }
        self.found.extend(other.found);
        self.diverged.extend(other.diverged);
    }

    /// The counters that a run of this size must reach and that are below `floor` in a million
    /// histories.
    pub fn unmet(&self, floor: u64) -> Vec<String> {
        let least = (self.histories.saturating_mul(floor) / 1_000_000).max(1);
        let unmet = self.coverage.counts().into_iter().filter(|(_, count)| *count < least);
        unmet.map(|(name, count)| format!("{name}: {count}, at least {least} required")).collect()
    }

    /// The distribution of the number of steps: lower bound, histories.
    pub fn lengths(&self) -> Vec<(u64, u64)> {
        let bins = self.lengths.iter().enumerate().filter(|(_, count)| **count > 0);
        bins.map(|(power, count)| (1_u64 << power, *count)).collect()
    }

    /// The summary as JSON.
    pub fn to_json(&self, plan: &Plan, took: Duration) -> serde_json::Value {
        serde_json::to_value(Json {
            first_seed: plan.first,
            histories: self.histories,
            twice: self.twice,
            seconds: took.as_secs_f64(),
            steps: self.coverage.steps,
            shortest: self.shortest.0,
            longest: self.longest,
            slowest_healing_seconds: self.slowest.0.as_secs_f64(),
            virtual_hours: self.virtual_time.as_secs() / 3_600,
            lengths: self.lengths(),
            counts: self.coverage.counts(),
            violations: self.found.iter().map(|f| (f.seed, f.violation.to_string())).collect(),
            diverged: self.diverged.clone(),
        })
        .unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Json {
    first_seed: u64,
    histories: u64,
    twice: u64,
    seconds: f64,
    steps: u64,
    shortest: u64,
    longest: u64,
    slowest_healing_seconds: f64,
    virtual_hours: u64,
    lengths: Vec<(u64, u64)>,
    counts: Vec<(String, u64)>,
    violations: Vec<(u64, String)>,
    diverged: Vec<u64>,
}
