//! An idle node with fifty members and 25 volumes: measures the node's agent, with the Kubernetes
//! registry.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use firecamp_core::contract::env;
use firecamp_demo::process::Process;
use nix::sys::signal::Signal;
use vpcbox::vpc::Act;

use super::cluster::Cluster;
use super::fixture::{Fixture, Place, READY};
use super::job::Job;
use super::spec::{IDLE_MEMBERS, VOLUMES, address, node_name};
use super::{pod, records};
use crate::failure::Failure;
use crate::machine::field;
use crate::samples::{Samples, progress};

/// The interval of memory samples.
const INTERVAL: Duration = Duration::from_secs(5);
/// Samples per minute.
const PER_MINUTE: u32 = 12;
/// How often an address is removed from the kernel.
const STRIPS: u32 = 30;
/// After its start an agent publishes what it observes: it reports unknown conditions after four
/// minutes and polls volumes in EC2 every five. It is idle after this time without a write. It must
/// be idle before `SETTLED` has passed.
const QUIET: Duration = Duration::from_mins(6);
pub(super) const SETTLED: Duration = Duration::from_mins(30);
/// A process touches new pages as long as new combinations of its periodic work occur: about a
/// quarter of an hour.
const WARM: Duration = Duration::from_mins(20);
/// The agent's writes in its first minutes are not printed one by one.
const BUSY: u32 = 5 * PER_MINUTE;

/// Starts the members and the agent, waits until the agent is idle, measures, and then removes
/// addresses.
pub(crate) fn play(job: Job, minutes: u32) -> Result<Samples, Failure> {
    let mut fixture = Fixture::set_up(job)?;
    let cluster = Cluster::start(&mut fixture, &[node_name(0)])?;
    populate(&mut fixture, &cluster)?;
    let agent = fixture.start_agent(&node_name(0), &cluster.url(), &[])?;
    agent.logged(READY)?;
    settle(&fixture, &cluster)?;
    let mut samples = Samples::default();
    watch((&mut fixture, &cluster), &mut samples, &agent, minutes)?;
    for number in 0..STRIPS {
        samples.add("agent.restore", strip(&mut fixture, number % IDLE_MEMBERS)?);
    }
    agent.signal(Signal::SIGTERM)?;
    match agent.wait()?.exit {
        Some(0) => Ok(samples),
        other => Err(agent.failed(&format!("ended with {other:?}")).into()),
    }
}

/// Checks the limits of an idle node.
pub(crate) fn check_limits(samples: &Samples) -> Result<(), Failure> {
    let limits = [
        ("agent.calls", 1.0),
        ("agent.mutating", 0.0),
        ("agent.writes", 0.0),
        ("agent.slope", 1.0),
    ];
    for (id, most) in limits {
        let values = samples.0.get(id).map(Vec::as_slice).unwrap_or_default();
        let worst = values.iter().copied().max_by(f64::total_cmp);
        let worst = worst.ok_or_else(|| Failure::new(format!("{id} was not measured")))?;
        if worst > most {
            return Err(Failure::new(format!("{id} is {worst:.3}, which is more than {most}")));
        }
    }
    Ok(())
}

/// Attaches fifty members by their init containers, and creates volumes.
fn populate(fixture: &mut Fixture, cluster: &Cluster) -> Result<(), Failure> {
    let half = IDLE_MEMBERS / 2;
    let homes = (0..IDLE_MEMBERS).map(|number| (number, node_name(0), usize::from(number >= half)));
    records::fill(fixture, |_fixture| Ok(cluster.registry()), homes)?;
    let url = cluster.url();
    for number in 0..IDLE_MEMBERS {
        let place = Place {
            member: format!("redis-{number}"),
            uid: format!("pod-{number}"),
            node: node_name(0),
        };
        let eni = if number < half { "primary" } else { "1" };
        cluster.create_pod(&place);
        pod::attach(fixture, &place, &[(env::ENI, eni), (env::REGISTRY, &url)])?;
    }
    let mounts = ["mounts", &VOLUMES.to_string()];
    let made = fixture.in_node(&node_name(0), &mounts).status();
    if !made.map_err(Failure::of("make mounts"))?.success() {
        return Err(Failure::new("failed to create the mounts of the node; see the output above"));
    }
    for number in 0..VOLUMES {
        let id = format!("vol-{number:017x}");
        let zone = "us-east-1a".to_owned();
        fixture.vpc.act(Act::CreateVolume { id: id.clone(), zone, size_gib: 8 })?;
        fixture.vpc.act(Act::AttachVolume { volume: id, node: node_name(0), device: None })?;
    }
    progress(&format!("{IDLE_MEMBERS} members are attached"));
    Ok(())
}

fn settle(fixture: &Fixture, cluster: &Cluster) -> Result<(), Failure> {
    let (begun, mut seen, mut since) = (fixture.clock.now(), 0, fixture.clock.now());
    let mut samples = 0_u32;
    let ago = |moment: Duration| fixture.clock.now().saturating_sub(moment);
    while ago(since) < QUIET || ago(begun) < WARM {
        if ago(begun) >= SETTLED {
            return Err(Failure::new("the agent did not become idle: it still writes to the API"));
        }
        thread::sleep(INTERVAL);
        cluster.renew_the_lease();
        samples = samples.saturating_add(1);
        if samples.is_multiple_of(PER_MINUTE) {
            progress(&format!("minute {}, {seen} writes so far", samples / PER_MINUTE));
        }
        let (_asked, writes) = cluster.requests_since(0);
        for write in writes.iter().skip(seen).filter(|_write| samples > BUSY) {
            progress(&format!("a late write: {write}"));
        }
        if writes.len() > seen {
            (seen, since) = (writes.len(), fixture.clock.now());
        }
    }
    progress(&format!("{seen} writes to the API until then"));
    Ok(())
}

