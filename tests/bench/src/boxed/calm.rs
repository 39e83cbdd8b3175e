//! A node on which nothing happens: fifty members with half as many volumes are up, their registry
//! is the API of a cluster, and the node's agent is watched.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use firecamp_core::contract::{ALLOCATOR, env};
use firecamp_demo::process::Process;
use nix::sys::signal::Signal;
use vpcbox::vpc::Act;

use super::cluster::Cluster;
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
const READY: &str = "agent ready";
/// How often an address is stripped.
const STRIPS: u32 = 30;
/// An agent that has just begun publishes what it finds. It is quiet once it has written nothing
/// for so long: what it has not found out after four minutes it says is unknown, and EC2 tells of
/// volumes every five. It has to be quiet before the second is over.
const QUIET: Duration = Duration::from_mins(6);
pub(super) const SETTLED: Duration = Duration::from_mins(30);
/// A process touches pages as long as things that it does meet in a way in which they never met:
/// after a quarter of an hour they have.
const WARM: Duration = Duration::from_mins(20);
/// What an agent writes in its first minutes is not told one by one.
const BUSY: u32 = 5 * A_MINUTE;

/// Plays: members up, agent up, quiet for so long, then strips.
pub(crate) fn play(orders: Orders, minutes: u32) -> Result<Samples, Failure> {
    let mut stage = Stage::set_up(orders)?;
    let cluster = Cluster::start(&mut stage, &node_name(0))?;
    populate(&mut stage, &cluster)?;
    let agent = start_agent(&mut stage, &cluster)?;
    settle(&stage, &cluster)?;
    let mut samples = Samples::default();
    watch((&mut stage, &cluster), &mut samples, &agent, minutes)?;
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
fn populate(stage: &mut Stage, cluster: &Cluster) -> Result<(), Failure> {
    let half = RESIDENTS / 2;
    let homes = (0..RESIDENTS).map(|number| (number, node_name(0), usize::from(number >= half)));
    records::fill(stage, |_stage| Ok(cluster.registry()), homes)?;
    let url = cluster.url();
    for number in 0..RESIDENTS {
        let place = Place {
            member: format!("redis-{number}"),
            uid: format!("pod-{number}"),
            node: node_name(0),
        };
        let eni = if number < half { "primary" } else { "1" };
        cluster.shows(&place);
        pod::attach(stage, &place, &[(env::ENI, eni), (env::REGISTRY, &url)])?;
    }
    let mounts = ["mounts", &VOLUMES.to_string()];
    let made = stage.in_node(&node_name(0), &mounts).status();
    if !made.map_err(Failure::of("make mounts"))?.success() {
        return Err(Failure::new("the node has no mounts; see above"));
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

fn start_agent(stage: &mut Stage, cluster: &Cluster) -> Result<Process, Failure> {
    let traces = stage.traces("agent");
    let mut command = stage.marked(&node_name(0), &traces, &stage.tools.agent);
    command
        // As the DaemonSet has it.
        .env(ALLOCATOR.0, ALLOCATOR.1)
        .env(env::CLUSTER, CLUSTER)
        .env(env::NODE_NAME, node_name(0))
        .env(env::REGISTRY, cluster.url())
        .env(env::LOG_FORMAT, "json")
        .env(env::TERMINATION_LOG, traces.termination_message());
    let process = Process::start("the agent", &mut command, traces, stage.clock)?;
    process.logged(READY)?;
    Ok(process)
}

fn settle(stage: &Stage, cluster: &Cluster) -> Result<(), Failure> {
    let (begun, mut seen, mut since) = (stage.clock.now(), 0, stage.clock.now());
    let mut looks = 0_u32;
    let ago = |moment: Duration| stage.clock.now().saturating_sub(moment);
    while ago(since) < QUIET || ago(begun) < WARM {
        if ago(begun) >= SETTLED {
            return Err(Failure::new("the agent has not come to rest: it writes again and again"));
        }
        thread::sleep(EVERY);
        cluster.renew_the_lease();
        looks = looks.saturating_add(1);
        if looks.is_multiple_of(A_MINUTE) {
            progress(&format!("minute {}, {seen} writes so far", looks / A_MINUTE));
        }
        let (_asked, writes) = cluster.asked_since(0);
        for write in writes.iter().skip(seen).filter(|_write| looks > BUSY) {
            progress(&format!("a late write: {write}"));
        }
        if writes.len() > seen {
            (seen, since) = (writes.len(), stage.clock.now());
        }
    }
    progress(&format!("{seen} writes to the API until then"));
    Ok(())
}

/// Memory, processor time, calls and writes of so many minutes in which nothing happens.
fn watch(
    (stage, cluster): (&mut Stage, &Cluster),
    samples: &mut Samples,
    agent: &Process,
    minutes: u32,
) -> Result<(), Failure> {
    let (since, asked) = (stage.last_call()?, cluster.asked_since(0).0.len());
    let (begun_us, spent) = (stage.clock.now_us(), spent(agent)?);
    let mut memory = Vec::new();
    for look in 0..minutes.saturating_mul(A_MINUTE) {
        samples.add("agent.rss", kib(agent, "VmRSS")? / 1024.0);
        let own = kib(agent, "RssAnon")?;
        samples.add("agent.own", own / 1024.0);
        memory.push((f64::from(look) / f64::from(A_MINUTE), own));
        if look % A_MINUTE == A_MINUTE - 1 {
            let minute = look.saturating_add(1) / A_MINUTE;
            progress(&format!("{minute} of {minutes} quiet minutes, {own} KiB of its own"));
        }
        cluster.renew_the_lease();
        thread::sleep(EVERY);
    }
    let wall_us = stage.clock.now_us().saturating_sub(begun_us);
    let used = self::spent(agent)?.saturating_sub(spent);
    let wall = Duration::from_micros(wall_us).as_secs_f64();
    samples.add("agent.cpu", 100.0 * used.as_secs_f64() / wall);
    let half = memory.get(memory.len() / 2..).unwrap_or_default();
    samples.add("agent.slope", slope(half));
    note_requests(cluster, samples, asked, wall);
    note_calls(stage, samples, since)
}

/// What the API was asked; each write is told, because there should be none.
fn note_requests(cluster: &Cluster, samples: &mut Samples, since: usize, seconds: f64) {
    let (asked, writes) = cluster.asked_since(since);
    for write in &writes {
        progress(&format!("a write: {write}"));
    }
    let count = |all: &[String]| f64::from(u32::try_from(all.len()).unwrap_or(u32::MAX));
    samples.add("agent.writes", count(&writes));
    samples.add("agent.requests", 60.0 * count(&asked) / seconds);
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
    let away = text.trim().strip_prefix("restored after ").and_then(|us| us.parse::<u64>().ok());
    let away = away.ok_or_else(|| Failure::new(String::from_utf8_lossy(&said.stderr)))?;
    Ok(Duration::from_micros(away).as_secs_f64() * 1e3)
}

/// A line of `/proc/PID/status`.
fn kib(agent: &Process, line: &str) -> Result<f64, Failure> {
    let text = field(&format!("/proc/{}/status", agent.pid()), line).unwrap_or_default();
    let number = text.split_whitespace().next().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::new(format!("the agent's {line} is not known")))
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
