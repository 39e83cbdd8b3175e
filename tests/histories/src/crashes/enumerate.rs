//! Crashes at every single boundary and every pair of a scenario, on all cores. The results do not
//! depend on the number of threads.

mod tally;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub use crate::crash_injection::CrashKind;
use crate::crash_injection::{self, BoundaryReport, CrashPlan, Recovery};
use crate::names::Names;
use crate::trace::Trace;
use firecamp_core::time::Moment;

use crate::crashes::catalogue::Entry;

pub use tally::{Broken, Count, Row, Tally, how as how_name, recovery as recovery_name};

/// The recoveries.
pub const RECOVERIES: [Recovery; 3] = [Recovery::SamePod, Recovery::Elsewhere, Recovery::Nothing];

/// Longer than T, so that earlier authorisations have expired, and long enough for a successor to
/// take over, barrier included.
const FREEZE_TIME: Duration = Duration::from_secs(9);
/// A node boots within this time.
const BOOT: Duration = Duration::from_secs(4);

/// The first process is killed.
pub const KILLED: CrashKind = CrashKind::Kill;
/// The first process is frozen until its successor has taken over.
pub const FROZEN: CrashKind = CrashKind::Freeze(FREEZE_TIME);
/// The node of the first process loses its power.
pub const POWERLESS: CrashKind = CrashKind::Power(BOOT);

/// What to enumerate.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Kinds of first crash that are followed by a second crash at later boundaries.
    pub doubles: &'static [CrashKind],
    /// Runs one in this many pairs, so that each first boundary is followed by other second ones
    /// than its neighbours. All pairs are counted.
    pub one_in: u32,
    /// Number of threads.
    pub jobs: usize,
}

/// The progress of an enumeration, in first crashes.
#[derive(Debug, Default)]
pub struct Progress {
    /// First crashes that have been begun.
    pub begun: AtomicUsize,
    /// All of them, once they are counted.
    pub all: AtomicUsize,
}

/// One first crash, with all second crashes after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) entry: usize,
    pub(crate) how: CrashKind,
    pub(crate) recovery: Recovery,
    pub(crate) first: u32,
}

/// The crash plan of one run.
pub fn crash_plan(entry: &Entry, how: CrashKind, recovery: Recovery, at: &[u32]) -> CrashPlan {
    let from = Moment(Duration::from_millis(u64::from(entry.from_ms)));
    CrashPlan { from, at: at.to_vec(), how, recovery }
}

/// Runs the scenario without a crash.
fn boundaries(entry: &Entry, names: &Names) -> Result<u32, String> {
    let none = crash_plan(entry, KILLED, Recovery::SamePod, &[]);
    let (report, met) = crash_injection::play(&entry.scenario, names, Trace::Off, none);
    match report.violation {
        Some(violation) => Err(format!("{} without a crash: {violation}", entry.name)),
        None => Ok(met.boundaries),
    }
}

/// Every single crash.
pub(crate) fn units(entries: &[Entry], tally: &mut Tally) -> Vec<Unit> {
    let names = Names::new();
    let mut units = Vec::new();
    for (entry, it) in entries.iter().enumerate() {
        match boundaries(it, &names) {
            Ok(count) => {
                tally.counted(entry, count);
                for how in [KILLED, FROZEN, POWERLESS] {
                    for recovery in RECOVERIES {
                        let unit = |first| Unit { entry, how, recovery, first };
                        units.extend((0..count).map(unit));
                    }
                }
            }
            Err(why) => tally.broken(why),
        }
    }
    units
}

/// Enumerates all scenarios.
pub fn run(entries: &[Entry], plan: Plan, progress: &Progress) -> Tally {
    let mut all = Tally::new(entries);
    let units = units(entries, &mut all);
    progress.all.store(units.len(), Ordering::Relaxed);
    let total = Mutex::new(all);
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                let own = work(entries, plan, &units, &progress.begun);
                total.lock().expect("no worker panics").merge(own);
            });
        }
    });
    let mut all = total.into_inner().expect("no worker panics");
    all.sort();
    all
}

fn work(entries: &[Entry], plan: Plan, units: &[Unit], next: &AtomicUsize) -> Tally {
    let names = Names::new();
    let mut tally = Tally::new(entries);
    loop {
        let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) else { return tally };
        let Some(entry) = entries.get(unit.entry) else { return tally };
        let met = one(entry, *unit, &[unit.first], &names, &mut tally);
        let row = Row { entry: unit.entry, how: unit.how, recovery: unit.recovery };
        tally.follows(row, met.boundaries);
        if plan.doubles.contains(&unit.how) {
            let chosen = |second: &u32| second % plan.one_in == unit.first % plan.one_in;
            for second in (0..met.boundaries).filter(chosen) {
                one(entry, *unit, &[unit.first, second], &names, &mut tally);
            }
        }
    }
}

fn one(entry: &Entry, unit: Unit, at: &[u32], names: &Names, tally: &mut Tally) -> BoundaryReport {
    let chosen = crash_plan(entry, unit.how, unit.recovery, at);
    let (report, met) = crash_injection::play(&entry.scenario, names, Trace::Off, chosen);
    let row = Row { entry: unit.entry, how: unit.how, recovery: unit.recovery };
    if met.crashes.len() != at.len() {
        tally.broken(format!("{} {:?}: it never reached boundary {at:?}", entry.name, unit.how));
    }
    tally.add(row, at, &met, &report);
    met
}
