//! The command: the whole enumeration, or one run with its trace.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use crate::crash_injection::{self, CrashKind, Recovery};
use crate::names::Names;
use crate::progress;
use crate::trace::Trace;

use crate::crashes::catalogue::{self, Entry};
use crate::crashes::enumerate::{
    self, FROZEN, KILLED, POWERLESS, Plan, Progress, RECOVERIES, Tally,
};

/// Runs the command. Returns its output, and whether everything passed.
pub fn run(words: &[&str]) -> (String, bool) {
    match words {
        [] => all(1, &ALL),
        ["singles"] => all(1, &[]),
        ["seeds", count] => count.parse().map_or_else(|_| usage(), |count| all(count, &ALL)),
        [name, how, recovery, at @ ..] => replay(name, how, recovery, at),
        [_] | [_, _] => usage(),
    }
}

fn usage() -> (String, bool) {
    let text =
        "usage: firecamp-crashes [singles | seeds COUNT | SCENARIO HOW RECOVERY BOUNDARY...]";
    (text.to_owned(), false)
}

const ALL: [CrashKind; 3] = [KILLED, FROZEN, POWERLESS];

/// Every single crash, and every pair that begins with one of these, for this many seeds of each
/// scenario.
fn all(seeds: u64, doubles: &'static [CrashKind]) -> (String, bool) {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan { doubles, one_in: 1, jobs };
    let (mut text, mut good) = (String::new(), true);
    for variation in 0..seeds {
        let entries = catalogue::varied(variation);
        let started = SystemTime::now();
        let progress = Progress::default();
        let line = || so_far(variation, &progress);
        let tally = progress::shown(line, || enumerate::run(&entries, plan, &progress));
        let seconds = started.elapsed().unwrap_or_default().as_secs_f64();
        writeln!(text, "seed {variation}\n{}", report(&entries, &tally, seconds)).ok();
        good &= tally.violations().is_empty();
    }
    (text, good)
}

fn so_far(variation: u64, progress: &Progress) -> String {
    let all = progress.all.load(Ordering::Relaxed);
    let begun = progress.begun.load(Ordering::Relaxed).min(all);
    format!("seed {variation}: {begun} of {all} first crashes")
}

/// The results as text.
pub fn report(entries: &[Entry], tally: &Tally, seconds: f64) -> String {
    let mut text = String::new();
    for (number, entry) in entries.iter().enumerate() {
        let doubles: u64 = [KILLED, FROZEN, POWERLESS]
            .into_iter()
            .flat_map(|how| RECOVERIES.map(|recovery| (how, recovery)))
            .map(|(how, recovery)| enumerate::Row { entry: number, how, recovery })
            .map(|row| tally.count(row).doubles)
            .sum();
        let boundaries = tally.boundaries(number);
        writeln!(text, "{:<24} {boundaries:>5} boundaries, {doubles:>8} pairs", entry.name).ok();
    }
    let total = tally.total();
    for how in [KILLED, FROZEN, POWERLESS] {
        let (slowest, place) = (tally.slowest(how), tally.slowest_place(how));
        writeln!(text, "settled at the latest {slowest:?} after the last crash ({place})").ok();
    }
    for broken in tally.violations() {
        writeln!(text, "VIOLATION {}", broken.0).ok();
    }
    let (singles, doubles) = (total.singles, total.run);
    write!(text, "{singles} single crashes and {doubles} pairs in {seconds:.1} s").ok();
    text
}

fn replay(name: &str, how: &str, recovery: &str, at: &[&str]) -> (String, bool) {
    // SCENARIO, or SCENARIO@VARIATION.
    let (name, variation) = name.split_once('@').unwrap_or((name, "0"));
    let entries = catalogue::varied(variation.parse().unwrap_or_default());
    let entry = entries.iter().find(|entry| entry.name == name);
    let crash = [KILLED, FROZEN, POWERLESS].into_iter().find(|it| enumerate::how_name(*it) == how);
    let follows = RECOVERIES.into_iter().find(|it| enumerate::recovery_name(*it) == recovery);
    let at: Option<Vec<u32>> = at.iter().map(|word| word.parse().ok()).collect();
    let (Some(entry), Some(crash), Some(follows), Some(at)) = (entry, crash, follows, at) else {
        return ("unknown scenario, kind of crash, recovery or boundary".into(), false);
    };
    run_one(entry, crash, follows, &at)
}

fn run_one(entry: &Entry, how: CrashKind, recovery: Recovery, at: &[u32]) -> (String, bool) {
    let crash_plan = enumerate::crash_plan(entry, how, recovery, at);
    let (report, met) =
        crash_injection::play(&entry.scenario, &Names::new(), Trace::full(), crash_plan);
    let violation = report.violation.clone();
    let mut text = report.trace.lines().join("\n");
    for crash in &met.crashes {
        write!(text, "\ncrashed: {crash:?}").ok();
    }
    match &violation {
        Some(violation) => write!(text, "\nVIOLATION {violation}").ok(),
        None => write!(text, "\nsettled {:?} after the last crash", report.healing).ok(),
    };
    (text, violation.is_none())
}
