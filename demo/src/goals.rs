//! Compares the measurements with the goals.

#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use crate::event::{Began, Call, Check, Kind, Row, StepResult, Strip, Summary, Verdict};
use crate::format::{ms, privileges_in_words};
use crate::measurements::Tally;

/// The maximum number of EC2 calls of a step.
struct Budget {
    what: &'static str,
    kind: Kind,
    calls: usize,
    mutating: usize,
}

/// Design goals: EC2 calls.
const BUDGETS: [Budget; 9] = [
    Budget { what: "restart on the same node", kind: Kind::SameNode, calls: 1, mutating: 0 },
    Budget { what: "move to another node", kind: Kind::Moved, calls: 2, mutating: 1 },
    Budget { what: "move after a crash", kind: Kind::Crashed, calls: 2, mutating: 1 },
    Budget { what: "move after a node failure", kind: Kind::NodeDied, calls: 2, mutating: 1 },
    Budget { what: "restore of a removed address", kind: Kind::Stripped, calls: 0, mutating: 0 },
    Budget { what: "late stop of a superseded pod", kind: Kind::Zombie, calls: 0, mutating: 0 },
    Budget { what: "release", kind: Kind::Released, calls: 0, mutating: 0 },
    Budget { what: "release with --unassign", kind: Kind::Unassigned, calls: 1, mutating: 1 },
    Budget { what: "move through the agents", kind: Kind::LabelledMoved, calls: 2, mutating: 1 },
];

/// Design goals: the time of the init container without EC2 time.
const OWN_SAME_NODE_US: u64 = 30_000;
const OWN_MOVED_US: u64 = 50_000;
/// Design goal: the time to restore an address that was removed from a kernel.
const RESTORED_US: u64 = 50_000;
/// Design goal: the EC2 calls of an agent at its start (interfaces, instance type), and after that.
const AT_A_START: usize = 2;
const AGENTS_EVERY_US: u64 = 60_000_000;
/// Design goal: the outage of a move without EC2 and application time.
const OUTAGE_US: u64 = 100_000;

/// Measurements of the whole run.
#[derive(Debug, Clone)]
pub struct Run {
    /// When it ended.
    pub at_us: u64,
    /// The member's address.
    pub address: Ipv4Addr,
    /// The outcomes of all attempts of the client.
    pub tally: Tally,
    /// What the client saw during the run.
    pub strip: Strip,
    /// All EC2 calls of the agents.
    pub agents: Vec<Call>,
    /// The checks of the whole run.
    pub checks: Vec<Check>,
}

/// The summary of a run.
pub fn summarise(began: &Began, steps: &[StepResult], run: Run) -> Summary {
    let mut rows: Vec<Row> = BUDGETS.iter().filter_map(|budget| calls_row(budget, steps)).collect();
    rows.extend(agents_rows(began, steps, &run));
    let judge = judge_times(&began.build);
    rows.extend(own_rows(steps, judge));
    rows.extend(outage_rows(steps, judge));
    let Tally { answered, silent, wrong } = run.tally;
    rows.extend(privileges_row(steps));
    rows.push(Row {
        what: "responses from a wrong node".to_owned(),
        goal: "never".to_owned(),
        measured: if wrong == 0 {
            format!("never in {answered} responses")
        } else {
            format!("{wrong} of {answered} responses")
        },
        verdict: verdict(wrong == 0 && answered > 0),
        promise: true,
    });
    let checks = steps.iter().flat_map(|step| &step.checks).chain(&run.checks);
    let (held, broken): (Vec<_>, Vec<_>) = checks.partition(|check| check.held);
    rows.push(Row {
        what: "the member's address was lost".to_owned(),
        goal: "never".to_owned(),
        measured: broken.first().map_or_else(
            || format!("never: {} checks held", held.len()),
            |check| format!("{}: {}", check.what, check.seen),
        ),
        verdict: verdict(broken.is_empty() && !held.is_empty()),
        promise: true,
    });
    let kept = rows.iter().all(|row| !row.promise || row.verdict == Verdict::Met);
    Summary {
        at_us: run.at_us,
        build: began.build.clone(),
        profile: began.profile,
        address: run.address,
        rows,
        attempts: answered.saturating_add(silent).saturating_add(wrong),
        strip: run.strip,
        kept,
    }
}

fn verdict(met: bool) -> Verdict {
    if met { Verdict::Met } else { Verdict::Missed }
}

/// How times are compared with their goals. Unoptimized code takes several times as long, so a
/// debug build only shows them.
fn judge_times(build: &str) -> fn(bool) -> Verdict {
    if build == "release" { verdict } else { |_met| Verdict::NotJudged }
}

fn calls_row(budget: &Budget, steps: &[StepResult]) -> Option<Row> {
    let step = steps.iter().find(|step| step.kind == budget.kind)?;
    let own = || step.calls.iter().filter(|call| call.for_pod);
    let all = own().count();
    let mutating = own().filter(|call| call.mutating).count();
    Some(Row {
        what: format!("EC2 calls: {}", budget.what),
        goal: count(budget.calls, budget.mutating, "≤ "),
        measured: count(all, mutating, ""),
        verdict: verdict(all <= budget.calls && mutating <= budget.mutating),
        promise: true,
    })
}

