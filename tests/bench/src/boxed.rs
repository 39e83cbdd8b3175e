//! Measures the containers in a VPC in a box. This program starts the box and runs again inside it,
//! where it starts containers on the nodes as a kubelet does.

mod cluster;
mod concurrent;
mod endpoint;
pub(crate) mod fixture;
pub(crate) mod idle;
pub(crate) mod job;
pub(crate) mod mounts;
mod moves;
mod pod;
pub(crate) mod records;
pub(crate) mod spec;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::args::InsideArguments;
use crate::failure::Failure;
use crate::samples::Samples;
use crate::scale;
use crate::table::ENDPOINT;
use endpoint::Endpoint;
use fixture::Fixture;
use job::{Job, Scenario, Tools};

/// The time for one restart and one move, with the latencies of EC2.
const PER_RUN: Duration = Duration::from_secs(10);
/// The time limit of everything else.
const OVERHEAD: Duration = Duration::from_mins(2);

/// Restarts and moves, with the latencies of the simulator's model of AWS.
pub(crate) fn moves(
    tools: &Tools,
    baseline: Option<&(PathBuf, PathBuf)>,
    runs: u32,
    seed: u64,
) -> Result<Samples, Failure> {
    let job =
        Job { what: Scenario::Moves { runs }, tools: tools.clone(), baseline: baseline.cloned() };
    let bound = PER_RUN.saturating_mul(runs).saturating_add(OVERHEAD);
    in_a_box(&job, &spec::moves(), ("realistic", seed), bound)
}

/// The same restarts and moves with init containers that ask the agents.
pub(crate) fn endpoint(tools: &Tools, runs: u32, seed: u64) -> Result<Samples, Failure> {
    let what = Scenario::Endpoint { runs };
    let job = Job { what, tools: tools.clone(), baseline: None };
    let bound = PER_RUN.saturating_mul(runs).saturating_add(OVERHEAD);
    in_a_box(&job, &spec::moves(), ("realistic", seed), bound)
}

/// 150 members at once, in direct mode and with init containers that ask the agents. EC2 answers
/// without delay, so the token bucket is the limit of direct mode.
pub(crate) fn concurrent(tools: &Tools, seed: u64) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    for what in [Scenario::Concurrent, Scenario::ConcurrentEndpoint] {
        let job = Job { what, tools: tools.clone(), baseline: None };
        samples.join(in_a_box(&job, &spec::concurrent(), ("fast", seed), OVERHEAD)?);
    }
    Ok(samples)
}

/// The agent of an idle node with fifty members.
pub(crate) fn idle(tools: &Tools, minutes: u32, seed: u64) -> Result<Samples, Failure> {
    let job = Job { what: Scenario::Idle { minutes }, tools: tools.clone(), baseline: None };
    let bound = Duration::from_mins(1).saturating_mul(minutes);
    let bound = bound.saturating_add(idle::SETTLED).saturating_add(OVERHEAD);
    in_a_box(&job, &spec::idle(), ("fast", seed), bound)
}

/// Runs a job in a box with this specification; kills it after `bound`.
pub(crate) fn in_a_box(
    job: &Job,
    spec: &str,
    (profile, seed): (&str, u64),
    bound: Duration,
) -> Result<Samples, Failure> {
    let text = serde_json::to_string(job).map_err(Failure::of("encode the job"))?;
    let mut command = Command::new(&job.tools.vpcbox);
    command
        .args(["run", "--spec", "-", "--profile", profile, "--seed", &seed.to_string(), "--"])
        .arg(&job.tools.bench)
        .args(["inside", &text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(Failure::of("start a VPC in a box"))?;
    if let Some(mut into) = child.stdin.take() {
        into.write_all(spec.as_bytes()).map_err(Failure::of("send the spec to vpcbox"))?;
    }
    let output = output_within(&mut child, bound)?;
    let status = child.wait().map_err(Failure::of("wait for the box"))?;
    if status.success() {
        return Ok(Samples::read(&output));
    }
    Err(Failure::new(format!(
        "the process in the VPC in a box ended with {status}; see its output above"
    )))
}

/// The output of the box; kills the box, with all its processes, after `bound`.
fn output_within(child: &mut Child, bound: Duration) -> Result<String, Failure> {
    let Some(mut out) = child.stdout.take() else { return Ok(String::new()) };
    let (sender, text) = channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = out.read_to_string(&mut text).map(|_bytes| text);
        // The receiver is gone after a timeout.
        sender.send(read).ok();
    });
    match text.recv_timeout(bound) {
        Ok(text) => text.map_err(Failure::of("read the output of the box")),
        Err(_late) => {
            child.kill().map_err(Failure::of("kill the box"))?;
            Err(Failure::new(format!("the process in the VPC in a box took more than {bound:?}")))
        }
    }
}

/// The part inside the box.
pub(crate) fn inside(arguments: &InsideArguments) -> Result<(), Failure> {
    let job: Job = serde_json::from_str(&arguments.job).map_err(Failure::of("decode the job"))?;
    let samples = match job.what {
        Scenario::Scale(plan) => scale::play(job, plan)?,
        Scenario::Moves { runs } => moves::play(Fixture::set_up(job)?, runs)?,
        Scenario::Endpoint { runs } => {
            let mut fixture = Fixture::set_up(job)?;
            fixture.endpoint = Some(Endpoint::start(&mut fixture, [])?);
            moves::play(fixture, runs)?.prefixed(ENDPOINT)
        }
        Scenario::Concurrent => concurrent::direct(Fixture::set_up(job)?)?,
        Scenario::ConcurrentEndpoint => concurrent::endpoint(Fixture::set_up(job)?)?,
        Scenario::Idle { minutes } => idle::play(job, minutes)?,
    };
    samples.print().map_err(Failure::of("print"))
}
