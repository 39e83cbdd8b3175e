//! Runs many histories, on all cores. The results do not depend on the number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::volumes::audit::Violation;
use crate::volumes::coverage::Coverage;
use crate::volumes::history::{Report, run as play};
use crate::volumes::scenario::Scenario;
use crate::volumes::simulated_node::Names;

/// Which histories to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
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

/// The number of histories that a thread takes at once.
const CHUNK: u64 = 16;

/// The results of many histories.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The number of histories.
    pub histories: u64,
    /// The number of histories that ran twice.
    pub twice: u64,
    /// Their coverage.
    pub coverage: Coverage,
    /// Seeds with a violation.
    pub found: Vec<(u64, Violation)>,
    /// Seeds whose two runs differed.
    pub diverged: Vec<u64>,
}

/// The progress of a run.
#[derive(Debug, Default)]
pub struct Progress {
    /// Histories that have ended.
    pub done: AtomicU64,
    found: AtomicU64,
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
    summary.found.sort_by_key(|(seed, _)| *seed);
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
        let end = plan.count.min(begin + CHUNK);
        for number in begin..end {
            let seed = plan.first.wrapping_add(number);
            if summary.one(plan, seed, &names) {
                let found = progress.found.fetch_add(1, Ordering::Relaxed) + 1;
                if usize::try_from(found).unwrap_or(usize::MAX) >= plan.enough {
                    progress.stop.store(true, Ordering::Relaxed);
                }
            }
        }
        progress.done.fetch_add(end - begin, Ordering::Relaxed);
    }
}

impl Summary {
    /// Runs one history. True if it violated an invariant.
    fn one(&mut self, plan: &Plan, seed: u64, names: &Names) -> bool {
        let scenario = Scenario::draw(seed);
        let report = play(&scenario, names, false);
        if plan.twice > 0 && seed.is_multiple_of(plan.twice) {
            self.twice += 1;
            let again = play(&scenario, names, false);
            if again.hash != report.hash || again.coverage != report.coverage {
                self.diverged.push(seed);
            }
        }
        self.add(seed, report)
    }

    fn add(&mut self, seed: u64, report: Report) -> bool {
        self.histories += 1;
        self.coverage.merge(&report.coverage);
        let broken = report.violation.is_some();
        self.found.extend(report.violation.map(|violation| (seed, violation)));
        broken
    }

    fn merge(&mut self, other: Self) {
        self.histories += other.histories;
        self.twice += other.twice;
        self.coverage.merge(&other.coverage);
        self.found.extend(other.found);
        self.diverged.extend(other.diverged);
    }

    /// The counters that a run must reach and that are below `least`.
    pub fn unmet(&self, least: u64) -> Vec<String> {
        let unmet = self.coverage.counts().into_iter().filter(|(_, count)| *count < least);
        unmet.map(|(name, count)| format!("{name}: {count}, at least {least} required")).collect()
    }
}
