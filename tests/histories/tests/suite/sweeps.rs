//! Small histories of what an agent collects.

use firecamp_histories::names::Names;
use firecamp_histories::sweep;

#[test]
fn ten_thousand_sweeps_collect_all_orphans_and_nothing_else() {
    let names = Names::new();
    let (mut collected, mut partial, mut lagging) = (0, 0, 0);
    for seed in 1..=10_000 {
        let (violation, met) = sweep::run(seed, &names);
        assert_eq!(violation, None, "seed {seed}");
        collected += met.collected;
        partial += met.partial;
        lagging += met.lagging;
    }
    assert!(collected > 10_000, "{collected} were collected");
    assert!(partial > 10_000, "{partial} passes were partial");
    assert!(lagging > 1_000, "{lagging} look-ups lagged");
}

#[test]
fn a_sweep_is_reproducible() {
    let names = Names::new();
    for seed in 1..=50 {
        assert_eq!(sweep::run(seed, &names), sweep::run(seed, &names));
    }
}
