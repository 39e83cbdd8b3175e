//! What can be said on the command line.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::bundle::BundleArguments;
use crate::cleanup::CleanupArguments;
use crate::doctor::DoctorArguments;
use crate::explain::ExplainArguments;
use crate::import::ImportArguments;
use crate::node::NodeArguments;
use crate::status::StatusArguments;
use crate::wait::WaitArguments;

const TOP: &str = "\
As `kubectl-firecamp` on the PATH (a symbolic link is enough) it is kubectl's plugin:
  ln -s firecamp /usr/local/bin/kubectl-firecamp; kubectl firecamp status -n prod

Exit codes:
  0    done, and nothing is wrong
  2    a flag or a variable is wrong
  14   what was waited for was not so within the time
  15   the registry or the cluster cannot be reached
  16   the registry is not there, or holds something that cannot be read
  18   a file cannot be read or written
  19   the kernel refuses
  20   something is wrong with what was looked at
  21   nothing that was seen is wrong, and something could not be looked at
  22   the registry or the cluster refuses
  70   a bug, or the demo has broken a promise
  Each command's --help says which of them it has.";

const EXIT_CODES: &str = "\
Exit codes:
  0    every promise was kept
  2    a flag or a variable is wrong
  18   the report or a recorded stream cannot be read or written
  19   this machine lacks a kernel feature; the message says which, and how to get it
  70   a promise was broken (EC2 calls, wrong node, lost address), a container failed, or the
       binaries could not be built
  125  the VPC in a box could not be made or kept up
  128+N  ended by signal N";

const EXAMPLES: &str = "\
Examples:
  cargo demo                                   the whole story, about 40 seconds
  cargo demo --release                         with the figures that count
  cargo demo --profile fast --json             a second or two, for machines
  cargo demo --release --report demo.html      the same as a page with a timeline
  firecamp demo --replay run.jsonl --report demo.html    a recorded --json run once more";

/// FireCamp: static IP addresses for the members of stateful services.
#[derive(Debug, Parser)]
#[command(name = "firecamp", version, about, after_help = TOP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows each member's claim, address, node and what is wrong with them
    Status(StatusArguments),
    /// Shows what is on a node: network interfaces, addresses, volumes, conditions
    Node(NodeArguments),
    /// Follows a member from its claim to its file, and says at which link it breaks
    Explain(ExplainArguments),
    /// Examines the registry, the cluster and this node, and says what to do
    Doctor(DoctorArguments),
    /// Waits until a StatefulSet has stopped, or until all its members have their addresses
    Wait(WaitArguments),
    /// Packs all that helps to understand a failure into one file, without secrets
    SupportBundle(BundleArguments),
    /// Takes what FireCamp has left in this node's kernel out of it, where nobody uses it
    Cleanup(CleanupArguments),
    /// Imports addresses and members of the original FireCamp from its ConfigMaps
    Import(ImportArguments),
    /// Shows a member that keeps its address, in a VPC on this machine, with real packets
    Demo(DemoArguments),
    /// The demo's part inside of the box.
    #[command(hide = true)]
    DemoInside(InsideArguments),
    /// The member of the demo: a small TCP server.
    #[command(hide = true)]
    MemberServer(ServerArguments),
    /// The client of the demo.
    #[command(hide = true)]
    MemberClient(ClientArguments),
    /// Notes the time and becomes another program.
    #[command(hide = true)]
    MemberStart(StartArguments),
}

/// How fast the simulated EC2 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The times that AWS was seen to take
    #[default]
    Realistic,
    /// A few milliseconds for everything
    Fast,
}

impl Profile {
    /// As `vpcbox` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Realistic => "realistic",
            Self::Fast => "fast",
        }
    }
}

/// `firecamp demo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct DemoArguments {
    /// How fast the simulated EC2 is
    #[arg(
        long,
        env = "FIRECAMP_DEMO_PROFILE",
        value_name = "PROFILE",
        default_value = "realistic"
    )]
    pub profile: Profile,
    /// Seed of everything random in the simulated EC2
    #[arg(long, env = "FIRECAMP_DEMO_SEED", value_name = "N", default_value_t = 3)]
    pub seed: u64,
    /// Print one JSON object a line instead of text
    #[arg(long, env = "FIRECAMP_DEMO_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// Write the same as one self-contained HTML page with a timeline
    #[arg(long, env = "FIRECAMP_DEMO_REPORT", value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Build and run optimised binaries: the figures that count
    #[arg(long, env = "FIRECAMP_DEMO_RELEASE", value_parser = BoolishValueParser::new())]
    pub release: bool,
    /// Keep the registry, the volume and the containers' logs, and say where
    #[arg(long, env = "FIRECAMP_DEMO_KEEP", value_parser = BoolishValueParser::new())]
    pub keep: bool,
    /// No colours; NO_COLOR does the same
    #[arg(long, env = "FIRECAMP_DEMO_NO_COLOR", value_parser = BoolishValueParser::new())]
    pub no_color: bool,
    /// Show a recorded --json run again instead of running anything
    #[arg(long, env = "FIRECAMP_DEMO_REPLAY", value_name = "FILE.jsonl")]
    pub replay: Option<PathBuf>,
}

/// The demo's part inside of the box.
#[derive(Debug, Args)]
pub struct InsideArguments {
    /// Everything, as JSON.
    pub orders: String,
}

/// The member's server.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// Where it listens.
    #[arg(long)]
    pub address: Ipv4Addr,
    /// The port.
    #[arg(long)]
    pub port: u16,
    /// The name of its pod, for its answers.
    #[arg(long)]
    pub pod: String,
}

/// The client.
#[derive(Debug, Args)]
pub struct ClientArguments {
    /// What it dials, all along.
    #[arg(long)]
    pub address: Ipv4Addr,
    /// The port.
    #[arg(long)]
    pub port: u16,
    /// The time between two attempts.
    #[arg(long)]
    pub every_ms: u64,
    /// When an attempt has failed.
    #[arg(long)]
    pub patience_ms: u64,
    /// Zero of its clock, in nanoseconds of the monotonic clock.
    #[arg(long)]
    pub origin_ns: u64,
}

/// A program that is started.
#[derive(Debug, Args)]
pub struct StartArguments {
    /// File for the time at which it is started.
    #[arg(long)]
    pub mark: PathBuf,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}
