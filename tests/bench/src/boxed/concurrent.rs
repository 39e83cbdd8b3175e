//! 150 members at once: their addresses are parked on some nodes, and their init containers start
//! on other nodes at the same moment. EC2's token bucket of mutating calls holds 100 and gains 5
//! per second, so the last Assign passes after 10 s at the earliest.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;

use firecamp_registry::{FileRegistry, Timeouts};

use super::fixture::{Fixture, Place};
use super::job::Job;
use super::records;
use super::spec::{CONCURRENT, HALF, node_name};
use crate::failure::Failure;
use crate::samples::{Samples, progress};

/// The minimum time of the token bucket.
const ALLOWED_S: f64 = 10.0;

/// The number of failures to print.
const PRINTED: usize = 5;

/// Runs the scenario once.
pub(crate) fn play(job: Job) -> Result<Samples, Failure> {
    let mut fixture = Fixture::set_up(job)?;
    // EC2 has each address on one of the first half of the nodes.
    let homes = (0..CONCURRENT).map(|number| (number, node_name(number % HALF), 0));
    let open = |fixture: &Fixture| {
        let registry = FileRegistry::open(fixture.registry_dir(), Timeouts::default());
        registry.map_err(records::failed)
    };
    records::fill(&mut fixture, open, homes)?;
    let (mut commands, mut logs) = (Vec::new(), Vec::new());
    for number in 0..CONCURRENT {
        let (command, log) = init(&mut fixture, number)?;
        commands.push(command);
        logs.push(log);
    }
    let clock = fixture.clock;
    let gate = Barrier::new(commands.len());
    let since = fixture.last_call()?;
    let ended: Vec<Result<(u64, u64, bool), Failure>> = thread::scope(|scope| {
        let start = |mut command: Command| {
            let gate = &gate;
            scope.spawn(move || {
                gate.wait();
                let began_us = clock.now_us();
                let status = command.status().map_err(Failure::of("start a container"))?;
                Ok((began_us, clock.now_us(), status.success()))
            })
        };
        let threads: Vec<_> = commands.into_iter().map(start).collect();
        let lost = |_panic| Err(Failure::new("a thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect()
    });
    let ended: Vec<(u64, u64, bool)> = ended.into_iter().collect::<Result<_, _>>()?;
    let first = ended.iter().map(|(began_us, _, _)| *began_us).min().unwrap_or_default();
    let last = ended.iter().map(|(_, ended_us, _)| *ended_us).max().unwrap_or_default();
    let failed: Vec<&PathBuf> =
        ended.iter().zip(&logs).filter(|((_, _, well), _)| !well).map(|(_, log)| log).collect();
    for log in failed.iter().take(PRINTED) {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        progress(&format!("failed: {}", text.lines().last().unwrap_or("no log output")));
    }
    let took = std::time::Duration::from_micros(last.saturating_sub(first)).as_secs_f64();
    progress(&format!("{CONCURRENT} members in {took:.1} s"));
    let count = |things: usize| f64::from(u32::try_from(things).unwrap_or(u32::MAX));
    let mut samples = Samples::default();
    samples.add("storm.took", took);
    samples.add("storm.ratio", took / ALLOWED_S);
    samples.add("storm.failed", count(failed.len()));
    samples.add("storm.calls", count(fixture.ec2_calls(since)?.len()));
    Ok(samples)
}

/// The init container of a member's next pod, on the other half of the nodes.
fn init(fixture: &mut Fixture, number: u32) -> Result<(Command, PathBuf), Failure> {
    let place = Place {
        member: format!("redis-{number}"),
        uid: format!("pod-{number}"),
        node: node_name(HALF + number % HALF),
    };
    fixture.make_volume(&place.member)?;
    let traces = fixture.traces(&format!("init-{number}"));
    let log = std::fs::File::create(&traces.log).map_err(Failure::of(traces.log.display()))?;
    let mut command = fixture.marked(&place.node, &traces, &fixture.tools.init);
    command
        .envs(fixture.environment(&place, &traces))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Ok((command, traces.log))
}