/// The calls of the agents: periodic reads, and no mutating calls in this demo.
fn agents_rows(began: &Began, steps: &[StepResult], run: &Run) -> Vec<Row> {
    let asked = |call: &&Call| {
        let same = |one: &Call| one.for_pod && one.at_us == call.at_us && one.caller == call.caller;
        steps.iter().flat_map(|step| &step.calls).any(same)
    };
    let calls: Vec<_> = run.agents.iter().filter(|call| !asked(call)).collect();
    let mutating = calls.iter().filter(|call| call.mutating).count();
    let again = |step: &&StepResult| matches!(step.kind, Kind::AgentRestarted | Kind::NodeReturned);
    let all = 1 + usize::from(steps.iter().any(|step| step.kind == Kind::Labelled));
    let starts = began.nodes.len().saturating_mul(all);
    let starts = starts.saturating_add(steps.iter().filter(again).count());
    let minutes = run.at_us.saturating_sub(began.at_us) / AGENTS_EVERY_US;
    let later = began.nodes.len().saturating_mul(usize::try_from(minutes).unwrap_or(usize::MAX));
    let most = starts.saturating_mul(AT_A_START).saturating_add(later);
    let restored = steps.iter().find_map(|step| step.restored_us);
    let restored = restored.map(|away| Row {
        what: "time to restore the address in the kernel".to_owned(),
        goal: format!("≤ {}", ms(RESTORED_US)),
        measured: ms(away),
        verdict: judge_times(&began.build)(away <= RESTORED_US),
        promise: false,
    });
    let changes = Row {
        what: "EC2 calls: agents, including restarts".to_owned(),
        goal: "0 mutating".to_owned(),
        measured: format!("{} ({mutating} mutating)", calls.len()),
        verdict: verdict(mutating == 0),
        promise: true,
    };
    let rate = Row {
        what: "EC2 calls: agents, rate".to_owned(),
        goal: format!("≤ {AT_A_START} per start, 1 per minute"),
        measured: format!("{} for {starts} starts", calls.len()),
        verdict: verdict(calls.len() <= most),
        promise: false,
    };
    [changes, rate].into_iter().chain(restored).collect()
}

/// The privileges of the init containers that ask an agent.
fn privileges_row(steps: &[StepResult]) -> Option<Row> {
    let labelled = steps.iter().filter(|step| step.kind.asks_agent());
    let found: Vec<_> = labelled.filter_map(|step| step.privileges).collect();
    let direct = steps.iter().find(|step| step.kind == Kind::First)?.privileges?;
    let most = found.iter().copied().find(|one| !one.none()).or(found.first().copied())?;
    Some(Row {
        what: "privileges of an init container that asks the agent".to_owned(),
        goal: "none".to_owned(),
        measured: format!(
            "{} (in direct mode {})",
            privileges_in_words(most),
            privileges_in_words(direct)
        ),
        verdict: verdict(most.none()),
        promise: true,
    })
}

fn count(calls: usize, mutating: usize, sign: &str) -> String {
    if calls == 0 { "0".to_owned() } else { format!("{sign}{calls} ({mutating} mutating)") }
}

fn own_rows(steps: &[StepResult], judge: fn(bool) -> Verdict) -> Vec<Row> {
    let goals = [
        (Kind::SameNode, "same node", OWN_SAME_NODE_US),
        (Kind::Moved, "moved", OWN_MOVED_US),
        (Kind::Crashed, "after a crash", OWN_MOVED_US),
        (Kind::NodeDied, "after a node failure", OWN_MOVED_US),
        (Kind::LabelledMoved, "moved, through the agent", OWN_MOVED_US),
    ];
    let row = |(kind, name, goal): &(Kind, &str, u64)| {
        let time = steps.iter().find(|step| step.kind == *kind)?.init.as_ref()?;
        let describe = without(time.own_us, time.describe_us);
        Some(Row {
            what: format!("init container without EC2 time: {name}"),
            goal: format!("≤ {}", ms(*goal)),
            measured: format!("{}{describe}", ms(time.own_us)),
            verdict: judge(time.own_us <= *goal),
            promise: false,
        })
    };
    goals.iter().filter_map(row).collect()
}

fn outage_rows(steps: &[StepResult], judge: fn(bool) -> Verdict) -> Vec<Row> {
    let row = |step: &StepResult| {
        let name = match step.kind {
            Kind::Moved => "moved",
            Kind::Crashed => "after a crash",
            Kind::NodeDied => "after a node failure",
            Kind::LabelledMoved => "moved, through the agents",
            Kind::First
            | Kind::SameNode
            | Kind::Stripped
            | Kind::AgentRestarted
            | Kind::Zombie
            | Kind::NodeReturned
            | Kind::Released
            | Kind::Unassigned
            | Kind::Labelled => return None,
        };
        let outage = step.outage.as_ref()?;
        let describe = step.init.as_ref().map_or(0, |time| time.describe_us);
        Some(Row {
            what: format!("client outage without EC2 and application time: {name}"),
            goal: format!("≤ {}", ms(OUTAGE_US)),
            measured: format!("{}{}", ms(outage.beyond_us), without(outage.beyond_us, describe)),
            verdict: judge(outage.beyond_us <= OUTAGE_US),
            promise: false,
        })
    };
    steps.iter().filter_map(row).collect()
}

/// The time without the duration of Describe calls.
fn without(own_us: u64, describe_us: u64) -> String {
    if describe_us == 0 {
        return String::new();
    }
    format!(" ({} without Describe calls)", ms(own_us.saturating_sub(describe_us)))
}
