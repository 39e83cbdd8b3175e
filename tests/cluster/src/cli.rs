//! The command line.

use std::ffi::OsString;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};
use tokio::time::Instant;

use crate::home::Home;
use crate::install::block_on;
use crate::topology::Layout;
use crate::up::Running;
use crate::{Outcome, e2e, failed, images, install, member, node, supervise, up};

/// Directory of the images that are installed, as `make images` writes it.
const SHIPPED: &str = "FIRECAMP_IMAGES";

/// A Kubernetes cluster in a VPC in a box: three nodes, real binaries, on one machine, as root.
#[derive(Debug, Parser)]
#[command(name = "clusterbox", about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Brings a cluster up with FireCamp installed, and leaves it running.
    Up {
        #[command(flatten)]
        which: Which,
        /// Put each node into a zone of its own
        #[arg(long)]
        zones: bool,
        /// Install nothing into it
        #[arg(long)]
        bare: bool,
    },
    /// Takes a cluster down and removes every trace of it, also of one that crashed.
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// Lists the clusters that are up, or left something.
    List {
        #[command(flatten)]
        which: Which,
    },
    /// Runs a command on a node (node-a, node-b, node-c), or in the VPC beside them (client,
    /// control).
    Exec {
        #[command(flatten)]
        which: Which,
        /// Where
        place: String,
        /// What
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Stops a component of the control plane or a node's processes, or starts it again
    Order {
        #[command(flatten)]
        which: Which,
        /// `start` or `stop`
        verb: String,
        /// kube-apiserver, etcd, kube-scheduler, kube-controller-manager, node-a, ...
        unit: String,
    },
    /// Runs a command of `vpcbox` on the cluster's VPC: truth, calls, fault, act, ...
    Vpc {
        #[command(flatten)]
        which: Which,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Brings a cluster up, runs the scenarios whose names contain one of the texts, or all, and
    /// takes it down
    E2e {
        #[command(flatten)]
        which: Which,
        /// Run all of them so many times
        #[arg(long, default_value_t = 1)]
        times: u32,
        /// Parts of names
        wanted: Vec<String>,
    },
    /// Brings a cluster up, does everything to it that may happen, by a seed, checks that no member
    /// lost its address, and takes it down
    Chaos {
        #[command(flatten)]
        which: Which,
        /// What happens and when; one is chosen and printed if none is given
        #[arg(long)]
        seed: Option<u64>,
        /// For so long
        #[arg(long, default_value_t = 3)]
        minutes: u64,
    },
    /// Brings a cluster up, measures how long an installation and a member's return take and what
    /// an agent needs, and takes it down
    Figures {
        #[command(flatten)]
        which: Which,
        /// Restarts of each kind
        #[arg(long, default_value_t = 12)]
        runs: u32,
        /// Write the page here
        #[arg(long)]
        page: Option<PathBuf>,
    },
    #[command(hide = true)]
    Nothing,
    #[command(hide = true)]
    Serve(member::Service),
    #[command(hide = true)]
    Occupy { at: SocketAddr },
    #[command(hide = true)]
    Dial {
        address: Ipv4Addr,
        #[arg(long, default_value_t = member::PORT)]
        port: u16,
    },
    #[command(hide = true)]
    Ask { address: Ipv4Addr },
    #[command(hide = true)]
    Traffic { addresses: Vec<Ipv4Addr> },
    #[command(hide = true)]
    Fetch { at: SocketAddr, page: String },
    #[command(hide = true)]
    Supervise {
        #[command(flatten)]
        which: Which,
    },
    #[command(hide = true)]
    Node {
        #[command(flatten)]
        which: Which,
        worker: String,
        holder: u32,
    },
    #[command(hide = true)]
    NodeInit {
        #[command(flatten)]
        which: Which,
        worker: String,
    },
    #[command(hide = true)]
    Tied {
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Which cluster.
#[derive(Debug, Args)]
struct Which {
    /// Name of the cluster: several may be up side by side
    #[arg(long, default_value = "default")]
    name: String,
    /// Directory of the clusters
    #[arg(long, env = "CLUSTERBOX_DIR")]
    dir: PathBuf,
}

impl Which {
    fn home(&self) -> Outcome<Home> {
        Home::new(&self.dir, &self.name)
    }
}

pub(crate) fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            let text = format!("clusterbox: error: {wrong}\n");
            // If standard error is gone there is nobody left to tell.
            drop(std::io::stderr().write_all(text.as_bytes()));
            ExitCode::FAILURE
        }
    }
}

