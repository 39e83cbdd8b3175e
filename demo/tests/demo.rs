//! The demo end to end: real containers, a real kernel, real packets. It has the requirements of a
//! VPC in a box; if one is missing, these tests fail with the demo's message.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot do its work has failed"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use firecamp_demo::event::{Call, Event, Kind, StepResult, Summary, Verdict};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

const FIRECAMP: &str = env!("CARGO_BIN_EXE_firecamp-demo");

/// The maximum time until every process has ended.
const DEADLINE: Duration = Duration::from_mins(1);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(FIRECAMP);
    command.args(["--profile", "fast", "--json"]).args(arguments).stdin(Stdio::null());
    command
}

fn events(command: &mut Command) -> Vec<Event> {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}\n{stdout}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn summary(events: &[Event]) -> &Summary {
    let Some(Event::Ended(summary)) = events.last() else {
        panic!("the run is incomplete: {events:#?}")
    };
    summary
}

fn steps(events: &[Event]) -> BTreeMap<Kind, &StepResult> {
    let steps = events.iter().filter_map(|event| match event {
        Event::StepEnded(step) => Some((step.kind, &**step)),
        _ => None,
    });
    steps.collect()
}

fn mutating(step: &StepResult) -> usize {
    step.calls.iter().filter(|call| call.mutating).count()
}

#[test]
fn a_demo_stays_within_its_call_budget_and_never_loses_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("demo.html");
    let events = events(&mut demo(&["--report", page.to_str().unwrap()]));
    let steps = steps(&events);
    let budget = [
        (Kind::SameNode, 1, 0),
        (Kind::Stripped, 0, 0),
        (Kind::Moved, 2, 1),
        (Kind::Crashed, 2, 1),
        (Kind::NodeDied, 2, 1),
        (Kind::Zombie, 0, 0),
        (Kind::Released, 0, 0),
        (Kind::Unassigned, 1, 1),
        (Kind::Labelled, 0, 0),
        (Kind::LabelledMoved, 2, 1),
    ];
    for (kind, calls, changes) in budget {
        let step = steps[&kind];
        let own = step.calls.iter().filter(|call| call.for_pod);
        assert!(own.count() <= calls, "{kind:?}: {:#?}", step.calls);
        assert!(mutating(step) <= changes, "{kind:?}: {:#?}", step.calls);
    }
    assert_eq!(mutating(steps[&Kind::Moved]), 1, "a move without a mutating call");
    for kind in [Kind::Crashed, Kind::NodeDied, Kind::LabelledMoved] {
        assert_eq!(mutating(steps[&kind]), 1, "{kind:?}: a move without a mutating call");
    }
    for kind in [Kind::AgentRestarted, Kind::NodeReturned] {
        assert_eq!(mutating(steps[&kind]), 0, "{:#?}", steps[&kind].calls);
        assert_eq!(steps[&kind].silent, 0, "{:#?}", steps[&kind]);
    }
    assert!(steps[&Kind::Stripped].restored_us.is_some(), "{:#?}", steps[&Kind::Stripped]);
    assert_eq!(steps.len(), 13, "{:?}", steps.keys());
    for step in steps.values() {
        assert_eq!(step.wrong, 0, "{step:#?}");
        assert!(!step.checks.is_empty(), "{step:#?}");
        assert!(step.checks.iter().all(|check| check.held), "{:#?}", step.checks);
    }
    let silent = [Kind::Released];
    for kind in steps.keys().filter(|kind| !silent.contains(kind)) {
        assert!(steps[kind].answered > 0, "no responses: {:#?}", steps[kind]);
    }
    let summary = summary(&events);
    assert!(summary.kept, "{summary:#?}");
    let promises = summary.rows.iter().filter(|row| row.promise);
    assert!(promises.clone().count() >= 8, "{summary:#?}");
    assert!(promises.clone().all(|row| row.verdict == Verdict::Met), "{summary:#?}");
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("All guarantees held"), "{page}");
}

#[test]
fn the_client_sees_every_move() {
    let events = events(&mut demo(&[]));
    let steps = steps(&events);
    let strip = |kind: Kind| steps[&kind].strip.text.as_str();
    assert!(strip(Kind::First).ends_with('a'), "{:?}", strip(Kind::First));
    assert!(strip(Kind::Moved).ends_with('b'), "{:?}", strip(Kind::Moved));
    assert!(strip(Kind::Crashed).ends_with('c'), "{:?}", strip(Kind::Crashed));
    assert!(strip(Kind::NodeDied).ends_with('d'), "{:?}", strip(Kind::NodeDied));
    assert!(strip(Kind::Labelled).ends_with('d'), "{:?}", strip(Kind::Labelled));
    assert!(strip(Kind::LabelledMoved).ends_with('c'), "{:?}", strip(Kind::LabelledMoved));
    assert!(strip(Kind::Released).ends_with('.'), "{:?}", strip(Kind::Released));
    let kinds = [Kind::SameNode, Kind::Moved, Kind::Crashed, Kind::NodeDied, Kind::LabelledMoved];
    for kind in kinds {
        let outage = steps[&kind].outage.as_ref().expect("an outage was measured");
        let parts = outage.ec2_us + outage.member_us + outage.beyond_us;
        assert_eq!(parts, outage.total_us, "{outage:?}");
        assert!(outage.total_us > 0, "{outage:?}");
        let time = steps[&kind].init.as_ref().expect("an init container was timed");
        assert_eq!(time.ec2_us + time.own_us, time.total_us, "{time:?}");
        let moved = kind != Kind::SameNode;
        assert_eq!(time.ec2_us > 0, moved, "{kind:?}: {time:?}");
    }
}

