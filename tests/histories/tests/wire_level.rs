//! The histories at wire level, compared with those of the model level.
#![expect(clippy::panic, reason = "tests")]

use firecamp_histories::coverage::Coverage;
use firecamp_histories::history;
use firecamp_histories::names::Names;
use firecamp_histories::run::{MIN_STEPS, Plan, Progress, Summary, run};
use firecamp_histories::scenario::{Disruption, Scenario};
use firecamp_histories::trace::Trace;

#[test]
fn two_thousand_histories_hold_every_invariant_and_cover_every_fault() {
    let plan = Plan {
        play: firecamp_histories::wire::run,
        first: 1,
        count: 2_000,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        twice: 100,
        enough: 1,
    };
    let mut summary = checked(&plan);
    assert_eq!(summary.twice, 20);
    // Every second history uses the registry of a cluster, through kube's own client.
    for (name, count) in summary.coverage.counts() {
        if name.starts_with("registry ") || name.starts_with("api ") {
            println!("{name:<28} {count}");
        }
        if name == "registry kube" {
            assert!(count >= 1_000, "only {count} histories went through kube's client");
        }
    }
    let (steps, seed) = summary.shortest;
    assert!(steps >= MIN_STEPS, "seed {seed}: only {steps} steps");
    for name in unmet(&summary) {
        for seed in seeds_that_meet(&name) {
            let more = checked(&Plan { first: seed, count: 1, jobs: 1, ..plan });
            summary.coverage.merge(&more.coverage);
        }
    }
    assert_eq!(unmet(&summary), [""; 0]);
}

fn checked(plan: &Plan) -> Summary {
    let summary = run(plan, &Progress::default());
    if let Some(found) = summary.found.first() {
        let replay = format!("cargo run --bin firecamp-wire-histories -- replay {}", found.seed);
        panic!("seed {}: {}\nreplay: {replay}", found.seed, found.violation);
    }
    assert_eq!(summary.diverged, [0_u64; 0], "histories whose two runs differ");
    summary
}

fn unmet(summary: &Summary) -> Vec<String> {
    let counts = summary.coverage.counts().into_iter();
    counts.filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
}

/// Counters that so few histories may miss are tested with seeds for which the model reaches them.
const SEARCHED: u64 = 20_000;
const ENOUGH: usize = 10;

fn seeds_that_meet(name: &str) -> Vec<u64> {
    let names = Names::new();
    let record_coverage = |seed: &u64| {
        let report = history::run(&Scenario::draw(*seed).for_wire(), &names, Trace::Off);
        report.coverage.counts().iter().any(|(known, count)| known == name && *count > 0)
    };
    (1..SEARCHED).filter(record_coverage).take(ENOUGH).collect()
}

/// How processes ended, by kind.
fn ends(coverage: &Coverage) -> Vec<(String, u64)> {
    let kinds = ["exit ", "release ", "attached same node", "attached moved", "maintained "];
    let counts = coverage.counts().into_iter();
    counts.filter(|(name, _)| kinds.iter().any(|kind| name.starts_with(kind))).collect()
}

/// Events of one member are far enough apart that the effects of the previous one have ended,
/// however long its server takes to stop: no outcome depends on milliseconds.
const APART_MS: u32 = 35_000;

fn races(scenario: &Scenario) -> bool {
    let member = |disruption: &Disruption| {
        let (Disruption::Start { member, .. }
        | Disruption::Stop { member, .. }
        | Disruption::Move { member, .. }) = disruption
        else {
            panic!("not calm: {disruption:?}")
        };
        *member
    };
    let script = &scenario.script;
    script.iter().enumerate().any(|(number, at)| {
        let later = script.iter().skip(number + 1);
        let mut same = later.filter(|next| member(&next.disruption) == member(&at.disruption));
        let start = matches!(at.disruption, Disruption::Start { .. });
        let apart = if start { 3_000 } else { APART_MS };
        same.any(|next| next.ms.saturating_sub(at.ms) < apart)
    })
}

#[test]
fn calm_scenarios_end_the_same_at_both_levels() {
    let names = Names::new();
    let calm = (1..).map(Scenario::draw).filter(Scenario::is_calm);
    let calm = calm.filter(|scenario| !races(scenario)).take(200);
    let mut different = Vec::new();
    for scenario in calm {
        let model = history::run(&scenario.for_wire(), &names, Trace::Off);
        let wire = firecamp_histories::wire::run(&scenario, &names, Trace::Off);
        let (model, wire) = (ends(&model.coverage), ends(&wire.coverage));
        if model != wire {
            let both = model.into_iter().zip(wire).filter(|(model, wire)| model != wire);
            different.push((scenario.seed, both.collect::<Vec<_>>()));
        }
    }
    assert!(different.is_empty(), "{} differ: {different:#?}", different.len());
}
