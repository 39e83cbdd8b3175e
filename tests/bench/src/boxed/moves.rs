//! Members that restart and move, one after the other, while a client connects to their addresses.

use std::collections::VecDeque;

use firecamp_demo::event::{Call, Ran};
use firecamp_demo::measurements;
use firecamp_demo::observe_client::Watch;

use super::fixture::{Fixture, Place};
use super::pod::{Build, End, Pod};
use super::spec::{MEMBERS, NODES, node_name};
use crate::failure::Failure;
use crate::samples::{Samples, progress};
use crate::table::BASELINE;

/// The number of answers after which a pod counts as reachable.
const PROOF: usize = 20;

/// Attempts from this long before a step belong to its outage.
const BEFORE_US: u64 = 250_000;

/// A member and its current node.
struct MemberTiming {
    member: String,
    node: u32,
    pods: u32,
    pod: Option<Pod>,
}

/// Measures this number of restarts and moves.
pub(crate) fn play(mut fixture: Fixture, runs: u32) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    let new = Build { init: fixture.tools.init.clone(), stop: fixture.tools.stop.clone() };
    let older = fixture.baseline.clone().map(|(init, stop)| Build { init, stop });
    let mut moves = VecDeque::new();
    for number in 0..MEMBERS.min(runs) {
        moves.push_back(first(&mut fixture, &mut samples, (number, &new))?);
    }
    let all = if older.is_some() { runs.saturating_mul(2) } else { runs };
    for run in 0..all {
        let (build, prefix) = match &older {
            // The older build runs every other time.
            Some(older) if run % 2 == 1 => (older, BASELINE),
            Some(_) | None => (&new, ""),
        };
        let Some(mut lifecycle) = moves.pop_front() else { break };
        let done = turn(&mut fixture, &mut lifecycle, build)?;
        samples.join(done.prefixed(prefix));
        moves.push_back(lifecycle);
        if run % MEMBERS == MEMBERS - 1 {
            progress(&format!("{} of {all} restarts and moves", run.saturating_add(1)));
        }
    }
    // Without a stop container, the pool's policy decides what is unassigned.
    if fixture.endpoint.is_none() {
        for lifecycle in moves {
            free(&mut fixture, &mut samples, (lifecycle, &new))?;
        }
    }
    Ok(samples)
}

impl MemberTiming {
    /// Its next pod, on the next node if `moved`.
    fn place(&mut self, moved: bool) -> Place {
        self.pods = self.pods.saturating_add(1);
        if moved {
            self.node = self.node.saturating_add(1) % NODES;
        }
        Place {
            member: self.member.clone(),
            uid: format!("{}-pod-{}", self.member, self.pods),
            node: node_name(self.node),
        }
    }
}

/// Measures a member's first start. The members start on nodes far apart.
fn first(
    fixture: &mut Fixture,
    samples: &mut Samples,
    (number, build): (u32, &Build),
) -> Result<MemberTiming, Failure> {
    let node = number.saturating_mul(NODES / MEMBERS);
    let mut lifecycle =
        MemberTiming { member: format!("redis-{number}"), node, pods: 0, pod: None };
    let since = fixture.last_call()?;
    let place = lifecycle.place(false);
    let pod = Pod::start(fixture, place, build, None, &[])?;
    let time = measurements::init_time(&pod.init, &fixture.calls_for(since, &pod.address)?);
    samples.add("init.first", ms(time.own_us.saturating_sub(time.describe_us)));
    lifecycle.pod = Some(pod);
    Ok(lifecycle)
}

/// Measures a restart on the same node and a move to the next one.
fn turn(
    fixture: &mut Fixture,
    lifecycle: &mut MemberTiming,
    build: &Build,
) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    let Some(pod) = &lifecycle.pod else { return Err(Failure::new("a member without a pod")) };
    let caller = fixture.dial(&pod.address)?;
    caller.watch.answers_of(&pod.place.uid, PROOF)?;
    for (moved, name) in [(false, "same"), (true, "moved")] {
        step(fixture, &mut samples, lifecycle, (build, &caller.watch), (moved, name))?;
    }
    caller.stop()?;
    Ok(samples)
}

