//! Many histories, and properties of each.

use std::time::Duration;

use firecamp_histories::history;
use firecamp_histories::run::{MIN_STEPS, Plan, Progress, run};
use firecamp_histories::scenario::{At, Endpoint, Fault, Scenario};
use firecamp_histories::shrink::shrink_while;

/// They are the same on every machine.
const HISTORIES: u64 = 30_000;

#[test]
fn thirty_thousand_histories_hold_every_invariant_and_cover_every_fault() {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let plan =
        Plan { play: history::run, first: 1, count: HISTORIES, jobs, twice: 100, enough: 20 };
    let summary = run(&plan, &Progress::default());
    println!("{:#}", summary.to_json(&plan, Duration::ZERO));
    for found in &summary.found {
        println!("seed {}: {}", found.seed, found.violation);
    }
    assert!(summary.found.is_empty(), "replay: make sim SEED={} N=1", summary.found[0].seed);
    assert_eq!(summary.diverged, Vec::<u64>::new(), "histories whose two runs differ");
    assert_eq!(summary.twice, HISTORIES / 100);
    assert!(summary.shortest.0 >= MIN_STEPS, "steps and seed: {:?}", summary.shortest);
    assert_eq!(summary.unmet(20), Vec::<String>::new());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let plan = |jobs| Plan { play: history::run, first: 77, count: 600, jobs, twice: 0, enough: 1 };
    let json = |jobs| {
        let summary = run(&plan(jobs), &Progress::default());
        summary.to_json(&plan(1), Duration::ZERO)
    };
    assert_eq!(json(1), json(3));
}

#[test]
fn every_scenario_is_well_formed() {
    let scenarios: Vec<Scenario> = (0..3_000).map(Scenario::draw).collect();
    for scenario in &scenarios {
        let shape = &scenario.shape;
        assert!((3..=5).contains(&shape.nodes) && (2..=4).contains(&shape.members));
        assert!(shape.pool >= shape.members);
        assert!(scenario.script.is_sorted_by_key(|at| at.ms));
        let late = |at: &At| at.ms > 200_000;
        assert!(!scenario.script.iter().any(late) && scenario.heal_at_ms < 200_000);
        assert_eq!(Scenario::draw(scenario.seed), *scenario);
    }
    let calm = scenarios.iter().filter(|scenario| scenario.is_calm()).count();
    assert!((100..400).contains(&calm), "{calm} of 3,000 are calm");
    for fault in Fault::ALL {
        let on = scenarios.iter().filter(|scenario| scenario.swarm.rate(fault) > 0).count();
        assert!(on > 200 && on < 2_000, "{fault:?} is on in {on} of 3,000");
    }
}

#[test]
fn orphans_delay_the_script_and_occur_only_in_their_histories() {
    let scenarios: Vec<Scenario> = (0..3_000).map(Scenario::draw).collect();
    let (with, without): (Vec<_>, Vec<_>) = scenarios.iter().partition(|s| s.orphans.is_some());
    assert!((50..150).contains(&with.len()), "{} of 3,000 have orphans", with.len());
    assert!(without.iter().all(|scenario| scenario.laid_out() == **scenario));
    for scenario in with {
        let laid = scenario.laid_out();
        assert!(!scenario.is_calm() && !scenario.shape.watches);
        assert!(laid.script.is_sorted_by_key(|at| at.ms));
        let late = |it: &Scenario| it.script.iter().filter(|at| at.ms >= it.heal_at_ms).count();
        assert!(laid.heal_at_ms > 600_000 && late(&laid) <= late(scenario));
        assert_eq!(scenario.for_wire().laid_out(), scenario.for_wire());
    }
}

#[test]
fn half_of_the_histories_have_pods_that_ask_an_agent_and_none_has_on_the_wire() {
    let scenarios: Vec<Scenario> = (0..3_000).map(Scenario::draw).collect();
    let of = |kind| scenarios.iter().filter(|scenario| scenario.shape.endpoint == kind).count();
    for kind in [Endpoint::Used, Endpoint::Mixed] {
        assert!((650..850).contains(&of(kind)), "{kind:?} in {} of 3,000", of(kind));
    }
    let on_wire = |scenario: &Scenario| scenario.for_wire().shape.endpoint;
    assert!(scenarios.iter().all(|scenario| on_wire(scenario) == Endpoint::Unused));
}

#[test]
fn a_scenario_survives_a_json_round_trip() {
    for seed in 0..200 {
        let scenario = Scenario::draw(seed);
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
    }
}

#[test]
fn shrinking_keeps_the_cause_of_the_failure_and_drops_the_rest() {
    let scenario = (0..1_000)
        .map(Scenario::draw)
        .find(|s| s.script.len() > 8 && s.swarm.rate(Fault::CloudLost) > 0)
        .unwrap();
    let wanted: Vec<At> = [2, 5].map(|at: usize| scenario.script[at].clone()).to_vec();
    let fails = |candidate: &Scenario| {
        let has = |at: &At| candidate.script.contains(at);
        wanted.iter().all(has) && candidate.swarm.rate(Fault::CloudLost) > 0
    };
    let small = shrink_while(&scenario, fails);
    assert_eq!(small.script, wanted);
    assert_eq!(small.swarm.on().collect::<Vec<_>>(), [Fault::CloudLost]);
    assert_eq!((small.seed, &small.shape), (scenario.seed, &scenario.shape));
}
