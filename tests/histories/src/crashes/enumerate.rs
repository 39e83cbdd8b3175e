//! Every single boundary and every pair of a scenario, on all cores. What comes out does not
//! depend on how many there are.

mod tally;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::names::Names;
pub use crate::strike::How;
use crate::strike::{self, Met, Recovery, Strikes};
use crate::trace::Trace;
use firecamp_core::time::Moment;

use crate::crashes::catalogue::Entry;

pub use tally::{Broken, Count, Row, Tally, how as how_name, recovery as recovery_name};

/// The recoveries.
pub const RECOVERIES: [Recovery; 3] = [Recovery::SamePod, Recovery::Elsewhere, Recovery::Nothing];

/// Longer than T, so that what was authorised before is too old; and long enough for a successor
/// to take over, barrier included.
const FROZEN: Duration = Duration::from_secs(9);
/// A node boots within that.
const BOOT: Duration = Duration::from_secs(4);

/// How the first one crashes.
pub const KILLED: How = How::Kill;
/// The first process stands still until its recovery has taken over.
pub const STILL: How = How::Freeze(FROZEN);
/// The first process's node loses its power.
pub const POWERLESS: How = How::Power(BOOT);

/// What is enumerated.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Also a second crash at each boundary after the first, for these first ones.
    pub doubles: &'static [How],
    /// Threads.
    pub jobs: usize,
}

/// One crash, with everything that may crash after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) entry: usize,
    pub(crate) how: How,
    pub(crate) recovery: Recovery,
    pub(crate) first: u32,
}

/// How one run is told to crash.
pub fn strikes(entry: &Entry, how: How, recovery: Recovery, at: &[u32]) -> Strikes {
    let from = Moment(Duration::from_millis(u64::from(entry.from_ms)));
    Strikes { from, at: at.to_vec(), how, recovery }
}

/// Runs the scenario without a crash.
fn boundaries(entry: &Entry, names: &Names) -> Result<u32, String> {
    let none = strikes(entry, KILLED, Recovery::SamePod, &[]);
    let (report, met) = strike::play(&entry.scenario, names, Trace::Off, none);
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
                for how in [KILLED, STILL, POWERLESS] {
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

/// Enumerates all entries.
pub fn run(entries: &[Entry], plan: Plan) -> Tally {
    let mut all = Tally::new(entries);
    let units = units(entries, &mut all);
    let next = AtomicUsize::new(0);
    let total = Mutex::new(all);
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                let own = work(entries, plan, &units, &next);
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
            for second in 0..met.boundaries {
                one(entry, *unit, &[unit.first, second], &names, &mut tally);
            }
        }
    }
}

fn one(entry: &Entry, unit: Unit, at: &[u32], names: &Names, tally: &mut Tally) -> Met {
    let chosen = strikes(entry, unit.how, unit.recovery, at);
    let (report, met) = strike::play(&entry.scenario, names, Trace::Off, chosen);
    let row = Row { entry: unit.entry, how: unit.how, recovery: unit.recovery };
    if met.struck.len() != at.len() {
        tally.broken(format!("{} {:?}: it never came to boundary {at:?}", entry.name, unit.how));
    }
    tally.add(row, at, &met, &report);
    met
}