fn step(
    fixture: &mut Fixture,
    samples: &mut Samples,
    lifecycle: &mut MemberTiming,
    (build, watch): (&Build, &Watch),
    (moved, name): (bool, &str),
) -> Result<(), Failure> {
    let Some(pod) = lifecycle.pod.take() else {
        return Err(Failure::new("a member without a pod"));
    };
    let (since, from_us) = (fixture.last_call()?, fixture.clock.now_us());
    let end = pod.stop(fixture, Some(watch))?;
    // The box is asked for its calls only after the outage, which it would lengthen.
    let ended_us = fixture.clock.now_us();
    let place = lifecycle.place(moved);
    let pod = Pod::start(fixture, place, build, Some(watch), &[])?;
    watch.answers_of(&pod.place.uid, PROOF)?;
    let calls = fixture.calls_for(since, &pod.address)?;
    let (stopped, calls): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| call.at_us < ended_us);
    note_calls(samples, name, &calls);
    samples.add("calls.stop", count(stopped.len()));
    samples.add("stop", ms(end.stop_us));
    if let Some(kib) = end.waiting_kib {
        samples.add("rss.stop", mib(kib));
    }
    note_init(samples, name, &pod, &calls);
    note_outage(samples, (name, from_us), watch, (&end, &pod, &calls));
    lifecycle.pod = Some(pod);
    Ok(())
}

/// Beyond the budget of a move it prints them.
fn note_calls(samples: &mut Samples, name: &str, calls: &[Call]) {
    if let [first, _, _, ..] = calls {
        let shown = calls.iter().map(|call| {
            let after = ms(call.at_us.saturating_sub(first.at_us));
            format!("{} {} after {after:.0} ms", call.action, call.outcome)
        });
        let shown: Vec<String> = shown.collect();
        progress(&format!("{name}: {} EC2 calls: {}", calls.len(), shown.join(", ")));
    }
    let mutating = calls.iter().filter(|call| call.mutating).count();
    samples.add(format!("calls.{name}"), count(calls.len()));
    samples.add(format!("calls.{name}.mutating"), count(mutating));
}

fn note_init(samples: &mut Samples, name: &str, pod: &Pod, calls: &[Call]) {
    let time = measurements::init_time(&pod.init, calls);
    samples.add(format!("init.{name}"), ms(time.own_us.saturating_sub(time.describe_us)));
    samples.add(format!("init.{name}.describe"), ms(time.own_us));
    samples.add(format!("cpu.{name}"), ms(pod.cost.cpu_us));
    if let Some(memory) = pod.cost.memory {
        samples.add(format!("rss.{name}"), mib(memory.peak));
        samples.add("rss.own", mib(memory.anonymous));
    }
    if let Some(instructions) = pod.cost.instructions {
        samples.add(format!("instructions.{name}"), ms(instructions) / 1e3);
    }
}

fn note_outage(
    samples: &mut Samples,
    (name, from_us): (&str, u64),
    watch: &Watch,
    (end, pod, calls): (&End, &Pod, &[Call]),
) {
    let spans: Vec<Ran> = vec![end.server.clone(), pod.init.clone(), pod.start.clone()];
    let attempts = watch.lock().within(from_us.saturating_sub(BEFORE_US), u64::MAX);
    let Some(outage) = measurements::outage(&attempts, &spans, calls) else { return };
    let describe_us = measurements::init_time(&pod.init, calls).describe_us;
    let without = outage.beyond_us.saturating_sub(describe_us);
    samples.add(format!("outage.{name}"), ms(without));
    samples.add(format!("outage.{name}.describe"), ms(outage.beyond_us));
}

/// Measures a release that unassigns.
fn free(
    fixture: &mut Fixture,
    samples: &mut Samples,
    (mut lifecycle, build): (MemberTiming, &Build),
) -> Result<(), Failure> {
    if let Some(pod) = lifecycle.pod.take() {
        pod.stop(fixture, None)?;
    }
    let place = lifecycle.place(false);
    let pod = Pod::start(fixture, place, build, None, &["--unassign"])?;
    let since = fixture.last_call()?;
    pod.stop(fixture, None)?;
    samples.add("calls.free", count(fixture.ec2_calls(since)?.len()));
    Ok(())
}

fn count(things: usize) -> f64 {
    f64::from(u32::try_from(things).unwrap_or(u32::MAX))
}

/// Microseconds as milliseconds.
fn ms(us: u64) -> f64 {
    std::time::Duration::from_micros(us).as_secs_f64() * 1e3
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
