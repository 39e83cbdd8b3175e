//! Crashes at every boundary.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use firecamp_histories::crash_injection::{self, Recovery};
use firecamp_histories::crashes::catalogue::{self, Entry};
use firecamp_histories::crashes::cli::report;
use firecamp_histories::crashes::enumerate::{
    self, FROZEN, KILLED, POWERLESS, Plan, Progress, RECOVERIES, Tally,
};
use firecamp_histories::crashes::page::{self, CoveredBy, NAMED, PAIRS};
use firecamp_histories::names::Names;
use firecamp_histories::trace::Trace;

/// The longest time from the last crash until everything has settled.
const RECOVERED_WITHIN: Duration = Duration::from_mins(1);

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(catalogue::all);

/// The share of the pairs that run here; `make crashes` runs all.
const ONE_IN: u32 = 3;

/// Every single crash, and a third of the pairs that begin with a kill.
static ALL: LazyLock<Tally> = LazyLock::new(|| {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    enumerate::run(
        &ENTRIES,
        Plan { doubles: &[KILLED], one_in: ONE_IN, jobs },
        &Progress::default(),
    )
});

#[test]
fn every_single_crash_and_a_third_of_the_pairs_recover() {
    let text = report(&ENTRIES, &ALL, 0.0);
    assert!(ALL.violations().is_empty(), "{text}");
    let total = ALL.total();
    assert!(ENTRIES.len() >= 40, "{} scenarios", ENTRIES.len());
    assert!(total.singles > 30_000 && total.run > 150_000, "{total:?}");
    for how in [KILLED, FROZEN, POWERLESS] {
        assert!(ALL.slowest(how) <= RECOVERED_WITHIN, "{text}");
    }
}

#[test]
fn every_named_crash_point_is_covered_with_each_recovery() {
    for named in NAMED {
        if let CoveredBy::Enumerated(step) = named.shown {
            for recovery in RECOVERIES {
                assert!(ALL.named(step, recovery) > 0, "{} {recovery:?}", named.name);
            }
        }
    }
}

#[test]
fn every_pair_names_existing_scenarios() {
    for pair in PAIRS {
        let unknown =
            pair.scenarios.iter().find(|name| !ENTRIES.iter().any(|entry| entry.name == **name));
        assert_eq!(unknown, None, "{}", pair.name);
        let shown_elsewhere = pair.also.contains("`firecamp-") || pair.also.contains("open");
        assert!(!pair.scenarios.is_empty() || shown_elsewhere, "{}", pair.name);
    }
}

#[test]
fn the_page_matches_the_enumeration() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof/crash-points.md");
    let page = page::page(&ENTRIES, &ALL);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/proof/crash-points.md is out of date: run `make bless`");
}

#[test]
fn a_run_with_two_crashes_is_reproducible_and_crashes_twice() {
    let names = Names::new();
    let entry = ENTRIES.iter().find(|entry| entry.name == "move").unwrap();
    let play = || {
        let crash_plan = enumerate::crash_plan(entry, FROZEN, Recovery::Elsewhere, &[20, 9]);
        crash_injection::play(&entry.scenario, &names, Trace::full(), crash_plan)
    };
    let ((first, met), (again, met_again)) = (play(), play());
    assert_eq!(met.crashes.len(), 2);
    assert_eq!(met, met_again);
    assert_eq!(first.trace.lines(), again.trace.lines());
}

#[test]
fn scenario_names_are_unique() {
    let mut names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ENTRIES.len());
}
