//! Regression seeds: each once found a bug.

use firecamp_histories::history;
use firecamp_histories::names::Names;
use firecamp_histories::scenario::Scenario;
use firecamp_histories::trace::Trace;

const KEPT: &str = include_str!("../../seeds/found.txt");

#[test]
fn every_regression_seed_holds_every_invariant() {
    let names = Names::new();
    let mut replayed = 0;
    for line in KEPT.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (seed, why) = line.split_once(' ').expect("a seed and its reason");
        let seed: u64 = seed.parse().expect("a seed");
        assert!(!why.trim().is_empty(), "seed {seed} has no reason");
        let report = history::run(&Scenario::draw(seed), &names, Trace::Off);
        assert_eq!(report.violation, None, "seed {seed}, which once found: {why}");
        replayed += 1;
    }
    assert!(replayed > 0);
}
