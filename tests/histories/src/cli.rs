//! The command line.

use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::history::{self, Play};
use crate::names::Names;
use crate::progress;
use crate::run::{Plan, Progress, Summary, run};
use crate::scenario::Scenario;
use crate::shrink::shrink;
use crate::trace::Trace;

/// Runs the protocol's state machines through seeded histories of a simulated cluster.
#[derive(Debug, Parser)]
#[command(name = "firecamp-histories", after_help = EXITS)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes:
  0  no violation, and every coverage counter was reached
  1  an invariant was violated, or two runs of a history differed
  2  the command line is wrong
  3  a coverage counter (fault, disruption, outcome or boundary) is too low";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run histories with consecutive seeds.
    Run {
        /// Number of histories; default 200,000 at model level, 2,000 at wire level.
        #[arg(long)]
        histories: Option<u64>,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Number of threads; default: all cores.
        #[arg(long)]
        jobs: Option<usize>,
        /// Write the summary as JSON to this file.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Fail if any coverage counter is below this number per million histories, or zero.
        #[arg(long, default_value_t = 20)]
        floor: u64,
        /// Stop after this many violations.
        #[arg(long, default_value_t = 10)]
        enough: usize,
    },
    /// Replay one history and print it.
    Replay {
        /// The seed.
        seed: u64,
        /// Print every step, instead of the smallest scenario that still fails.
        #[arg(long)]
        trace: bool,
    },
}

/// A program that runs histories at one level.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name, and that of its binary.
    pub name: &'static str,
    /// The `make` command that replays one history, without the seed.
    pub make: &'static str,
    /// The level.
    pub play: Play,
    /// The default number of histories.
    pub histories: u64,
}

/// The program of the model level.
pub const MODEL: Program = Program {
    name: "firecamp-histories",
    make: "make sim N=1",
    play: history::run,
    histories: 200_000,
};

/// Parses the command line and runs it.
pub fn main(program: &Program) -> ExitCode {
    let done = match Args::parse().command {
        Command::Run { histories, seed, jobs, json, floor, enough } => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let jobs = jobs.unwrap_or(cores);
            let count = histories.unwrap_or(program.histories);
            let plan = Plan { play: program.play, first: seed, count, jobs, twice: 100, enough };
            run_all(program, &plan, json, floor)
        }
        Command::Replay { seed, trace } => replay(program, seed, trace),
    };
    done.unwrap_or_else(|error| {
        // The reader of standard output has gone away, or the file cannot be written.
        drop(writeln!(stderr(), "{}: {error}", program.name));
        ExitCode::from(2)
    })
}

#[expect(
    clippy::disallowed_types,
    reason = "a rate is measured in real time, and no test depends on it"
)]
type Clock = std::time::Instant;

fn run_all(
    program: &Program,
    plan: &Plan,
    json: Option<PathBuf>,
    floor: u64,
) -> std::io::Result<ExitCode> {
    let started = Clock::now();
    let progress = Progress::default();
    let line = || so_far(plan, &progress, started);
    let summary = progress::shown(line, || run(plan, &progress));
    let took = started.elapsed();
    print(program, &summary, took)?;
    if let Some(path) = json {
        std::fs::write(path, format!("{:#}\n", summary.to_json(plan, took)))?;
    }
    if !summary.found.is_empty() || !summary.diverged.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let unmet = summary.unmet(floor);
    for line in &unmet {
        writeln!(stdout(), "coverage too low: {line}")?;
    }
    Ok(if unmet.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn so_far(plan: &Plan, progress: &Progress, started: Clock) -> String {
    let done = progress.done.load(Ordering::Relaxed);
    let rate = rate(done, started.elapsed());
    let found = progress.found.load(Ordering::Relaxed);
    let last = progress.last.load(Ordering::Relaxed);
    let seed = if found == 0 { String::new() } else { format!(", seed {last} last") };
    let of = plan.count;
    format!("{done} of {of} histories, {rate:.0} per second, {found} violations{seed}")
}

fn rate(count: u64, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64().max(0.001)
}

fn print(program: &Program, summary: &Summary, took: Duration) -> std::io::Result<()> {
    let mut out = stdout().lock();
    let Summary { histories, shortest: (shortest, least), longest, .. } = summary;
    let steps = summary.coverage.steps;
    let seconds = took.as_secs_f64();
    writeln!(
        out,
        "{histories} histories in {seconds:.1} s, {:.0} per second",
        rate(*histories, took)
    )?;
    let mean = steps / histories.max(&1);
    writeln!(out, "steps: {steps} total, {mean} mean, {shortest} (seed {least}) to {longest}")?;
    for (from, count) in summary.lengths() {
        writeln!(out, "  {from:>6} steps and up: {count}")?;
    }
    let (slowest, seed) = summary.slowest;
    writeln!(out, "virtual time: {} hours", summary.virtual_time.as_secs() / 3_600)?;
    writeln!(out, "slowest healing: {:.1} s (seed {seed})", slowest.as_secs_f64())?;
    writeln!(out, "replayed: {}, diverged: {:?}", summary.twice, summary.diverged)?;
    for (name, count) in summary.coverage.counts() {
        writeln!(out, "  {name:<28} {count}")?;
    }
    for found in &summary.found {
        writeln!(out, "VIOLATION {}", found.violation)?;
        let (Program { name, make, .. }, seed) = (program, found.seed);
        writeln!(out, "  replay: {make} SEED={seed}")?;
        writeln!(out, "  or: cargo run --bin {name} -- replay {seed}")?;
    }
    Ok(())
}

fn replay(program: &Program, seed: u64, all: bool) -> std::io::Result<ExitCode> {
    let mut out = stdout().lock();
    let names = Names::new();
    let scenario = Scenario::draw(seed);
    let report = (program.play)(&scenario, &names, Trace::full());
    let Some(violation) = report.violation else {
        if all {
            print_scenario(&mut out, &scenario, report.trace)?;
        }
        let (steps, length) = (report.coverage.steps, report.length);
        writeln!(out, "seed {seed}: no violation, {steps} steps, {length:?}")?;
        return Ok(ExitCode::SUCCESS);
    };
    if all {
        print_scenario(&mut out, &scenario, report.trace)?;
        writeln!(out, "VIOLATION {violation}")?;
    } else {
        let small = shrink(program.play, &scenario, violation.promise, &names);
        let report = (program.play)(&small, &names, Trace::full());
        print_scenario(&mut out, &small, report.trace)?;
        let violation = report.violation.unwrap_or(violation);
        writeln!(out, "VIOLATION {violation}")?;
    }
    writeln!(out, "replay: cargo run --bin {} -- replay {seed} --trace", program.name)?;
    Ok(ExitCode::FAILURE)
}

fn print_scenario(
    out: &mut impl std::io::Write,
    scenario: &Scenario,
    trace: Trace,
) -> std::io::Result<()> {
    writeln!(out, "{:?}", scenario.shape)?;
    let faults: Vec<_> =
        scenario.swarm.on().map(|fault| (fault, scenario.swarm.rate(fault))).collect();
    writeln!(out, "faults in ten thousand calls: {faults:?}")?;
    let scenario = scenario.laid_out();
    for at in &scenario.script {
        writeln!(out, "{:>7} ms  {:?}", at.ms, at.disruption)?;
    }
    for at in scenario.orphans.iter().flat_map(|orphans| &orphans.acts) {
        writeln!(out, "{:>7} ms  other actor: {:?}", at.ms, at.act)?;
    }
    writeln!(out, "{:>7} ms  heal", scenario.heal_at_ms)?;
    for line in trace.lines() {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
