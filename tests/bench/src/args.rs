//! What can be said on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The figures: what the containers cost, beside what was aimed at.
#[derive(Debug, Parser)]
#[command(name = "firecamp-bench", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds release binaries, measures, prints the table and keeps the result
    Run(RunArguments),
    /// Watches the agent of a quiet node and fails if it breaks a promise
    Steady(SteadyArguments),
    /// Writes docs/proof/PERFORMANCE.md from the kept results
    Report(ReportArguments),
    /// The part inside of a VPC in a box.
    #[command(hide = true)]
    Inside(InsideArguments),
    /// One piece of the product alone, in namespaces of its own.
    #[command(hide = true)]
    Kernel(KernelArguments),
    /// Runs a program to its end and tells what it cost.
    #[command(hide = true)]
    Timed(TimedArguments),
    /// Makes a socket a port of the loopback device.
    #[command(hide = true)]
    Forward(ForwardArguments),
    /// Makes mounts like a kubelet's.
    #[command(hide = true)]
    Mounts(MountsArguments),
    /// The small programs of the demo.
    #[command(hide = true)]
    Firecamp(PassedOn),
}

/// Parts of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Containers in a VPC in a box: starts, moves, outages, calls
    Box,
    /// An agent with 50 addresses: memory, processor time, calls, restores
    Agent,
    /// 150 members at once
    Storm,
    /// Netlink alone
    Kernel,
    /// The static-IP file and the file registry alone
    Pieces,
    /// Start-up and size of the binaries
    Startup,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Measured moves and restarts; other figures take multiples of it
    #[arg(long, env = "FIRECAMP_BENCH_RUNS", value_name = "N", default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// Only these parts; the result is then not kept
    #[arg(long, env = "FIRECAMP_BENCH_ONLY", value_name = "PART", value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// Write the figures with everything known about them as JSON, too
    #[arg(long, env = "FIRECAMP_BENCH_JSON", value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// A directory with an older firecamp-initcontainer and firecamp-stopcontainer, run in turn
    /// with the new ones; the result is then not kept
    #[arg(long, env = "FIRECAMP_BENCH_BASELINE", value_name = "DIR")]
    pub(crate) baseline: Option<PathBuf>,
    /// Archives of `make images`, whose program is then measured, and not a build for speed
    #[arg(long, env = "FIRECAMP_BENCH_IMAGES", value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Do not keep the result in docs/proof/performance/history.jsonl
    #[arg(long, env = "FIRECAMP_BENCH_FORGET")]
    pub(crate) forget: bool,
    /// Seed of everything random in the simulated EC2
    #[arg(long, env = "FIRECAMP_BENCH_SEED", value_name = "N", default_value_t = 3)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
It is watched once it is twenty minutes old and has written nothing for six.
At most one EC2 call a minute, none that changes anything, no write to the Kubernetes API, and
memory of its own that does not grow: ends with 70 if one of these is broken. Pages of the
program's file are not its own: the kernel takes them back when it likes, and they are as many as
the file has at most.")]
pub(crate) struct SteadyArguments {
    /// How long the node is watched
    #[arg(long, env = "FIRECAMP_BENCH_MINUTES", value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(2..=600))]
    pub(crate) minutes: u32,
    /// Archives of `make images`, whose program is then watched, and not a debug build, which needs
    /// more memory and touches new pages of it for longer
    #[arg(long, env = "FIRECAMP_BENCH_IMAGES", value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Seed of everything random in the simulated EC2
    #[arg(long, env = "FIRECAMP_BENCH_SEED", value_name = "N", default_value_t = 3)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Write nothing; fail if the page is not what would be written
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InsideArguments {
    /// Everything, as JSON.
    pub(crate) orders: String,
}

#[derive(Debug, Args)]
pub(crate) struct KernelArguments {
    /// How often each thing is done.
    #[arg(long)]
    pub(crate) rounds: u32,
}

#[derive(Debug, Args)]
pub(crate) struct TimedArguments {
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct ForwardArguments {
    /// The port.
    pub(crate) port: u16,
    /// The socket.
    pub(crate) socket: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct MountsArguments {
    /// How many.
    pub(crate) volumes: u32,
}

#[derive(Debug, Args)]
pub(crate) struct PassedOn {
    /// As `firecamp` takes them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}
