//! The containers in a VPC in a box. The outside makes the box; the inside, this program once
//! more, starts containers in its nodes as a kubelet does, and measures.

pub(crate) mod calm;
mod cluster;
mod crowd;
mod lives;
pub(crate) mod mounts;
pub(crate) mod orders;
mod pod;
pub(crate) mod records;
mod spec;
mod stage;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::args::InsideArguments;
use crate::failure::Failure;
use crate::samples::Samples;
use orders::{Orders, Tools, What};

/// A round of moves takes seconds in real EC2, and so does it here.
const PER_RUN: Duration = Duration::from_secs(10);
/// What everything else takes at most.
const BESIDES: Duration = Duration::from_mins(2);

/// Restarts and moves, with EC2's own times as AWS was seen to have them.
pub(crate) fn lives(
    tools: &Tools,
    baseline: Option<&(PathBuf, PathBuf)>,
    runs: u32,
    seed: u64,
) -> Result<Samples, Failure> {
    let orders =
        Orders { what: What::Lives { runs }, tools: tools.clone(), baseline: baseline.cloned() };
    let bound = PER_RUN.saturating_mul(runs).saturating_add(BESIDES);
    in_a_box(&orders, &spec::lives(), ("realistic", seed), bound)
}

/// 150 members at once; EC2 answers at once as well, so that its token bucket is what counts.
pub(crate) fn crowd(tools: &Tools, seed: u64) -> Result<Samples, Failure> {
    let orders = Orders { what: What::Crowd, tools: tools.clone(), baseline: None };
    in_a_box(&orders, &spec::crowd(), ("fast", seed), BESIDES)
}

/// A node with fifty members on which nothing happens, and what its agent costs.
pub(crate) fn calm(tools: &Tools, minutes: u32, seed: u64) -> Result<Samples, Failure> {
    let orders = Orders { what: What::Calm { minutes }, tools: tools.clone(), baseline: None };
    let bound = Duration::from_mins(1).saturating_mul(minutes);
    let bound = bound.saturating_add(calm::SETTLED).saturating_add(BESIDES);
    in_a_box(&orders, &spec::calm(), ("fast", seed), bound)
}

fn in_a_box(
    orders: &Orders,
    spec: &str,
    (profile, seed): (&str, u64),
    bound: Duration,
) -> Result<Samples, Failure> {
    let text = serde_json::to_string(orders).map_err(Failure::of("hand over the orders"))?;
    let mut command = Command::new(&orders.tools.vpcbox);
    command
        .args(["run", "--spec", "-", "--profile", profile, "--seed", &seed.to_string(), "--"])
        .arg(&orders.tools.bench)
        .args(["inside", &text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(Failure::of("start a VPC in a box"))?;
    if let Some(mut into) = child.stdin.take() {
        into.write_all(spec.as_bytes()).map_err(Failure::of("hand over the spec"))?;
    }
    let said = heard(&mut child, bound)?;
    let status = child.wait().map_err(Failure::of("wait for the box"))?;
    if status.success() {
        return Ok(Samples::read(&said));
    }
    Err(Failure::new(format!("the part in a VPC in a box ended with {status}; see above")))
}

/// Everything that it prints, within the bound; the end of the box is the end of all in it.
fn heard(child: &mut Child, bound: Duration) -> Result<String, Failure> {
    let Some(mut out) = child.stdout.take() else { return Ok(String::new()) };
    let (sender, text) = channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = out.read_to_string(&mut text).map(|_bytes| text);
        // Nobody waits any more if it took too long.
        sender.send(read).ok();
    });
    match text.recv_timeout(bound) {
        Ok(text) => text.map_err(Failure::of("hear from the box")),
        Err(_late) => {
            child.kill().map_err(Failure::of("end the box"))?;
            Err(Failure::new(format!("the part in a VPC in a box took more than {bound:?}")))
        }
    }
}

/// The part inside.
pub(crate) fn inside(arguments: &InsideArguments) -> Result<(), Failure> {
    let orders: Orders =
        serde_json::from_str(&arguments.orders).map_err(Failure::of("these are no orders"))?;
    let samples = match orders.what {
        What::Lives { runs } => lives::play(orders, runs)?,
        What::Crowd => crowd::play(orders)?,
        What::Calm { minutes } => calm::play(orders, minutes)?,
    };
    samples.print().map_err(Failure::of("print"))
}
