//! Seeds that once found something, kept for ever.

use firecamp_histories::history;
use firecamp_histories::names::Names;
use firecamp_histories::scenario::Scenario;
use firecamp_histories::trace::Trace;

const KEPT: &str = include_str!("../../seeds/found.txt");

#[test]
fn every_kept_seed_holds_every_promise_now() {
    let names = Names::new();
    let mut replayed = 0;
    for line in KEPT.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (seed, why) = line.split_once(' ').expect("a seed and why it is kept");
        let seed: u64 = seed.parse().expect("a seed");
        assert!(!why.trim().is_empty(), "{seed} is kept without a reason");
        let report = history::run(&Scenario::draw(seed), &names, Trace::Off);
        assert_eq!(report.violation, None, "seed {seed}, kept for: {why}");
        replayed += 1;
    }
    assert!(replayed > 0);
}
