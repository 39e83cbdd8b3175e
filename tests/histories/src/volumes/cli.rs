//! The command line.

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::{Parser, Subcommand};

use crate::progress;
use crate::volumes::history;
use crate::volumes::run::{Plan, Progress, Summary, run};
use crate::volumes::scenario::{Fault, Scenario};
use crate::volumes::simulated_node::Names;

/// Runs the volume tracker through seeded histories of EC2, kernel and Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "firecamp-volume-histories", after_help = EXITS)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes:
  0  no violation, and every coverage counter was reached
  1  an invariant was violated, or two runs of a history differed
  2  the command line is wrong
  3  a coverage counter (fault, disruption or reason) is too low";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run histories with consecutive seeds.
    Run {
        /// Number of histories.
        #[arg(long, default_value_t = 10_000)]
        histories: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Number of threads; default: all cores.
        #[arg(long)]
        jobs: Option<usize>,
        /// Fail if any coverage counter is below this number.
        #[arg(long, default_value_t = 1)]
        floor: u64,
        /// Stop after this many violations.
        #[arg(long, default_value_t = 10)]
        enough: usize,
    },
    /// Replay one history and print it.
    Replay {
        /// The seed.
        seed: u64,
        /// Print every step even if there is no violation.
        #[arg(long)]
        trace: bool,
    },
}

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Run { histories, seed, jobs, floor, enough } => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let jobs = jobs.unwrap_or(cores);
            let plan = Plan { first: seed, count: histories, jobs, twice: 100, enough };
            run_all(&plan, floor)
        }
        Command::Replay { seed, trace } => replay(seed, trace),
    };
    done.unwrap_or_else(|error| {
        drop(writeln!(stderr(), "firecamp-volume-histories: {error}"));
        ExitCode::FAILURE
    })
}

fn run_all(plan: &Plan, floor: u64) -> std::io::Result<ExitCode> {
    let progress = Progress::default();
    let line = || format!("{} of {} histories", progress.done.load(Ordering::Relaxed), plan.count);
    let summary = progress::shown(line, || run(plan, &progress));
    print(&summary)?;
    if !summary.found.is_empty() || !summary.diverged.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let unmet = summary.unmet(floor);
    for line in &unmet {
        writeln!(stdout(), "coverage too low: {line}")?;
    }
    Ok(if unmet.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn print(summary: &Summary) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{} histories", summary.histories)?;
    writeln!(out, "replayed: {}, diverged: {:?}", summary.twice, summary.diverged)?;
    for (name, count) in summary.coverage.counts() {
        writeln!(out, "  {name:<28} {count}")?;
    }
    for (seed, violation) in &summary.found {
        writeln!(out, "VIOLATION {violation}")?;
        writeln!(out, "  replay: make sim LEVEL=volumes N=1 SEED={seed}")?;
    }
    Ok(())
}

fn replay(seed: u64, all: bool) -> std::io::Result<ExitCode> {
    let mut out = stdout().lock();
    let scenario = Scenario::draw(seed);
    let report = history::run(&scenario, &Names::new(), true);
    if all || report.violation.is_some() {
        writeln!(out, "{:?}", scenario.shape)?;
        let on = Fault::ALL.iter().filter(|fault| scenario.rate(**fault) > 0);
        let faults: Vec<_> = on.map(|fault| (fault, scenario.rate(*fault))).collect();
        writeln!(out, "faults in ten thousand: {faults:?}")?;
        writeln!(out, "healing phase from {} s", scenario.heal_at)?;
        for line in &report.trace {
            writeln!(out, "{line}")?;
        }
    }
    if let Some(violation) = report.violation {
        writeln!(out, "VIOLATION {violation}")?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(out, "seed {seed}: no violation")?;
    Ok(ExitCode::SUCCESS)
}
