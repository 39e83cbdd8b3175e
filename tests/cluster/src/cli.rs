//! The command line.

use std::ffi::OsString;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::time::Instant;

use crate::e2e::{Chosen, Part};
use crate::home::Home;
use crate::install::block_on;
use crate::topology::Layout;
use crate::up::Running;
use crate::{
    Outcome, e2e, failed, images, install, member, network_policy, node, supervise, up, vpc_cni,
};

/// Directory of the release images to install; `make images` writes it.
const RELEASE_IMAGES: &str = "FIRECAMP_IMAGES";

/// A Kubernetes cluster in a VPC in a box: three nodes, real binaries, on one machine, as root.
#[derive(Debug, Parser)]
#[command(name = "clusterbox", about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start a cluster, install FireCamp, and leave the cluster running
    Up {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Put each node into its own zone
        #[arg(long)]
        zones: bool,
        /// The CNI plugin of the nodes
        #[arg(long, default_value = "bridge", conflicts_with = "zones")]
        cni: Cni,
        /// Do not install FireCamp
        #[arg(long)]
        bare: bool,
    },
    /// Stop a cluster and remove everything that it created, also after a crash
    Down {
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// List clusters that run, and crashed ones that left files
    List {
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Run a command on a node (node-a, node-b, node-c) or on another machine of the VPC (client,
    /// control)
    Exec {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Name of the machine
        place: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Stop or start a component of the control plane or a node
    Order {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// `start` or `stop`
        verb: String,
        /// kube-apiserver, etcd, kube-scheduler, kube-controller-manager, node-a, ...
        unit: String,
    },
    /// Run a command of `vpcbox` on the cluster's VPC: truth, calls, fault, act, ...
    Vpc {
        #[command(flatten)]
        cluster: ClusterArgs,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Start a cluster, run end-to-end scenarios, and stop it
    E2e {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Number of runs
        #[arg(long, default_value_t = 1)]
        times: u32,
        /// The CNI plugin of the nodes; each has its own scenarios
        #[arg(long, default_value = "bridge")]
        cni: Cni,
        /// Run only a part of the scenarios [default: all]
        #[arg(long)]
        part: Option<Part>,
        /// Run only scenarios whose names contain one of these texts
        wanted: Vec<String>,
    },
    /// Start a cluster, inject disruptions, check that no member lost its address, and stop it
    Chaos {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Seed of the disruptions [default: random, and printed]
        #[arg(long)]
        seed: Option<u64>,
        /// Duration of the disruptions
        #[arg(long, default_value_t = 3)]
        minutes: u64,
    },
    /// Start a cluster, measure the duration of an installation and of pod restarts and the
    /// resources of an agent, and stop it
    Figures {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Number of pod restarts of each kind
        #[arg(long, default_value_t = 12)]
        runs: u32,
        /// Write the Markdown page to this file
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
        /// An address or a name
        host: String,
        #[arg(long, default_value_t = member::PORT)]
        port: u16,
    },
    #[command(hide = true)]
    GetApi { path: String },
    #[command(hide = true)]
    Ask { address: Ipv4Addr },
    #[command(hide = true)]
    Traffic { addresses: Vec<Ipv4Addr> },
    #[command(hide = true)]
    Fetch { at: SocketAddr, page: String },
    #[command(hide = true)]
    Supervise {
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    #[command(hide = true)]
    Node {
        #[command(flatten)]
        cluster: ClusterArgs,
        worker: String,
        holder: u32,
    },
    #[command(hide = true)]
    NodeInit {
        #[command(flatten)]
        cluster: ClusterArgs,
        worker: String,
    },
    #[command(hide = true)]
    Tied {
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// A CNI plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cni {
    /// A bridge on each node
    Bridge,
    /// A veth of its own for each pod
    Ptp,
    /// Amazon's VPC CNI, which assigns addresses of the VPC to pods
    Vpc,
}

impl Cni {
    fn layout(self) -> Layout {
        match self {
            Self::Bridge => Layout::OneSubnet,
            Self::Ptp => Layout::Ptp,
            Self::Vpc => Layout::VpcCni,
        }
    }
}

/// Selects a cluster.
#[derive(Debug, Args)]
struct ClusterArgs {
    /// Name of the cluster; several clusters can run side by side
    #[arg(long, default_value = "default")]
    name: String,
    /// Directory that contains the clusters
    #[arg(long, env = "CLUSTERBOX_DIR")]
    dir: PathBuf,
}

impl ClusterArgs {
    fn home(&self) -> Outcome<Home> {
        Home::new(&self.dir, &self.name)
    }
}

pub(crate) fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("clusterbox: error: {error}\n");
            // Without standard error, only the exit code can report the failure.
            drop(std::io::stderr().write_all(text.as_bytes()));
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Outcome {
    match action {
        Action::Up { cluster, zones, cni, bare } => {
            let layout = if zones { Layout::Zones } else { cni.layout() };
            bring_up(&cluster.home()?, layout, bare)
        }
        Action::Down { cluster } => up::down(&cluster.home()?),
        Action::List { cluster } => list(&cluster),
        Action::Exec { cluster, place, command } => exec(&cluster.home()?, &place, &command),
        Action::Vpc { cluster, command } => run_vpcbox(&cluster.home()?, &command),
        Action::Order { cluster, verb, unit } => {
            Running::find(&cluster.home()?)?.order(&format!("{verb} {unit}"))
        }
        Action::E2e { cluster, times, cni, part, wanted } => {
            let chosen = Chosen { layout: cni.layout(), part, wanted };
            e2e::run(&cluster.home()?, times, &chosen)
        }
        Action::Chaos { cluster, seed, minutes } => {
            e2e::chaos::run(&cluster.home()?, seed.unwrap_or_else(rand::random), minutes)
        }
        Action::Figures { cluster, runs, page } => {
            e2e::figures::run(&cluster.home()?, runs, page.as_deref())
        }
        Action::Nothing => Ok(()),
        Action::Serve(service) => block_on(member::serve(service)),
        Action::Occupy { at } => block_on(member::occupy(at)),
        Action::Dial { host, port } => block_on(member::dial(&host, port)),
        Action::GetApi { path } => block_on(member::get_api(&path)),
        Action::Ask { address } => block_on(member::poll_answers(address)),
        Action::Traffic { addresses } => block_on(member::traffic(addresses)),
        Action::Fetch { at, page } => block_on(member::fetch(at, &page)),
        Action::Supervise { cluster } => supervise::run(&cluster.home()?),
        Action::Node { cluster, worker, holder } => node::run(&cluster.home()?, &worker, holder),
        Action::NodeInit { cluster, worker } => node::run_init(&cluster.home()?, &worker),
        Action::Tied { command } => {
            node::die_with_parent()?;
            replace_process(&command)
        }
    }
}

/// The release images to install; None means images of debug builds.
pub(crate) fn release_images() -> Option<PathBuf> {
    std::env::var_os(RELEASE_IMAGES).map(PathBuf::from)
}

/// Starts a new cluster.
pub(crate) fn start_cluster(home: &Home, layout: Layout, tied: bool) -> Outcome<Running> {
    up::prepare(home)?;
    home.set_layout(layout)?;
    if layout == Layout::VpcCni {
        vpc_cni::copy_programs(home)?;
    }
    network_policy::copy_program(home)?;
    images::build(&home.path("images"), release_images().as_deref())?;
    up::start(home, tied)
}

fn bring_up(home: &Home, layout: Layout, bare: bool) -> Outcome {
    let begun = Instant::now();
    let running = start_cluster(home, layout, false)?;
    print_line(&format!("images built ({:.1} s)", begun.elapsed().as_secs_f64()))?;
    let ready = block_on(install::install(&running, bare));
    if let Err(error) = ready {
        return Err(format!("{error}\nThe logs are in {}", home.dir().display()));
    }
    print_line(&format!("{} is up ({:.1} s)", home.name(), begun.elapsed().as_secs_f64()))?;
    print_line(&format!("export KUBECONFIG={}", home.path("kubeconfig").display()))
}

fn list(cluster: &ClusterArgs) -> Outcome {
    for home in Home::all(&cluster.dir) {
        let state = up::running(&home).map_or("crashed".to_owned(), |pid| format!("box {pid}"));
        print_line(&format!("{:20} {state}", home.name()))?;
    }
    Ok(())
}

fn exec(home: &Home, place: &str, command: &[OsString]) -> Outcome {
    let (program, rest) = command.split_first().ok_or("no command given")?;
    let mut command = Running::find(home)?.on_machine(place, program)?;
    Err(format!("run {}: {}", program.display(), command.args(rest).exec()))
}

fn run_vpcbox(home: &Home, command: &[OsString]) -> Outcome {
    let running = Running::find(home)?;
    let mut vpcbox = Command::new(home.vpcbox());
    vpcbox.args(command).env("VPCBOX_BOX", running.vpcbox.to_string());
    Err(format!("run vpcbox: {}", vpcbox.exec()))
}

fn replace_process(command: &[OsString]) -> Outcome {
    let (program, rest) = command.split_first().ok_or("no command given")?;
    Err(format!("run {}: {}", program.display(), Command::new(program).args(rest).exec()))
}

/// Prints a line to standard output.
pub(crate) fn print_line(line: &str) -> Outcome {
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
