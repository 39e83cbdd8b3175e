use super::*;
use crate::args::Profile;
use crate::event::{InitTime, Outage, Place, Privileges};

fn began() -> Began {
    let place = |name: &str| Place {
        name: name.to_owned(),
        zone: "us-east-1a".to_owned(),
        address: Ipv4Addr::new(10, 0, 1, 11),
    };
    Began {
        at_us: 0,
        version: "0".to_owned(),
        profile: Profile::Fast,
        build: "debug".to_owned(),
        seed: 1,
        member: "demo/redis-0".to_owned(),
        pool: "demo".to_owned(),
        nodes: vec![place("node-a")],
        client: place("client"),
        every_ms: 10,
    }
}

fn call(mutating: bool) -> Call {
    Call {
        at_us: 0,
        action: "X".to_owned(),
        caller: "node-a".to_owned(),
        app: String::new(),
        for_pod: true,
        mutating,
        outcome: "ok".to_owned(),
        took_us: None,
        routed_after_us: None,
        proven_after_us: None,
    }
}

fn step(kind: Kind, calls: Vec<Call>) -> StepResult {
    let held = Check { what: "w".to_owned(), held: true, seen: "s".to_owned() };
    StepResult {
        step: 1,
        kind,
        title: String::new(),
        from_us: 0,
        to_us: 1,
        calls,
        init: None,
        privileges: None,
        stop_us: None,
        restored_us: None,
        outage: None,
        strip: Strip { from_us: 0, bucket_us: 1, text: String::new() },
        answered: 1,
        silent: 0,
        wrong: 0,
        checks: vec![held],
    }
}

fn summary(steps: &[StepResult]) -> Summary {
    summary_with(steps, Tally { answered: 1, silent: 0, wrong: 0 })
}

fn summary_with(steps: &[StepResult], tally: Tally) -> Summary {
    summary_of("release", steps, tally)
}

fn summary_of(build: &str, steps: &[StepResult], tally: Tally) -> Summary {
    let run = run_of(tally, Vec::new());
    summarise(&Began { build: build.to_owned(), ..began() }, steps, run)
}

fn run_of(tally: Tally, agents: Vec<Call>) -> Run {
    let strip = Strip { from_us: 0, bucket_us: 1, text: String::new() };
    let address = Ipv4Addr::new(10, 0, 1, 50);
    Run { at_us: 9, address, tally, strip, agents, checks: Vec::new() }
}

#[test]
fn a_mutating_call_in_a_restart_on_the_same_node_violates_a_guarantee() {
    assert!(summary(&[step(Kind::SameNode, vec![call(false)])]).kept);
    assert!(!summary(&[step(Kind::SameNode, vec![call(true)])]).kept);
    assert!(!summary(&[step(Kind::SameNode, vec![call(false), call(false)])]).kept);
}

#[test]
fn each_kind_of_step_has_its_own_budget() {
    let three = vec![call(false), call(false), call(true)];
    let two = vec![call(false), call(true)];
    for kind in [Kind::Moved, Kind::Crashed, Kind::LabelledMoved] {
        assert!(summary(&[step(kind, two.clone())]).kept);
        assert!(!summary(&[step(kind, three.clone())]).kept);
    }
    for kind in [Kind::Zombie, Kind::Released] {
        assert!(summary(&[step(kind, Vec::new())]).kept);
        assert!(!summary(&[step(kind, vec![call(false)])]).kept);
    }
    assert!(summary(&[step(Kind::Unassigned, vec![call(true)])]).kept);
    assert!(!summary(&[step(Kind::Unassigned, two)]).kept);
}

#[test]
fn any_privilege_of_an_init_container_that_asks_the_agent_violates_a_guarantee() {
    let with =
        |kind, privileges| StepResult { privileges: Some(privileges), ..step(kind, Vec::new()) };
    let all = Privileges { uid: 0, capabilities: 40, can_gain: true, calls: 3 };
    let none = Privileges { uid: 65532, capabilities: 0, can_gain: false, calls: 0 };
    let kept = |privileges| {
        let first = with(Kind::First, all);
        let moved = with(Kind::LabelledMoved, privileges);
        summary(&[first, with(Kind::Labelled, none), moved]).kept
    };
    assert!(kept(none));
    assert!(!kept(Privileges { capabilities: 1, ..none }));
    assert!(!kept(Privileges { can_gain: true, ..none }));
    assert!(!kept(Privileges { calls: 1, ..none }));
}

#[test]
fn an_agents_call_for_a_pod_is_not_one_of_its_own() {
    let attach = Call { at_us: 5, app: "firecamp-agent".to_owned(), ..call(true) };
    let own = Call { at_us: 6, for_pod: false, ..attach.clone() };
    let kept = |by_agents| {
        let steps = [step(Kind::LabelledMoved, vec![attach.clone()])];
        let run = run_of(Tally { answered: 1, silent: 0, wrong: 0 }, by_agents);
        summarise(&began(), &steps, run).kept
    };
    assert!(kept(vec![attach.clone()]));
    assert!(!kept(vec![attach.clone(), own]));
}

#[test]
fn a_wrong_response_or_a_failed_check_violates_a_guarantee() {
    let good = step(Kind::First, Vec::new());
    let tally = Tally { answered: 900, silent: 0, wrong: 1 };
    assert!(!summary_with(&[good], tally).kept);
    let mut bad = step(Kind::First, Vec::new());
    bad.checks.push(Check { what: "held".to_owned(), held: false, seen: "not".to_owned() });
    let summary = summary(&[bad]);
    assert!(!summary.kept);
    assert!(summary.rows.iter().any(|row| row.measured == "held: not"));
}

#[test]
fn a_run_without_any_response_fails() {
    let tally = Tally { answered: 0, silent: 900, wrong: 0 };
    assert!(!summary_with(&[step(Kind::First, Vec::new())], tally).kept);
}

#[test]
fn times_are_goals_and_not_guarantees() {
    let mut slow = step(Kind::Moved, Vec::new());
    slow.init =
        Some(InitTime { total_us: 1_000_000, ec2_us: 0, own_us: 81_400, describe_us: 61_000 });
    slow.outage = Some(Outage {
        from_us: 0,
        to_us: 0,
        total_us: 0,
        ec2_us: 0,
        member_us: 0,
        beyond_us: 99_000,
    });
    let summary = summary(&[slow.clone()]);
    assert!(summary.kept);
    let row = |text: &str| summary.rows.iter().find(|row| row.what.contains(text)).unwrap();
    assert_eq!(row("init container without EC2 time: moved").verdict, Verdict::Missed);
    let reported = "81 ms (20 ms without Describe calls)";
    assert_eq!(row("init container without EC2 time: moved").measured, reported);
    assert_eq!(row("outage").verdict, Verdict::Met);
    let debug = summary_of("debug", &[slow], Tally { answered: 1, silent: 0, wrong: 0 });
    let times = debug.rows.iter().filter(|row| row.what.contains("time"));
    assert!(times.clone().all(|row| row.verdict == Verdict::NotJudged), "{debug:#?}");
    assert_eq!(times.count(), 2);
}
