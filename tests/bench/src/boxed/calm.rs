//! A node on which nothing happens: fifty members are up, and its agent is watched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, SystemTime};

use firecamp_cli::process::Process;
use firecamp_core::contract::env;
use nix::sys::signal::Signal;
use vpcbox::vpc::Act;

use super::orders::Orders;
use super::spec::{CLUSTER, RESIDENTS, VOLUMES, address, node_name};
use super::stage::{Place, Stage};
use super::{pod, records};
use crate::failure::Failure;
use crate::machine::field;
use crate::samples::{Samples, progress};

/// How often memory is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// How often in a minute.
const A_MINUTE: u32 = 12;
/// What an agent logs when it has looked at everything once.
const READY: &str = "The agent is ready";
/// How often an address is stripped.
const STRIPS: u32 = 30;
/// An agent that has just begun has not yet come round to everything.
const SETTLED: Duration = Duration::from_secs(20);

/// Plays: members up, agent up, quiet for so long, then strips.
pub(crate) fn play(orders: Orders, minutes: u32) -> Result<Samples, Failure> {
    let mut stage = Stage::set_up(orders)?;
    populate(&mut stage)?;
    let agent = start_agent(&mut stage)?;
    thread::sleep(SETTLED);
    let mut samples = Samples::default();
    watch(&mut stage, &mut samples, &agent, minutes)?;
    for number in 0..STRIPS {
        samples.add("agent.restore", strip(&mut stage, number % RESIDENTS)?);
    }
    agent.signal(Signal::SIGTERM)?;
    match agent.wait()?.exit {
        Some(0) => Ok(samples),
        other => Err(agent.failed(&format!("ended with {other:?}")).into()),
    }
}

/// What a steady node promises, of the samples of a run.
pub(crate) fn judge(samples: &Samples) -> Result<(), Failure> {
    let promises = [
        ("agent.calls", 1.0),
        ("agent.mutating", 0.0),
        ("agent.writes", 0.0),
        ("agent.slope", 1.0),
    ];
    for (id, most) in promises {
        let values = samples.0.get(id).map(Vec::as_slice).unwrap_or_default();
        let worst = values.iter().copied().max_by(f64::total_cmp);
        let worst = worst.ok_or_else(|| Failure::new(format!("{id} was not measured")))?;
        if worst > most {
            return Err(Failure::new(format!("{id} is {worst:.3}, which is more than {most}")));
        }
    }
    Ok(())
}

/// Fifty members, each by its own init container, and volumes.
fn populate(stage: &mut Stage) -> Result<(), Failure> {
    let half = RESIDENTS / 2;
    let homes = (0..RESIDENTS).map(|number| (number, node_name(0), usize::from(number >= half)));
    records::fill(stage, homes)?;
    for number in 0..RESIDENTS {
        let place = Place {
            member: format!("redis-{number}"),
            uid: format!("pod-{number}"),
            node: node_name(0),
        };
        let eni = if number < half { "primary" } else { "1" };
        pod::attach(stage, &place, (env::ENI, eni))?;
    }
    for number in 0..VOLUMES {
        let id = format!("vol-{number:017x}");
        let zone = "us-east-1a".to_owned();
        stage.vpc.act(Act::CreateVolume { id: id.clone(), zone, size_gib: 8 })?;
        stage.vpc.act(Act::AttachVolume { volume: id, node: node_name(0), device: None })?;
    }
    progress(&format!("{RESIDENTS} members are up"));
    Ok(())
}

fn start_agent(stage: &mut Stage) -> Result<Process, Failure> {
    let traces = stage.traces("agent");
    let mut command = stage.marked(&node_name(0), &traces, &stage.tools.agent);
    command
        .env(env::CLUSTER, CLUSTER)
        .env(env::NODE_NAME, node_name(0))
        .env(env::REGISTRY, format!("file://{}", stage.registry_dir().display()))
        .env(env::LOG_FORMAT, "json")
        .env(env::TERMINATION_LOG, traces.last_words());
    let process = Process::start("the agent", &mut command, traces, stage.clock)?;
    process.logged(READY)?;
    Ok(process)
}

/// Memory, processor time, calls and writes of so many minutes in which nothing happens.
fn watch(
    stage: &mut Stage,
    samples: &mut Samples,
    agent: &Process,
    minutes: u32,
) -> Result<(), Failure> {
    let (since, files) = (stage.last_call()?, files(&stage.registry_dir())?);
    let (begun_us, spent) = (stage.clock.now_us(), spent(agent)?);
    let mut memory = Vec::new();
    for look in 0..minutes.saturating_mul(A_MINUTE) {
        let kib = resident_kib(agent)?;
        samples.add("agent.rss", kib / 1024.0);
        memory.push((f64::from(look) / f64::from(A_MINUTE), kib));
        if look % A_MINUTE == A_MINUTE - 1 {
            let minute = look.saturating_add(1) / A_MINUTE;
            progress(&format!("{minute} of {minutes} quiet minutes, {kib} KiB"));
        }
        thread::sleep(EVERY);
    }
    let wall_us = stage.clock.now_us().saturating_sub(begun_us);
    let used = self::spent(agent)?.saturating_sub(spent);
    let wall = Duration::from_micros(wall_us).as_secs_f64();
    samples.add("agent.cpu", 100.0 * used.as_secs_f64() / wall);
    let half = memory.get(memory.len() / 2..).unwrap_or_default();
    samples.add("agent.slope", slope(half));
    let changed = changed(&files, &self::files(&stage.registry_dir())?);
    samples.add("agent.writes", f64::from(u32::try_from(changed).unwrap_or(u32::MAX)));
    note_calls(stage, samples, since)
}

