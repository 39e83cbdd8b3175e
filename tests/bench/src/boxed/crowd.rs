//! 150 members at once: their addresses are parked on some nodes, and their pods start on others
//! in the same moment, as real processes. EC2's bucket of mutating calls holds 100 and gains 5 a
//! second, so the last Assign can pass no earlier than after 10 s.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;

use firecamp_registry::{FileRegistry, Timeouts};

use super::orders::Orders;
use super::records;
use super::spec::{CROWD, HALF, node_name};
use super::stage::{Place, Stage};
use crate::failure::Failure;
use crate::samples::{Samples, progress};

/// The soonest that EC2 lets the last one pass.
const ALLOWED_S: f64 = 10.0;

/// Failures that are told.
const TOLD: usize = 5;

/// Plays once.
pub(crate) fn play(orders: Orders) -> Result<Samples, Failure> {
    let mut stage = Stage::set_up(orders)?;
    // EC2 has each address on its first node.
    let homes = (0..CROWD).map(|number| (number, node_name(number % HALF), 0));
    let open = |stage: &Stage| {
        let registry = FileRegistry::open(stage.registry_dir(), Timeouts::default());
        registry.map_err(records::failed)
    };
    records::fill(&mut stage, open, homes)?;
    let (mut commands, mut logs) = (Vec::new(), Vec::new());
    for number in 0..CROWD {
        let (command, log) = init(&mut stage, number)?;
        commands.push(command);
        logs.push(log);
    }
    let clock = stage.clock;
    let gate = Barrier::new(commands.len());
    let mark = stage.last_call()?;
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
        let lost = |_panic| Err(Failure::new("a thread was lost"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect()
    });
    let ended: Vec<(u64, u64, bool)> = ended.into_iter().collect::<Result<_, _>>()?;
    let first = ended.iter().map(|(began_us, _, _)| *began_us).min().unwrap_or_default();
    let last = ended.iter().map(|(_, ended_us, _)| *ended_us).max().unwrap_or_default();
    let failed: Vec<&PathBuf> =
        ended.iter().zip(&logs).filter(|((_, _, well), _)| !well).map(|(_, log)| log).collect();
    for log in failed.iter().take(TOLD) {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        progress(&format!("failed: {}", text.lines().last().unwrap_or("without a word")));
    }
    let took = std::time::Duration::from_micros(last.saturating_sub(first)).as_secs_f64();
    progress(&format!("{CROWD} members in {took:.1} s"));
    let count = |things: usize| f64::from(u32::try_from(things).unwrap_or(u32::MAX));
    let mut samples = Samples::default();
    samples.add("storm.took", took);
    samples.add("storm.ratio", took / ALLOWED_S);
    samples.add("storm.failed", count(failed.len()));
    samples.add("storm.calls", count(stage.ec2_calls(mark)?.len()));
    Ok(samples)
}

/// The init container of a member's next pod, on the other half of the nodes.
fn init(stage: &mut Stage, number: u32) -> Result<(Command, PathBuf), Failure> {
    let place = Place {
        member: format!("redis-{number}"),
        uid: format!("pod-{number}"),
        node: node_name(HALF + number % HALF),
    };
    stage.make_volume(&place.member)?;
    let traces = stage.traces(&format!("init-{number}"));
    let log = std::fs::File::create(&traces.log).map_err(Failure::of(traces.log.display()))?;
    let mut command = stage.marked(&place.node, &traces, &stage.tools.init);
    command
        .envs(stage.environment(&place, &traces))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Ok((command, traces.log))
}
