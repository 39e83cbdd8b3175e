//! Members that restart and move, one after the other, and a client that dials all along.

use std::collections::VecDeque;

use firecamp_demo::event::{Call, Ran};
use firecamp_demo::measure;
use firecamp_demo::watch::Watch;

use super::orders::Orders;
use super::pod::{Build, End, Pod};
use super::spec::{MEMBERS, NODES, node_name};
use super::stage::{Place, Stage};
use crate::failure::Failure;
use crate::samples::{Samples, progress};
use crate::table::BASELINE;

/// Answers after which a pod has proved that it can be reached.
const PROOF: usize = 20;

/// How long before a step an answer is looked for.
const BEFORE_US: u64 = 250_000;

/// A member, and how far along the nodes it is.
struct MemberTiming {
    member: String,
    node: u32,
    pods: u32,
    pod: Option<Pod>,
}

/// Plays; so many restarts and so many moves are measured.
pub(crate) fn play(orders: Orders, runs: u32) -> Result<Samples, Failure> {
    let mut stage = Stage::set_up(orders)?;
    let mut samples = Samples::default();
    let new = Build { init: stage.tools.init.clone(), stop: stage.tools.stop.clone() };
    let older = stage.baseline.clone().map(|(init, stop)| Build { init, stop });
    let mut lives = VecDeque::new();
    for number in 0..MEMBERS.min(runs) {
        lives.push_back(first(&mut stage, &mut samples, (number, &new))?);
    }
    let all = if older.is_some() { runs.saturating_mul(2) } else { runs };
    for run in 0..all {
        let (build, prefix) = match &older {
            // The older ones every other time.
            Some(older) if run % 2 == 1 => (older, BASELINE),
            Some(_) | None => (&new, ""),
        };
        let Some(mut lifecycle) = lives.pop_front() else { break };
        let done = turn(&mut stage, &mut lifecycle, build)?;
        for (id, values) in done.0 {
            for value in values {
                samples.add(format!("{prefix}{id}"), value);
            }
        }
        lives.push_back(lifecycle);
        if run % MEMBERS == MEMBERS - 1 {
            progress(&format!("{} of {all} restarts and moves", run.saturating_add(1)));
        }
    }
    for lifecycle in lives {
        free(&mut stage, &mut samples, (lifecycle, &new))?;
    }
    Ok(samples)
}

impl MemberTiming {
    /// The place of its next pod.
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

/// A member's first start. The members begin at nodes far from each other.
fn first(
    stage: &mut Stage,
    samples: &mut Samples,
    (number, build): (u32, &Build),
) -> Result<MemberTiming, Failure> {
    let node = number.saturating_mul(NODES / MEMBERS);
    let mut lifecycle =
        MemberTiming { member: format!("redis-{number}"), node, pods: 0, pod: None };
    let since = stage.last_call()?;
    let place = lifecycle.place(false);
    let pod = Pod::start(stage, place, build, None, &[])?;
    let time = measure::init_time(&pod.init, &stage.ec2_calls(since)?);
    samples.add("init.first", ms(time.own_us.saturating_sub(time.describe_us)));
    lifecycle.pod = Some(pod);
    Ok(lifecycle)
}

/// A restart on the same node, and then a move to the next one.
fn turn(
    stage: &mut Stage,
    lifecycle: &mut MemberTiming,
    build: &Build,
) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    let caller = stage.dial(&stage.address(&lifecycle.member)?)?;
    let Some(pod) = &lifecycle.pod else { return Err(Failure::new("a member without a pod")) };
    caller.watch.answers_of(&pod.place.uid, PROOF)?;
    for (moved, name) in [(false, "same"), (true, "moved")] {
        step(stage, &mut samples, lifecycle, (build, &caller.watch), (moved, name))?;
    }
    caller.hang_up()?;
    Ok(samples)
}

fn step(
    stage: &mut Stage,
    samples: &mut Samples,
    lifecycle: &mut MemberTiming,
    (build, watch): (&Build, &Watch),
    (moved, name): (bool, &str),
) -> Result<(), Failure> {
    let Some(pod) = lifecycle.pod.take() else {
        return Err(Failure::new("a member without a pod"));
    };
    let (since, from_us) = (stage.last_call()?, stage.clock.now_us());
    let end = pod.stop(Some(watch))?;
    let stopped = stage.ec2_calls(since)?;
    let between = stage.last_call()?;
    let place = lifecycle.place(moved);
    let pod = Pod::start(stage, place, build, Some(watch), &[])?;
    watch.answers_of(&pod.place.uid, PROOF)?;
    let calls = stage.ec2_calls(between)?;
    note_calls(samples, name, &calls);
    samples.add("calls.stop", count(stopped.len()));
    samples.add("stop", ms(end.stop_us));
    samples.add("rss.stop", mib(end.waiting_kib));
    note_init(samples, name, &pod, &calls);
    note_outage(samples, (name, from_us), watch, (&end, &pod, &calls));
    lifecycle.pod = Some(pod);
    Ok(())
}

fn note_calls(samples: &mut Samples, name: &str, calls: &[Call]) {
    let mutating = calls.iter().filter(|call| call.mutating).count();
    samples.add(format!("calls.{name}"), count(calls.len()));
    samples.add(format!("calls.{name}.mutating"), count(mutating));
}

fn note_init(samples: &mut Samples, name: &str, pod: &Pod, calls: &[Call]) {
    let time = measure::init_time(&pod.init, calls);
    samples.add(format!("init.{name}"), ms(time.own_us.saturating_sub(time.describe_us)));
    samples.add(format!("init.{name}.describe"), ms(time.own_us));
    samples.add(format!("cpu.{name}"), ms(pod.cost.cpu_us));
    samples.add(format!("rss.{name}"), mib(pod.cost.peak_kib));
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
    let Some(outage) = measure::outage(&attempts, &spans, calls) else { return };
    let describe_us = measure::init_time(&pod.init, calls).describe_us;
    let without = outage.beyond_us.saturating_sub(describe_us);
    samples.add(format!("outage.{name}"), ms(without));
    samples.add(format!("outage.{name}.describe"), ms(outage.beyond_us));
}

/// A last life, which ends with the address out of EC2.
fn free(
    stage: &mut Stage,
    samples: &mut Samples,
    (mut lifecycle, build): (MemberTiming, &Build),
) -> Result<(), Failure> {
    if let Some(pod) = lifecycle.pod.take() {
        pod.stop(None)?;
    }
    let place = lifecycle.place(false);
    let pod = Pod::start(stage, place, build, None, &["--unassign"])?;
    let since = stage.last_call()?;
    pod.stop(None)?;
    samples.add("calls.free", count(stage.ec2_calls(since)?.len()));
    Ok(())
}

fn count(things: usize) -> f64 {
    f64::from(u32::try_from(things).unwrap_or(u32::MAX))
}

/// Thousandths of thousandths as thousandths.
fn ms(us: u64) -> f64 {
    std::time::Duration::from_micros(us).as_secs_f64() * 1e3
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