/// The shortest time between two calls says how many a minute could have.
fn note_calls(stage: &mut Stage, samples: &mut Samples, since: u64) -> Result<(), Failure> {
    let calls = stage.ec2_calls(since)?;
    let mutating = calls.iter().filter(|call| call.mutating).count();
    samples.add("agent.mutating", f64::from(u32::try_from(mutating).unwrap_or(u32::MAX)));
    let mut rate = 0.0_f64;
    for (one, next) in calls.iter().zip(calls.iter().skip(1)) {
        let gap = Duration::from_micros(next.at_us.saturating_sub(one.at_us));
        // A second of jitter on the way is nobody's haste.
        rate = rate.max(60.0 / (gap.as_secs_f64() + 1.0));
    }
    let once = if calls.is_empty() { 0.0 } else { 1.0 / 60.0 };
    samples.add("agent.calls", rate.max(once));
    Ok(())
}

fn strip(stage: &mut Stage, number: u32) -> Result<f64, Failure> {
    let traces = stage.traces("strip");
    let mut command = stage.marked(&node_name(0), &traces, &stage.tools.vpcbox);
    command.args(["probe", "strip", &address(number).to_string()]).stdin(Stdio::null());
    let said = command.output().map_err(Failure::of("strip an address"))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let away = text.trim().strip_prefix("back after ").and_then(|us| us.parse::<u64>().ok());
    let away = away.ok_or_else(|| Failure::new(String::from_utf8_lossy(&said.stderr)))?;
    Ok(Duration::from_micros(away).as_secs_f64() * 1e3)
}

/// `VmRSS`.
fn resident_kib(agent: &Process) -> Result<f64, Failure> {
    let text = field(&format!("/proc/{}/status", agent.pid()), "VmRSS").unwrap_or_default();
    let number = text.split_whitespace().next().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::new("the agent's memory is not known"))
}

/// The time that its threads had a processor: the kernel counts it in nanoseconds.
fn spent(agent: &Process) -> Result<Duration, Failure> {
    let tasks = format!("/proc/{}/task", agent.pid());
    let mut total = 0_u64;
    for task in fs::read_dir(&tasks).map_err(Failure::of(&tasks))? {
        let path = task.map_err(Failure::of(&tasks))?.path().join("schedstat");
        // A thread that has ended meanwhile.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let first = text.split_whitespace().next().and_then(|text| text.parse::<u64>().ok());
        total = total.saturating_add(first.unwrap_or_default());
    }
    Ok(Duration::from_nanos(total))
}

type Files = BTreeMap<PathBuf, SystemTime>;

fn files(dir: &Path) -> Result<Files, Failure> {
    let mut found = Files::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).map_err(Failure::of(dir.display()))? {
            let path = entry.map_err(Failure::of(dir.display()))?.path();
            let about = fs::metadata(&path).map_err(Failure::of(path.display()))?;
            if about.is_dir() {
                left.push(path.clone());
            }
            found.insert(path.clone(), about.modified().map_err(Failure::of(path.display()))?);
        }
    }
    Ok(found)
}

fn changed(before: &Files, after: &Files) -> usize {
    let differs = |(path, at): &(&PathBuf, &SystemTime)| before.get(*path) != Some(*at);
    let gone = before.keys().filter(|path| !after.contains_key(*path)).count();
    after.iter().filter(differs).count().saturating_add(gone)
}

/// By least squares; 0 without two points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = f64::from(u32::try_from(points.len()).unwrap_or(u32::MAX));
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let own: f64 = points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum();
    if own > 0.0 { both / own } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_line_through_the_points() {
        assert!((slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[(0.0, 5.0), (1.0, 5.0)]).abs() < 1e-9);
        assert!(slope(&[(1.0, 5.0)]).abs() < 1e-9);
    }

    #[test]
    fn a_file_that_is_new_gone_or_written_again_has_changed() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let before: Files = [("a".into(), at(1)), ("b".into(), at(1))].into();
        let after: Files = [("a".into(), at(2)), ("c".into(), at(1))].into();
        assert_eq!(changed(&before, &after), 3);
        assert_eq!(changed(&before, &before), 0);
    }

    #[test]
    fn a_promise_that_is_broken_or_not_measured_fails() {
        let mut samples = Samples::default();
        assert!(judge(&samples).is_err());
        for id in ["agent.calls", "agent.mutating", "agent.writes", "agent.slope"] {
            samples.add(id, 0.0);
        }
        assert!(judge(&samples).is_ok());
        samples.add("agent.mutating", 1.0);
        assert!(judge(&samples).unwrap_err().to_string().contains("agent.mutating"));
    }
}
