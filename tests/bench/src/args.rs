//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::scale::Fleet;

/// Measures the performance of the containers and the agent, and compares it with the goals.
#[derive(Debug, Parser)]
#[command(name = "firecamp-bench", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds release binaries, measures, prints the table and saves the result
    Run(RunArguments),
    /// Watches the agent of an idle node and fails if it exceeds a limit
    Steady(SteadyArguments),
    /// Measures a fleet on a real kube-apiserver and etcd, and writes the page
    Scale(ScaleArguments),
    /// Writes docs/proof/PERFORMANCE.md from the saved results
    Report(ReportArguments),
    /// Runs the part inside a VPC in a box.
    #[command(hide = true)]
    Inside(InsideArguments),
    /// Measures netlink in its own namespaces.
    #[command(hide = true)]
    Kernel(KernelArguments),
    /// Runs a program and prints its resource usage.
    #[command(hide = true)]
    Timed(TimedArguments),
    /// Creates mounts like a kubelet's.
    #[command(hide = true)]
    Mounts(MountsArguments),
    /// Runs a helper program of the demo.
    #[command(hide = true)]
    Firecamp(PassedOn),
}

/// Parts of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Containers in a VPC in a box: starts, moves, outages, calls
    Box,
    /// The same with the agents' endpoint
    Endpoint,
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
    /// Measure only these parts; the result is then not saved
    #[arg(long, env = "FIRECAMP_BENCH_ONLY", value_name = "PART", value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// Also write the figures and all samples as JSON to this file
    #[arg(long, env = "FIRECAMP_BENCH_JSON", value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// A directory with an older firecamp-initcontainer and firecamp-stopcontainer, which alternate
    /// with the new ones; the result is then not saved
    #[arg(long, env = "FIRECAMP_BENCH_BASELINE", value_name = "DIR")]
    pub(crate) baseline: Option<PathBuf>,
    /// The directory of the archives of `make images`; measures their program instead of a release
    /// build
    #[arg(long, env = "FIRECAMP_BENCH_IMAGES", value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Do not add the result to docs/proof/performance/history.jsonl
    #[arg(long, env = "FIRECAMP_BENCH_FORGET")]
    pub(crate) forget: bool,
    /// Seed of the simulated EC2
    #[arg(long, env = "FIRECAMP_BENCH_SEED", value_name = "N", default_value_t = 3)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The measurement begins when the agent has run for 20 minutes and has written nothing for 6 minutes.
Limits: one EC2 call per minute, no mutating EC2 call, no write to the Kubernetes API, and no growth
of anonymous memory. The command exits with 70 if a limit is exceeded. Pages of the program's file
do not count, because the kernel can reclaim them.")]
pub(crate) struct SteadyArguments {
    /// How long to watch the node
    #[arg(long, env = "FIRECAMP_BENCH_MINUTES", value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(2..=600))]
    pub(crate) minutes: u32,
    /// The directory of the archives of `make images`; watches their program instead of a debug
    /// build, which uses more memory and needs longer until its memory stops growing
    #[arg(long, env = "FIRECAMP_BENCH_IMAGES", value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Seed of the simulated EC2
    #[arg(long, env = "FIRECAMP_BENCH_SEED", value_name = "N", default_value_t = 3)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
KUBE_ASSETS names the directory with etcd and kube-apiserver; `make scale` builds them. A tenth
of the nodes have a real agent, the others a replayed one. The command fails if the replayed
agents send other requests than the real ones. A missed goal fails nothing.")]
pub(crate) struct ScaleArguments {
    /// The fraction of 1,000 nodes, with up to three decimals
    #[arg(long, env = "FIRECAMP_BENCH_SCALE", value_name = "FACTOR", default_value = "1",
        value_parser = Fleet::scaled)]
    pub(crate) scale: Fleet,
    /// How long the agents are measured at rest; a page needs 15 minutes, because each agent lists
    /// its objects again within them
    #[arg(long, env = "FIRECAMP_BENCH_MINUTES", value_name = "N", default_value_t = 15,
        value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) minutes: u32,
    /// Leave out the round in which lists come from etcd
    #[arg(long, env = "FIRECAMP_BENCH_CACHED_ONLY")]
    pub(crate) cached_only: bool,
    /// The directory of the archives of `make images`; runs their agent instead of a build in the
    /// profile of this program
    #[arg(long, env = "FIRECAMP_BENCH_IMAGES", value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// The figures of an earlier run, for comparison
    #[arg(long, env = "FIRECAMP_BENCH_BEFORE", value_name = "FILE")]
    pub(crate) before: Option<PathBuf>,
    /// Also write the figures as JSON to this file
    #[arg(long, env = "FIRECAMP_BENCH_JSON", value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the page to this file [default: docs/proof/performance/scale.md of the repository for
    /// the whole fleet with images, in both rounds; otherwise none]
    #[arg(long, env = "FIRECAMP_BENCH_PAGE", value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
    /// Seed of the simulated EC2
    #[arg(long, env = "FIRECAMP_BENCH_SEED", value_name = "N", default_value_t = 3)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Write nothing; fail if the page is out of date
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InsideArguments {
    /// The job as JSON.
    pub(crate) job: String,
}

#[derive(Debug, Args)]
pub(crate) struct KernelArguments {
    /// The number of measurements.
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
pub(crate) struct MountsArguments {
    /// The number of volumes.
    pub(crate) volumes: u32,
}

#[derive(Debug, Args)]
pub(crate) struct PassedOn {
    /// The arguments of the demo's program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}
