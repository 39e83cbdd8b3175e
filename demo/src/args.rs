//! What can be said on the command line.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

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
  firecamp-demo --replay run.jsonl --report demo.html    a recorded --json run once more";

/// Shows a member that keeps its address, in a VPC on this machine, with real packets
#[derive(Debug, Parser)]
#[command(
    name = "firecamp-demo",
    version,
    about,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// The demo.
    #[command(flatten)]
    pub demo: DemoArguments,
    /// One of the programs that the demo starts, instead of the demo.
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// The programs that the demo starts.
#[derive(Debug, Subcommand)]
pub enum Part {
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

/// What is shown, and how.
#[derive(Debug, Args)]
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
