//! 150 members at once: their addresses are parked on some nodes, and their init containers start
//! on other nodes at the same moment. In direct mode EC2's token bucket of mutating calls, which
//! holds 100 and gains 5 per second, lets the last Assign pass after 10 s at the earliest.

use std::fs::File;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use firecamp_demo::process::{DEADLINE, Process};
use firecamp_registry::{FileRegistry, Timeouts};

use super::endpoint::Endpoint;
use super::fixture::{Fixture, Place};
use super::pod;
use super::records;
use super::spec::{CONCURRENT, HALF, node_name};
use crate::failure::Failure;
use crate::samples::{Samples, progress};
use crate::table::ENDPOINT;

/// The minimum time of the token bucket.
const ALLOWED_S: f64 = 10.0;

/// The number of failures to print.
const PRINTED: usize = 5;

/// Poll interval while containers are created.
const POLL: Duration = Duration::from_millis(10);

/// Init containers attach the addresses themselves.
pub(crate) fn direct(mut fixture: Fixture) -> Result<Samples, Failure> {
    let open = |fixture: &Fixture| {
        let registry = FileRegistry::open(fixture.registry_dir(), Timeouts::default());
        registry.map_err(records::failed)
    };
    records::fill(&mut fixture, open, homes())?;
    let (mut samples, took) = play(&mut fixture)?;
    samples.add("storm.ratio", took / ALLOWED_S);
    Ok(samples)
}

/// Init containers ask the agents.
pub(crate) fn endpoint(mut fixture: Fixture) -> Result<Samples, Failure> {
    fixture.endpoint = Some(Endpoint::start(&mut fixture, homes())?);
    let (samples, _took) = play(&mut fixture)?;
    Ok(samples.prefixed(ENDPOINT))
}

/// EC2 has each address on one of the first half of the nodes.
fn homes() -> impl Iterator<Item = (u32, String, usize)> {
    (0..CONCURRENT).map(|number| (number, node_name(number % HALF), 0))
}

/// Runs all init containers; returns also the seconds from the first request to the last end.
fn play(fixture: &mut Fixture) -> Result<(Samples, f64), Failure> {
    let path = fixture.path("gate");
    let gate = File::create(&path).map_err(Failure::of(path.display()))?;
    gate.lock().map_err(Failure::of("lock the gate"))?;
    let (mut containers, mut marks) = (Vec::new(), Vec::new());
    for number in 0..CONCURRENT {
        let traces = fixture.traces(&format!("init-{number}"));
        marks.push(traces.mark.clone());
        let mut command = pod::init_behind(&path, fixture, &next_place(number), &traces)?;
        let name = "an init container";
        containers.push(Process::start(name, &mut command, traces, fixture.clock)?);
    }
    await_creation(fixture, &marks)?;
    let since = fixture.last_call()?;
    drop(gate);
    let (mut first, mut last, mut failed) = (u64::MAX, 0, 0);
    for container in &containers {
        let ended = container.wait()?;
        (first, last) = (first.min(ended.began_us), last.max(ended.to_us));
        if ended.exit != Some(0) {
            failed += 1;
            if failed <= PRINTED {
                let failure = container.failed(&format!("ended with {:?}", ended.exit));
                progress(&Failure::from(failure).to_string());
            }
        }
    }
    let took = Duration::from_micros(last.saturating_sub(first)).as_secs_f64();
    progress(&format!("{CONCURRENT} members in {took:.1} s"));
    let calls = fixture.ec2_calls(since)?;
    let mutating = calls.iter().filter(|call| call.mutating).count();
    let count = |things: usize| f64::from(u32::try_from(things).unwrap_or(u32::MAX));
    let mut samples = Samples::default();
    samples.add("storm.took", took);
    samples.add("storm.failed", count(failed));
    samples.add("storm.calls", count(calls.len()));
    samples.add("storm.mutating", count(mutating));
    Ok((samples, took))
}

/// Waits until all containers wait at the gate.
fn await_creation(fixture: &Fixture, marks: &[PathBuf]) -> Result<(), Failure> {
    let deadline = fixture.clock.now().saturating_add(DEADLINE);
    while !marks.iter().all(|mark| mark.exists()) {
        if fixture.clock.now() >= deadline {
            return Err(Failure::new("failed to create all init containers"));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The member's next pod, on the other half of the nodes.
fn next_place(number: u32) -> Place {
    Place {
        member: format!("redis-{number}"),
        uid: format!("pod-{number}"),
        node: node_name(HALF + number % HALF),
    }
}
