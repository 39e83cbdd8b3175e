//! Seeded histories of volumes.

#[cfg(test)]
mod audits;

use firecamp_histories::volumes::history;
use firecamp_histories::volumes::run::{Plan, Progress, run};
use firecamp_histories::volumes::scenario::Scenario;
use firecamp_histories::volumes::world::Names;

const KEPT: &str = include_str!("../../seeds/volumes.txt");

/// All of them are the same on every machine.
const HISTORIES: u64 = 600;

fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn f081_many_histories_of_volumes_hold_every_promise_and_meet_every_fault_and_reason() {
    let plan = Plan { first: 1, count: HISTORIES, jobs: jobs(), twice: 50, enough: 20 };
    let summary = run(&plan, &Progress::default());
    println!("{:?}", summary.probes.counts());
    for (seed, violation) in &summary.found {
        println!("make sim LEVEL=volumes N=1 SEED={seed}: {violation}");
    }
    assert_eq!(summary.found, []);
    assert_eq!(summary.diverged, Vec::<u64>::new(), "histories that differ from themselves");
    assert_eq!((summary.histories, summary.twice), (HISTORIES, HISTORIES / 50));
    assert_eq!(summary.unmet(1), Vec::<String>::new());
}

#[test]
fn every_kept_seed_of_volumes_holds_every_promise_now() {
    let names = Names::new();
    for line in KEPT.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (seed, why) = line.split_once(' ').expect("a seed and why it is kept");
        let seed: u64 = seed.parse().expect("a seed");
        assert!(!why.trim().is_empty(), "{seed} is kept without a reason");
        let report = history::run(&Scenario::draw(seed), &names, false);
        assert_eq!(report.violation, None, "seed {seed}, kept for: {why}");
    }
}

#[test]
fn what_comes_out_does_not_depend_on_the_number_of_threads() {
    let counts = |jobs| {
        let plan = Plan { first: 77, count: 40, jobs, twice: 0, enough: 1 };
        run(&plan, &Progress::default()).probes
    };
    assert_eq!(counts(1), counts(3));
}

#[test]
fn every_scenario_is_drawn_the_same_each_time_and_in_order() {
    for seed in 0..500 {
        let scenario = Scenario::draw(seed);
        assert_eq!(scenario, Scenario::draw(seed));
        assert!(scenario.script.is_sorted_by_key(|at| at.second));
        assert!(scenario.script.iter().all(|at| at.second < scenario.heal_at));
    }
    let calm = (0..500).map(Scenario::draw).filter(Scenario::is_calm).count();
    assert!((50..200).contains(&calm), "{calm} of 500 are calm");
}
