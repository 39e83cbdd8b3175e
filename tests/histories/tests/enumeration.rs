//! Everything crashes everywhere.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use firecamp_histories::crashes::catalogue::{self, Entry};
use firecamp_histories::crashes::cli::report;
use firecamp_histories::crashes::enumerate::{
    self, KILLED, POWERLESS, Plan, RECOVERIES, STILL, Tally,
};
use firecamp_histories::crashes::page::{self, NAMED, PAIRS, Shown};
use firecamp_histories::names::Names;
use firecamp_histories::strike::{self, Recovery};
use firecamp_histories::trace::Trace;

/// All is well again within that, whatever crashed.
const RECOVERED_WITHIN: Duration = Duration::from_mins(1);

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(catalogue::all);

/// Every single crash, and every pair that begins with a kill.
static ALL: LazyLock<Tally> = LazyLock::new(|| {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    enumerate::run(&ENTRIES, Plan { doubles: &[KILLED], jobs })
});

#[test]
fn every_single_crash_and_every_pair_is_recovered_from() {
    let text = report(&ENTRIES, &ALL, 0.0);
    assert!(ALL.violations().is_empty(), "{text}");
    let total = ALL.total();
    assert!(ENTRIES.len() >= 40, "{} scenarios", ENTRIES.len());
    assert!(total.singles > 30_000 && total.run > 400_000, "{total:?}");
    for how in [KILLED, STILL, POWERLESS] {
        assert!(ALL.slowest(how) <= RECOVERED_WITHIN, "{text}");
    }
}

#[test]
fn every_named_crash_point_is_met_with_each_recovery() {
    for named in NAMED {
        if let Shown::Enumerated(step) = named.shown {
            for recovery in RECOVERIES {
                assert!(ALL.named(step, recovery) > 0, "{} {recovery:?}", named.name);
            }
        }
    }
}

#[test]
fn every_pair_names_scenarios_that_there_are() {
    for pair in PAIRS {
        let unknown =
            pair.scenarios.iter().find(|name| !ENTRIES.iter().any(|entry| entry.name == **name));
        assert_eq!(unknown, None, "{}", pair.name);
        let shown_elsewhere = pair.also.contains("`firecamp-") || pair.also.contains("open");
        assert!(!pair.scenarios.is_empty() || shown_elsewhere, "{}", pair.name);
    }
}

#[test]
fn the_page_is_what_the_enumeration_met() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/crash-points.md");
    let page = page::page(&ENTRIES, &ALL);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "run `make bless`: docs/crash-points.md is not what was met");
}

#[test]
fn a_run_with_two_crashes_is_the_same_each_time_and_crashes_twice() {
    let names = Names::new();
    let entry = ENTRIES.iter().find(|entry| entry.name == "move").unwrap();
    let play = || {
        let strikes = enumerate::strikes(entry, STILL, Recovery::Elsewhere, &[20, 9]);
        strike::play(&entry.scenario, &names, Trace::full(), strikes)
    };
    let ((first, met), (again, met_again)) = (play(), play());
    assert_eq!(met.struck.len(), 2);
    assert_eq!(met, met_again);
    assert_eq!(first.trace.lines(), again.trace.lines());
}

#[test]
fn names_of_scenarios_are_there_once() {
    let mut names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ENTRIES.len());
}
