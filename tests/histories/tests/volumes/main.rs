//! Seeded histories of volumes.

#[cfg(test)]
mod audits;

use firecamp_histories::volumes::history;
use firecamp_histories::volumes::run::{Plan, Progress, run};
use firecamp_histories::volumes::scenario::Scenario;
use firecamp_histories::volumes::simulated_node::Names;

const KEPT: &str = include_str!("../../seeds/volumes.txt");

/// They are the same on every machine.
const HISTORIES: u64 = 600;

fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn f081_many_volume_histories_hold_every_invariant_and_cover_every_fault_and_reason() {
    let plan = Plan { first: 1, count: HISTORIES, jobs: jobs(), twice: 50, enough: 20 };
    let summary = run(&plan, &Progress::default());
    println!("{:?}", summary.coverage.counts());
    for (seed, violation) in &summary.found {
        println!("make sim LEVEL=volumes N=1 SEED={seed}: {violation}");
    }
    assert_eq!(summary.found, []);
    assert_eq!(summary.diverged, Vec::<u64>::new(), "histories whose two runs differ");
    assert_eq!((summary.histories, summary.twice), (HISTORIES, HISTORIES / 50));
    assert_eq!(summary.unmet(1), Vec::<String>::new());
}

#[test]
fn every_regression_seed_of_volumes_holds_every_invariant() {
    let names = Names::new();
    for line in KEPT.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (seed, why) = line.split_once(' ').expect("a seed and its reason");
        let seed: u64 = seed.parse().expect("a seed");
        assert!(!why.trim().is_empty(), "seed {seed} has no reason");
        let report = history::run(&Scenario::draw(seed), &names, false);
        assert_eq!(report.violation, None, "seed {seed}, which once found: {why}");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let counts = |jobs| {
        let plan = Plan { first: 77, count: 40, jobs, twice: 0, enough: 1 };
        run(&plan, &Progress::default()).coverage
    };
    assert_eq!(counts(1), counts(3));
}

#[test]
fn every_scenario_is_reproducible_and_ordered() {
    for seed in 0..500 {
        let scenario = Scenario::draw(seed);
        assert_eq!(scenario, Scenario::draw(seed));
        assert!(scenario.script.is_sorted_by_key(|at| at.second));
        assert!(scenario.script.iter().all(|at| at.second < scenario.heal_at));
    }
    let calm = (0..500).map(Scenario::draw).filter(Scenario::is_calm).count();
    assert!((50..200).contains(&calm), "{calm} of 500 are calm");
}