fn run(word: Word) -> Outcome {
    match word {
        Word::Up { which, zones, bare } => {
            let layout = if zones { Layout::Zones } else { Layout::OneSubnet };
            bring_up(&which.home()?, layout, bare)
        }
        Word::Down { which } => up::down(&which.home()?),
        Word::List { which } => list(&which),
        Word::Exec { which, place, command } => exec(&which.home()?, &place, &command),
        Word::Vpc { which, command } => ask_vpc(&which.home()?, &command),
        Word::Order { which, verb, unit } => {
            Running::find(&which.home()?)?.order(&format!("{verb} {unit}"))
        }
        Word::E2e { which, times, wanted } => e2e::run(&which.home()?, times, &wanted),
        Word::Chaos { which, seed, minutes } => {
            e2e::chaos::run(&which.home()?, seed.unwrap_or_else(rand::random), minutes)
        }
        Word::Figures { which, runs, page } => {
            e2e::figures::run(&which.home()?, runs, page.as_deref())
        }
        Word::Nothing => Ok(()),
        Word::Serve(service) => block_on(member::serve(service)),
        Word::Occupy { at } => block_on(member::occupy(at)),
        Word::Dial { address, port } => block_on(member::dial(address, port)),
        Word::Ask { address } => block_on(member::ask_on(address)),
        Word::Traffic { addresses } => block_on(member::traffic(addresses)),
        Word::Fetch { at, page } => block_on(member::fetch(at, &page)),
        Word::Supervise { which } => supervise::run(&which.home()?),
        Word::Node { which, worker, holder } => node::run(&which.home()?, &worker, holder),
        Word::NodeInit { which, worker } => node::first(&which.home()?, &worker),
        Word::Tied { command } => {
            node::tie()?;
            become_it(&command)
        }
    }
}

/// The images to install, unless they are to be made of debug builds.
pub(crate) fn shipped() -> Option<PathBuf> {
    std::env::var_os(SHIPPED).map(PathBuf::from)
}

/// Starts a new cluster.
pub(crate) fn make(home: &Home, layout: Layout, tied: bool) -> Outcome<Running> {
    up::prepare(home)?;
    home.lay_out(layout)?;
    images::build(&home.path("images"), shipped().as_deref())?;
    up::start(home, tied)
}

fn bring_up(home: &Home, layout: Layout, bare: bool) -> Outcome {
    let begun = Instant::now();
    let running = make(home, layout, false)?;
    say(&format!("the images are made ({:.1} s)", begun.elapsed().as_secs_f64()))?;
    let ready = block_on(install::install(&running, bare));
    if let Err(wrong) = ready {
        return Err(format!("{wrong}\nIts logs are in {}", home.dir().display()));
    }
    say(&format!("{} is up ({:.1} s)", home.name(), begun.elapsed().as_secs_f64()))?;
    say(&format!("export KUBECONFIG={}", home.path("kubeconfig").display()))
}

fn list(which: &Which) -> Outcome {
    for home in Home::all(&which.dir) {
        let state = up::running(&home).map_or("crashed".to_owned(), |pid| format!("box {pid}"));
        say(&format!("{:20} {state}", home.name()))?;
    }
    Ok(())
}

fn exec(home: &Home, place: &str, command: &[OsString]) -> Outcome {
    let (program, rest) = command.split_first().ok_or("no command was given")?;
    let mut command = Running::find(home)?.anywhere(place, program)?;
    Err(format!("run it: {}", command.args(rest).exec()))
}

fn ask_vpc(home: &Home, command: &[OsString]) -> Outcome {
    let running = Running::find(home)?;
    let mut vpcbox = Command::new(home.vpcbox());
    vpcbox.args(command).env("VPCBOX_BOX", running.vpcbox.to_string());
    Err(format!("run it: {}", vpcbox.exec()))
}

fn become_it(command: &[OsString]) -> Outcome {
    let (program, rest) = command.split_first().ok_or("no command was given")?;
    Err(format!("run it: {}", Command::new(program).args(rest).exec()))
}

/// A line for people.
pub(crate) fn say(line: &str) -> Outcome {
    writeln!(anstream::stdout(), "{line}").map_err(failed("standard output"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