#[test]
fn an_agent_attaches_the_address_of_a_pod_that_has_no_privilege() {
    let events = events(&mut demo(&[]));
    let steps = steps(&events);
    let direct = steps[&Kind::First].privileges.expect("a container in direct mode");
    assert!(direct.capabilities > 0 && direct.calls > 0 && !direct.none(), "{direct:?}");
    for kind in [Kind::Labelled, Kind::LabelledMoved] {
        let step = steps[&kind];
        let privileges = step.privileges.expect("a container that asks the agent");
        assert!(privileges.none(), "{kind:?}: {privileges:?}");
        assert!(step.calls.iter().all(Call::is_agents), "{kind:?}: {:#?}", step.calls);
    }
    let row = summary(&events).rows.iter().find(|row| row.what.contains("privileges"));
    let row = row.expect("the summary compares the privileges");
    assert!(row.promise && row.measured.starts_with("no capability"), "{row:?}");
}

#[test]
fn concurrent_demos_are_independent() {
    let both: Vec<Child> = ["21", "22"]
        .iter()
        .map(|seed| {
            demo(&["--seed", seed]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in both {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
    }
}

/// A running demo, and the PID namespace of its box.
struct RunningDemo {
    child: Child,
    namespace: PathBuf,
    /// Kept open: without a reader, the demo would end before the signal.
    output: Lines<BufReader<ChildStdout>>,
}

/// Starts a demo and waits until its first step has started.
fn start_demo(seed: u64) -> RunningDemo {
    let mut child = demo(&["--seed", &seed.to_string()]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("step_began")));
    assert!(started.is_some(), "the demo did not start");
    let inside = processes().find(|process| {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        words.contains("demo-inside")
            && words.contains(&format!("\"seed\":{seed},"))
            && !words.contains("\0run\0")
    });
    let namespace =
        std::fs::read_link(inside.expect("the demo has a process in its box").join("ns/pid"))
            .unwrap();
    RunningDemo { child, namespace, output: lines }
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_in(process: &Path, namespace: &Path) -> bool {
    std::fs::read_link(process.join("ns/pid")).is_ok_and(|link| link == namespace)
}

/// Ends a demo with this signal. Every process of its box must end, and the demo must exit with
/// this code.
fn nothing_is_left_after(signal: Signal, seed: u64, expected: Option<i32>) {
    let RunningDemo { mut child, namespace, output } = start_demo(seed);
    assert!(processes().any(|process| is_in(&process, &namespace)));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    assert_eq!(child.wait().unwrap().code(), expected);
    drop(output);
    let deadline = Instant::now() + DEADLINE;
    loop {
        let left: Vec<_> = processes().filter(|process| is_in(process, &namespace)).collect();
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "processes are left: {left:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A seed that identifies the demo of this test run.
fn own_seed(number: u64) -> u64 {
    u64::from(std::process::id()) * 100 + number
}

#[test]
fn a_killed_demo_leaves_no_process_behind() {
    nothing_is_left_after(Signal::SIGKILL, own_seed(1), None);
}

#[test]
fn an_interrupted_demo_exits_with_128_plus_the_signal_and_leaves_no_process_behind() {
    let interrupted = if is_ignored(Signal::SIGINT) { 0 } else { 128 + 2 };
    nothing_is_left_after(Signal::SIGINT, own_seed(2), Some(interrupted));
    nothing_is_left_after(Signal::SIGTERM, own_seed(3), Some(128 + 15));
}

/// Whether this process, and so a demo that it starts, ignores the signal. A shell without job
/// control lets background jobs ignore SIGINT (POSIX, Asynchronous Lists); such a demo completes.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
    mask & (1 << (signal as i32 - 1)) != 0
}

#[test]
fn files_are_kept_only_with_keep() {
    let temp = tempfile::tempdir().unwrap();
    let mut command = demo(&["--keep"]);
    let events = events(command.env("TMPDIR", temp.path()));
    assert!(summary(&events[..position_of_end(&events)]).kept);
    let kept: Vec<_> = std::fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let record = kept[0].join("registry/staticips/10.0.1.50.yaml");
    assert!(std::fs::read_to_string(&record).unwrap().contains("demo"), "{record:?}");
    assert!(kept[0].join("log").read_dir().unwrap().count() > 10);
}

fn position_of_end(events: &[Event]) -> usize {
    let end = events.iter().position(|event| matches!(event, Event::Ended(_)));
    end.expect("the last event") + 1
}
