//! The command line.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

const EXIT_CODES: &str = "\
Exit codes:
  0    all guarantees held
  2    invalid flag or environment variable
  18   the report or the recorded run cannot be read or written
  19   this machine lacks a kernel feature; the message says which, and how to enable it
  70   a guarantee was violated (EC2 calls, wrong node, lost address), a container failed, or the
       binaries could not be built
  125  the VPC in a box could not be created or failed
  128+N  terminated by signal N";

const EXAMPLES: &str = "\
Examples:
  cargo demo                                   the complete demo, about 30 seconds
  cargo demo --release                         with representative times
  cargo demo --profile fast --json             about two seconds, JSON output
  cargo demo --release --report demo.html      also write an HTML page with a timeline
  firecamp-demo --replay run.jsonl --report demo.html    replay a recorded --json run";

/// Demonstrates a member that keeps its address, in a simulated VPC with real packets
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
    /// Instead of the demo, one of the programs that the demo starts.
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// The programs that the demo starts.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// The demo's part inside the box.
    #[command(hide = true)]
    DemoInside(InsideArguments),
    /// The member of the demo: a small TCP server.
    #[command(hide = true)]
    MemberServer(ServerArguments),
    /// The client of the demo.
    #[command(hide = true)]
    MemberClient(ClientArguments),
    /// Records the time and executes another program.
    #[command(hide = true)]
    MemberStart(StartArguments),
    /// Forwards a port of the loopback device to a socket.
    #[command(hide = true)]
    Forward(ForwardArguments),
}

/// How fast the simulated EC2 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Latencies measured in AWS
    #[default]
    Realistic,
    /// A few milliseconds for everything
    Fast,
}

impl Profile {
    /// The name in `vpcbox`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Realistic => "realistic",
            Self::Fast => "fast",
        }
    }
}

/// Options of the demo.
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
    /// Random seed of the simulated EC2
    #[arg(long, env = "FIRECAMP_DEMO_SEED", value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// Print one JSON object per line instead of text
    #[arg(long, env = "FIRECAMP_DEMO_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// Also write a self-contained HTML page with a timeline
    #[arg(long, env = "FIRECAMP_DEMO_REPORT", value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Build and run optimized binaries, for representative times
    #[arg(long, env = "FIRECAMP_DEMO_RELEASE", value_parser = BoolishValueParser::new())]
    pub release: bool,
    /// Keep the registry, the volume and the containers' logs, and print their location
    #[arg(long, env = "FIRECAMP_DEMO_KEEP", value_parser = BoolishValueParser::new())]
    pub keep: bool,
    /// Disable colors, like NO_COLOR
    #[arg(long, env = "FIRECAMP_DEMO_NO_COLOR", value_parser = BoolishValueParser::new())]
    pub no_color: bool,
    /// Replay a recorded --json run instead of running the demo
    #[arg(long, env = "FIRECAMP_DEMO_REPLAY", value_name = "FILE.jsonl")]
    pub replay: Option<PathBuf>,
}

/// The demo's part inside the box.
#[derive(Debug, Args)]
pub struct InsideArguments {
    /// The configuration, as JSON.
    pub config: String,
}

/// The member's server.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// The listen address.
    #[arg(long)]
    pub address: Ipv4Addr,
    /// The port.
    #[arg(long)]
    pub port: u16,
    /// The name of its pod, for its responses.
    #[arg(long)]
    pub pod: String,
}

/// The client.
#[derive(Debug, Args)]
pub struct ClientArguments {
    /// The address to dial.
    #[arg(long)]
    pub address: Ipv4Addr,
    /// The port.
    #[arg(long)]
    pub port: u16,
    /// The time between two attempts.
    #[arg(long)]
    pub every_ms: u64,
    /// The timeout of an attempt.
    #[arg(long)]
    pub patience_ms: u64,
    /// The origin of its clock, in nanoseconds of the monotonic clock.
    #[arg(long)]
    pub origin_ns: u64,
}

/// The forwarder.
#[derive(Debug, Args)]
pub struct ForwardArguments {
    /// The port.
    pub port: u16,
    /// The Unix socket.
    pub socket: PathBuf,
}

/// A program to start.
#[derive(Debug, Args)]
pub struct StartArguments {
    /// File for the time at which it is started.
    #[arg(long)]
    pub mark: PathBuf,
    /// Drop all privileges before it starts.
    #[arg(long)]
    pub unprivileged: bool,
    /// After creating the mark, wait until no process has an exclusive lock of this file.
    #[arg(long, value_name = "FILE")]
    pub gate: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}
