//! The order of the measurements.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use firecamp_testkit::build::{self as testkit, Layout};

use crate::args::{Part, RunArguments, SteadyArguments};
use crate::boxed::idle;
use crate::boxed::job::Tools;
use crate::failure::Failure;
use crate::figures::{self, Record};
use crate::samples::{Samples, progress};
use crate::shipped::Shipped;
use crate::{boxed, history, netlink, page, pieces, startup, table};

/// Calls of a component for each measured move; they take microseconds.
const PIECES_PER_RUN: u32 = 5;

/// How long an agent is watched; the kernel counts CPU time in nanoseconds, so this is enough.
const AGENT_MINUTES: u32 = 2;

/// Builds, measures, prints and saves the result.
pub(crate) fn run(arguments: &RunArguments) -> Result<(), Failure> {
    let root = page::root();
    let mut tools = release()?;
    let shipped =
        arguments.images.as_deref().map(|dir| Shipped::open(dir, &mut tools)).transpose()?;
    let mut record = Record::begun(arguments.runs);
    let mut samples = measure(arguments, &tools)?;
    if let Some(shipped) = &shipped {
        shipped.sizes(&mut samples);
    } else {
        startup::sizes(&tools, &mut samples)?;
        record.missing.push("images: `--images DIR` was not given".to_owned());
    }
    record.machine.look_again();
    record.figures = figures::of(&samples);
    if wanted(arguments).contains(&Part::Box) && record.figure("instructions.same").is_none() {
        let what = "instructions: this kernel or processor offers no counter (perf_event_open)";
        record.missing.push(what.to_owned());
    }
    let mut text = table::text(&record);
    if arguments.baseline.is_some() {
        text.push_str(&table::paired(&samples));
    }
    write!(std::io::stdout(), "{text}").map_err(Failure::of("print the table"))?;
    if let Some(path) = &arguments.json {
        write_json(path, &record, &samples)?;
    }
    keep(arguments, &root, &record)
}

/// Saves the result, unless it is incomplete or mixes two builds.
fn keep(arguments: &RunArguments, root: &Path, record: &Record) -> Result<(), Failure> {
    let complete = arguments.only.is_empty() && arguments.baseline.is_none();
    if arguments.forget || !complete {
        progress("the result is not saved");
        return Ok(());
    }
    history::append(&root.join(page::HISTORY), record)?;
    page::run(false)
}

fn write_json(path: &Path, record: &Record, samples: &Samples) -> Result<(), Failure> {
    let what = format!("write {}", path.display());
    let value = serde_json::json!({ "record": record, "samples": samples.0 });
    let text = serde_json::to_string_pretty(&value).map_err(Failure::of(&what))?;
    std::fs::write(path, text + "\n").map_err(Failure::of(&what))
}

/// Builds release binaries. This program runs the services, so it must be a release build, too.
fn release() -> Result<Tools, Failure> {
    let layout = Layout::of_this_process(None).map_err(Failure::of("find this program"))?;
    if layout.profile() != "release" {
        return Err(Failure::new("only release builds are measured: run `make bench`"));
    }
    build(&layout)
}

/// Builds the programs in a profile.
pub(crate) fn build(layout: &Layout) -> Result<Tools, Failure> {
    progress("building");
    let built = testkit::build(layout).map_err(Failure::of("build"))?;
    let bench = std::env::current_exe().map_err(Failure::of("find this program"))?;
    let testkit::Binaries { init, stop, agent, vpcbox } = built;
    Ok(Tools { init, stop, agent, vpcbox, bench })
}

/// Watches an idle node, in any build profile, and fails if its agent exceeds a limit.
pub(crate) fn steady(arguments: &SteadyArguments) -> Result<(), Failure> {
    let layout = Layout::of_this_process(None).map_err(Failure::of("find this program"))?;
    let mut tools = build(&layout)?;
    let _unpacked =
        arguments.images.as_deref().map(|dir| Shipped::open(dir, &mut tools)).transpose()?;
    let samples = boxed::idle(&tools, arguments.minutes, arguments.seed)?;
    let mut record = Record::begun(0);
    record.figures = figures::of(&samples);
    write!(std::io::stdout(), "{}", table::text(&record)).map_err(Failure::of("print"))?;
    idle::check_limits(&samples)
}

fn wanted(arguments: &RunArguments) -> BTreeSet<Part> {
    use Part::{Agent, Box, Endpoint, Kernel, Pieces, Startup, Storm};
    let all = [Box, Endpoint, Agent, Storm, Kernel, Pieces, Startup];
    if arguments.only.is_empty() { all.into() } else { arguments.only.iter().copied().collect() }
}

fn measure(arguments: &RunArguments, tools: &Tools) -> Result<Samples, Failure> {
    let rounds = arguments.runs.saturating_mul(PIECES_PER_RUN);
    let baseline = arguments.baseline.as_deref().map(older).transpose()?;
    let mut samples = Samples::default();
    for part in wanted(arguments) {
        samples.join(match part {
            Part::Box => {
                progress("starts and moves in a VPC in a box");
                boxed::moves(tools, baseline.as_ref(), arguments.runs, arguments.seed)?
            }
            Part::Endpoint => {
                progress("the same with the agents' endpoint");
                boxed::endpoint(tools, arguments.runs, arguments.seed)?
            }
            Part::Agent => {
                progress("the agent of an idle node");
                boxed::idle(tools, AGENT_MINUTES, arguments.seed)?
            }
            Part::Storm => {
                progress("150 members at once");
                boxed::concurrent(tools, arguments.seed)?
            }
            Part::Kernel => {
                progress("netlink alone, with 1, 50 and 500 addresses");
                netlink::in_namespaces(&tools.bench, rounds)?
            }
            Part::Pieces => {
                progress("file and registry alone, with up to 10,000 objects");
                pieces::measure(rounds)?
            }
            Part::Startup => {
                progress("start-up and sizes");
                startup::measure(tools, baseline.as_ref(), rounds)?
            }
        });
    }
    Ok(samples)
}

/// The containers of an earlier build.
fn older(dir: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let dir = std::path::absolute(dir).map_err(Failure::of("find the older build"))?;
    let (init, stop) = (dir.join("firecamp-initcontainer"), dir.join("firecamp-stopcontainer"));
    if let Some(missing) = [&init, &stop].into_iter().find(|path| !path.is_file()) {
        return Err(Failure::new(format!("{} does not exist", missing.display())));
    }
    Ok((init, stop))
}