/// Measures memory, CPU time, calls and writes for some idle minutes.
fn watch(
    (fixture, cluster): (&mut Fixture, &Cluster),
    samples: &mut Samples,
    agent: &Process,
    minutes: u32,
) -> Result<(), Failure> {
    let (since, asked) = (fixture.last_call()?, cluster.requests_since(0).0.len());
    let (begun_us, spent) = (fixture.clock.now_us(), spent(agent)?);
    let mut memory = Vec::new();
    for sample in 0..minutes.saturating_mul(PER_MINUTE) {
        samples.add("agent.rss", kib(agent, "VmRSS")? / 1024.0);
        let own = kib(agent, "RssAnon")?;
        samples.add("agent.own", own / 1024.0);
        memory.push((f64::from(sample) / f64::from(PER_MINUTE), own));
        if sample % PER_MINUTE == PER_MINUTE - 1 {
            let minute = sample.saturating_add(1) / PER_MINUTE;
            progress(&format!("{minute} of {minutes} idle minutes, {own} KiB of anonymous memory"));
        }
        cluster.renew_the_lease();
        thread::sleep(INTERVAL);
    }
    let wall_us = fixture.clock.now_us().saturating_sub(begun_us);
    let used = self::spent(agent)?.saturating_sub(spent);
    let wall = Duration::from_micros(wall_us).as_secs_f64();
    samples.add("agent.cpu", 100.0 * used.as_secs_f64() / wall);
    let half = memory.get(memory.len() / 2..).unwrap_or_default();
    samples.add("agent.slope", slope(half));
    note_requests(cluster, samples, asked, wall);
    note_calls(fixture, samples, since)
}

/// Counts the API requests, and prints each write, because there should be none.
fn note_requests(cluster: &Cluster, samples: &mut Samples, since: usize, seconds: f64) {
    let (asked, writes) = cluster.requests_since(since);
    for write in &writes {
        progress(&format!("a write: {write}"));
    }
    let count = |all: &[String]| f64::from(u32::try_from(all.len()).unwrap_or(u32::MAX));
    samples.add("agent.writes", count(&writes));
    samples.add("agent.requests", 60.0 * count(&asked) / seconds);
}

/// Derives the highest possible rate of calls from the shortest time between two of them.
fn note_calls(fixture: &mut Fixture, samples: &mut Samples, since: u64) -> Result<(), Failure> {
    let calls = fixture.ec2_calls(since)?;
    let mutating = calls.iter().filter(|call| call.mutating).count();
    samples.add("agent.mutating", f64::from(u32::try_from(mutating).unwrap_or(u32::MAX)));
    let mut rate = 0.0_f64;
    for (one, next) in calls.iter().zip(calls.iter().skip(1)) {
        let gap = Duration::from_micros(next.at_us.saturating_sub(one.at_us));
        // Allows for one second of latency jitter.
        rate = rate.max(60.0 / (gap.as_secs_f64() + 1.0));
    }
    let once = if calls.is_empty() { 0.0 } else { 1.0 / 60.0 };
    samples.add("agent.calls", rate.max(once));
    Ok(())
}

fn strip(fixture: &mut Fixture, number: u32) -> Result<f64, Failure> {
    let traces = fixture.traces("strip");
    let mut command = fixture.marked(&node_name(0), &traces, &fixture.tools.vpcbox);
    command.args(["probe", "strip", &address(number).to_string()]).stdin(Stdio::null());
    let output = command.output().map_err(Failure::of("strip an address"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let away = text.trim().strip_prefix("restored after ").and_then(|us| us.parse::<u64>().ok());
    let away = away.ok_or_else(|| Failure::new(String::from_utf8_lossy(&output.stderr)))?;
    Ok(Duration::from_micros(away).as_secs_f64() * 1e3)
}

/// The value of a line of `/proc/PID/status`.
fn kib(agent: &Process, line: &str) -> Result<f64, Failure> {
    let text = field(&format!("/proc/{}/status", agent.pid()), line).unwrap_or_default();
    let number = text.split_whitespace().next().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::new(format!("failed to read {line} of the agent")))
}

/// The CPU time of its threads.
fn spent(agent: &Process) -> Result<Duration, Failure> {
    let tasks = format!("/proc/{}/task", agent.pid());
    let mut total = 0_u64;
    for task in fs::read_dir(&tasks).map_err(Failure::of(&tasks))? {
        let path = task.map_err(Failure::of(&tasks))?.path().join("schedstat");
        // The thread may have ended meanwhile.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let first = text.split_whitespace().next().and_then(|text| text.parse::<u64>().ok());
        total = total.saturating_add(first.unwrap_or_default());
    }
    Ok(Duration::from_nanos(total))
}

/// The slope by least squares; 0 for fewer than two points.
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
    fn slope_of_points_on_a_line_is_the_slope_of_the_line() {
        assert!((slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[(0.0, 5.0), (1.0, 5.0)]).abs() < 1e-9);
        assert!(slope(&[(1.0, 5.0)]).abs() < 1e-9);
    }

    #[test]
    fn exceeded_or_unmeasured_limit_fails() {
        let mut samples = Samples::default();
        assert!(check_limits(&samples).is_err());
        for id in ["agent.calls", "agent.mutating", "agent.writes", "agent.slope"] {
            samples.add(id, 0.0);
        }
        assert!(check_limits(&samples).is_ok());
        samples.add("agent.mutating", 1.0);
        assert!(check_limits(&samples).unwrap_err().to_string().contains("agent.mutating"));
    }
}
