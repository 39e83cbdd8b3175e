//! Pods that ask their node's agent.

#![expect(clippy::unwrap_used, reason = "test support: a failure here fails the test")]

use firecamp_histories::crashes::catalogue::{self, Entry};
use firecamp_histories::crashes::cli::report;
use firecamp_histories::crashes::enumerate::{Plan, Progress, run};
use firecamp_histories::history;
use firecamp_histories::names::{MemberIx, Names, NodeIx};
use firecamp_histories::scenario::{At, Container, Disruption, Endpoint, Scenario};
use firecamp_histories::trace::Trace;

fn entry(name: &str) -> Entry {
    catalogue::all().into_iter().find(|entry| entry.name == name).unwrap()
}

/// Runs a scenario, which must hold every invariant. Returns how often it reached a counter.
fn count(scenario: &Scenario, names: &Names, counter: &str) -> u64 {
    let report = history::run(scenario, names, Trace::Off);
    assert_eq!(report.violation, None, "{scenario:?}");
    let counts = report.coverage.counts();
    counts.iter().find(|(name, _)| name == counter).map_or(0, |(_, count)| *count)
}

#[test]
fn f139_an_agent_may_die_at_every_boundary_of_what_it_runs_for_pods() {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    for name in ["endpoint-move", "endpoint-unassign-move"] {
        let entries = [entry(name)];
        let tally = run(&entries, Plan { doubles: &[], one_in: 1, jobs }, &Progress::default());
        assert!(tally.violations().is_empty(), "{}", report(&entries, &tally, 0.0));
        assert!(tally.total().singles > 300, "{:?}", tally.total());
    }
}

#[test]
fn f140_an_attach_whose_client_died_while_the_agent_stood_still_disturbs_no_later_one() {
    let names = Names::new();
    let mut scenario = entry("endpoint-first-start").scenario;
    let (mut dropped, mut attached) = (0, 0);
    for frozen_at in (100..2_000).step_by(25) {
        let freeze = Disruption::FreezeAgent { node: NodeIx(0), ms: 2_500 };
        let kill =
            Disruption::Kill { member: MemberIx(0), zombie: false, container: Container::Init };
        scenario.script.truncate(1);
        scenario.script.push(At { ms: frozen_at, disruption: freeze });
        scenario.script.push(At { ms: frozen_at + 100, disruption: kill });
        scenario.heal_at_ms = frozen_at + 3_000;
        dropped += count(&scenario, &names, "endpoint: client gone");
        attached += count(&scenario, &names, "endpoint: attached");
    }
    assert!(dropped > 10 && attached > 70, "{dropped} were dropped, {attached} attached");
}

#[test]
fn f141_members_move_between_direct_mode_and_the_endpoint_in_any_disturbance() {
    let names = Names::new();
    let scenarios = (1..).map(Scenario::draw);
    let mixed = scenarios.filter(|scenario| scenario.shape.endpoint == Endpoint::Mixed);
    let attached: u64 =
        mixed.take(300).map(|scenario| count(&scenario, &names, "endpoint: attached")).sum();
    assert!(attached > 300, "{attached} attached through an agent");
}
