//! Command-line arguments.

mod hidden;
mod probe;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use firecamp_vpc::ProfileName;

use crate::boot_record::ExtraEnis;
pub(super) use hidden::Hidden;
pub(super) use probe::{
    DialArguments, HttpArguments, ProbeArguments, ProbeCommand, ServeArguments, StripArguments,
};

const EXIT_CODES: &str = "\
Exit codes:
  0        done; for run, exec and attach: the command's own exit code
  1        the box refused: no such node, client, address, ENI or fault
  2        a flag, a variable or the spec is invalid
  124      wait: the condition did not become true in time
  125      the box could not be started, reached or kept up
  126/127  the command cannot be executed / was not found
  128+N    the command was ended by signal N

Every flag has a variable: --timeout is VPCBOX_TIMEOUT, and so on. VPCBOX_LOG sets the log filter
(default: warn; debug shows every connection).

Examples:
  vpcbox spec > box.toml
  vpcbox run --spec box.toml --profile fast -- bash
  vpcbox exec node-a -- ip address          (inside the box)
  vpcbox truth                              (inside the box)
  vpcbox exec --box 4711 client-a -- curl http://10.0.1.50:6379   (from another terminal)";

/// A VPC on one machine: real network namespaces and packets, EC2's query API and IMDSv2 from a
/// strict simulator, and fault injection. Needs no root and leaves nothing behind.
#[derive(Debug, Parser)]
#[command(name = "vpcbox", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Starts a box, runs a command in it, and removes everything.
    Run(RunArguments),
    /// Runs a command in the namespaces of a node or client.
    Exec(ExecArguments),
    /// On a node: creates the network of a pod, and holds it.
    Pod(PodArguments),
    /// Runs a command in a box that another process started, as if `vpcbox run` had started it.
    Attach(AttachArguments),
    /// Shows which ENI owns each address, which node receives its packets, and where IMDS lists it.
    Truth(QueryArguments),
    /// Lists the calls to EC2 and to the metadata services, with times and outcome.
    Calls(CallsArguments),
    /// Lists the changes of the router's /32 routes.
    Router(SinceArguments),
    /// Sets, lists or clears faults.
    Fault(FaultArguments),
    /// Performs an action of a neighbor, of EC2 or of another program on a node, now.
    Act(ActArguments),
    /// Waits until a condition holds.
    Wait(WaitArguments),
    /// A minimal server and client in the box's network.
    Probe(ProbeArguments),
    /// Prints an example spec that explains every field.
    Spec,
    /// Tests each kernel feature that a box needs, and explains how to get a missing one.
    Doctor(DoctorArguments),
}

/// How to reach a box.
#[derive(Debug, Clone, Args)]
pub(super) struct BoxAddress {
    /// Process ID of the box's `vpcbox run`, to reach the box from outside
    #[arg(long = "box", env = "VPCBOX_BOX", value_name = "PID", hide_env_values = true)]
    pub(super) outer: Option<u32>,
    /// Admin socket of the box; set inside of a box
    #[arg(long, env = "VPCBOX_SOCKET", value_name = "PATH", hide_env_values = true)]
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The command keeps the caller's directory and environment and gets VPCBOX_SOCKET. It runs beside
the router, not in a node: use `vpcbox exec` for that. Without a command the box stays up until
Ctrl-C, and prints how to enter it from another terminal. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1
and SIGUSR2 go to the command. When the command ends, all other processes in the box are killed.

Example:
  vpcbox run --spec box.toml --profile fast --seed 7 -- ./test.sh")]
pub(super) struct RunArguments {
    /// The spec of the VPC, its nodes and clients, as TOML; `-` reads standard input
    #[arg(long, env = "VPCBOX_SPEC", value_name = "FILE")]
    pub(super) spec: PathBuf,
    /// Timing profile [default: the spec's]
    #[arg(long, env = "VPCBOX_PROFILE", value_name = "PROFILE")]
    pub(super) profile: Option<ProfileArgument>,
    /// Seed of all randomness [default: the spec's]
    #[arg(long, env = "VPCBOX_SEED", value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Initial state of links of ENIs beyond the primary one; never with an address
    #[arg(long, env = "VPCBOX_EXTRA_ENIS", value_name = "STATE", default_value = "down")]
    pub(super) extra_enis: ExtraEnis,
    /// Without a command: announce in JSON that the box is up
    #[arg(long, env = "VPCBOX_JSON")]
    pub(super) json: bool,
    /// Without a command: end when standard input ends, so that the box ends with its parent
    #[arg(long, env = "VPCBOX_UNTIL_EOF", conflicts_with = "command")]
    pub(super) until_eof: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileArgument {
    /// A few milliseconds for everything
    Fast,
    /// Durations observed on AWS
    Realistic,
}

impl From<ProfileArgument> for ProfileName {
    fn from(argument: ProfileArgument) -> Self {
        match argument {
            ProfileArgument::Fast => Self::Fast,
            ProfileArgument::Realistic => Self::Realistic,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
The process becomes the command: signals and exit code are the command's own. It has its own /run,
/sys and (if the machine has one) /data, and the directory it was started in. AWS_* and proxy
variables are replaced by those that the AWS SDK needs to find this box; credentials come from the
node's instance role by IMDS, as on EC2.

Examples:
  vpcbox exec node-a -- ip -br address
  vpcbox exec node-a --env POD_NAME=redis-0 -- ./init
  vpcbox exec --box 4711 client-a -- ping -c1 10.0.1.50")]
pub(super) struct ExecArguments {
    #[command(flatten)]
    pub(super) place: BoxAddress,
    /// An additional variable for the command; may be repeated
    #[arg(long = "env", env = "VPCBOX_ENV", value_name = "KEY=VALUE")]
    pub(super) variables: Vec<String>,
    /// A node or client of the spec, or NODE/POD: in the network of a pod
    #[arg(value_name = "NODE")]
    pub(super) node: String,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

impl ExecArguments {
    pub(super) fn node_and_pod(&self) -> (&str, Option<&str>) {
        match self.node.split_once('/') {
            Some((node, pod)) => (node, Some(pod)),
            None => (&self.node, None),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Prints `ready` when programs can join, and removes the network at SIGTERM or SIGINT. The pod is
connected as the CNI plugin ptp does: a veth pair, /32 routes, and the first address of its /24 as
the gateway. The node forwards packets from then on.

Example, in a box:
  vpcbox exec node-a -- vpcbox pod web 10.244.1.5 &
  vpcbox exec node-a/web -- ip address")]
pub(super) struct PodArguments {
    /// The name of the pod: at most 11 letters, digits and hyphens
    #[arg(value_name = "POD")]
    pub(super) name: String,
    /// Its address, outside of the VPC
    #[arg(value_name = "ADDRESS")]
    pub(super) address: Ipv4Addr,
}

#[derive(Debug, Args)]
pub(super) struct AttachArguments {
    /// Process ID of the box's `vpcbox run`
    #[arg(env = "VPCBOX_BOX", value_name = "PID")]
    pub(super) outer: i32,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct QueryArguments {
    #[command(flatten)]
    pub(super) place: BoxAddress,
    /// Print JSON
    #[arg(long, env = "VPCBOX_JSON")]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SinceArguments {
    #[command(flatten)]
    pub(super) query: QueryArguments,
    /// Only entries with a number above this
    #[arg(long, env = "VPCBOX_SINCE", value_name = "N", default_value_t = 0)]
    pub(super) since: u64,
}

#[derive(Debug, Args)]
pub(super) struct CallsArguments {
    #[command(flatten)]
    pub(super) since: SinceArguments,
    /// Only calls to this service
    #[arg(long, env = "VPCBOX_SERVICE", value_name = "SERVICE")]
    pub(super) service: Option<ServiceArgument>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ServiceArgument {
    /// EC2's query API
    Ec2,
    /// The metadata services
    Imds,
}

impl ServiceArgument {
    /// The name in the call log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Imds => "imds",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct FaultArguments {
    #[command(subcommand)]
    pub(super) command: FaultCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum FaultCommand {
    /// Sets a fault and prints its ID.
    Set(FaultSetArguments),
    /// Lists the faults that are set, with their counters.
    List(QueryArguments),
    /// Clears one fault, or all, and prints their final status.
    Clear(FaultClearArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
`docs/development/vpcbox.md` documents each KIND and its fields. A value that is not JSON is text.
`--when` restricts the fault to matching calls: op, caller, resource, nth, count, probability,
from_ms, until_ms.

Examples:
  vpcbox fault set lost_response --when op=AssignPrivateIpAddresses --when nth=1
  vpcbox fault set late_landing after_ms=8000 --when caller=node-a
  vpcbox fault set error code=UnauthorizedOperation status=403 --when op=DescribeNetworkInterfaces
  vpcbox fault set imds_frozen --when caller=node-b
  vpcbox fault set external_reassignment address=10.0.1.50 every_ms=5000
  vpcbox fault set '{\"fault\":{\"kind\":\"delay\",\"ms\":500},\"when\":{\"probability\":0.1}}'")]
pub(super) struct FaultSetArguments {
    #[command(flatten)]
    pub(super) query: QueryArguments,
    /// The kind of fault, or the complete fault as a JSON object
    #[arg(value_name = "KIND")]
    pub(super) kind: String,
    /// Fields of the fault
    #[arg(value_name = "KEY=VALUE")]
    pub(super) fields: Vec<String>,
    /// A condition of the fault; may be repeated, and all must hold
    #[arg(long, env = "VPCBOX_WHEN", value_name = "KEY=VALUE", value_delimiter = '\n')]
    pub(super) when: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct FaultClearArguments {
    #[command(flatten)]
    pub(super) query: QueryArguments,
    /// The ID; all faults if absent
    #[arg(value_name = "N")]
    pub(super) id: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
In the VPC: reassign, unassign, strip_eni, terminate, stop, start, reboot, attach_eni, detach,
delete_eni, hide_eni, add_prefixes, drop_prefixes, create_eni, tag_eni, create_volume,
attach_volume, detach_volume, resize_volume, fail_volume, delete_volume. In the kernel of a node:
kernel_strip, kernel_add, link_flap, link_down, link_up.
The fields of each are in `docs/development/vpcbox.md`.

Examples:
  vpcbox act terminate node=node-b
  vpcbox act detach eni=eni-0123456789abcdef0
  vpcbox act reassign address=10.0.1.50
  vpcbox act kernel_strip node=node-a address=10.0.1.50
  vpcbox act link_flap node=node-a link=ens6 down_ms=200")]
pub(super) struct ActArguments {
    #[command(flatten)]
    pub(super) query: QueryArguments,
    /// The kind of action
    #[arg(value_name = "KIND")]
    pub(super) kind: String,
    /// Fields of the action
    #[arg(value_name = "KEY=VALUE")]
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exactly one condition. NODE is a node, a client, an ENI id, or `none` for no node.

Examples:
  vpcbox wait --owner 10.0.1.50=node-b              EC2's state
  vpcbox wait --routed 10.0.1.50=node-b --timeout 5  the router delivers it there
  vpcbox wait --listed 10.0.1.50=node-b             IMDS of that node lists it
  vpcbox wait --called AssignPrivateIpAddresses --count 2 --caller node-b")]
pub(super) struct WaitArguments {
    #[command(flatten)]
    pub(super) query: QueryArguments,
    /// In EC2's state, the address belongs to the node
    #[arg(long, env = "VPCBOX_OWNER", value_name = "ADDRESS=NODE", group = "condition")]
    pub(super) owner: Option<ExpectedHolder>,
    /// The router delivers the address to the node
    #[arg(long, env = "VPCBOX_ROUTED", value_name = "ADDRESS=NODE", group = "condition")]
    pub(super) routed: Option<ExpectedHolder>,
    /// The metadata service of the node lists the address
    #[arg(long, env = "VPCBOX_LISTED", value_name = "ADDRESS=NODE", group = "condition")]
    pub(super) listed: Option<ExpectedHolder>,
    /// Calls of this action have been answered
    #[arg(long, env = "VPCBOX_CALLED", value_name = "ACTION", group = "condition")]
    pub(super) called: Option<String>,
    /// For --called: the number of calls
    #[arg(long, env = "VPCBOX_COUNT", value_name = "N", default_value_t = 1)]
    pub(super) count: u64,
    /// For --called: only calls of this node
    #[arg(long, env = "VPCBOX_CALLER", value_name = "NODE")]
    pub(super) caller: Option<String>,
    /// Timeout, in seconds
    #[arg(long, env = "VPCBOX_TIMEOUT", value_name = "SECONDS", default_value_t = 30.0)]
    pub(super) timeout: f64,
}

/// `ADDRESS=NODE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpectedHolder {
    pub(super) address: Ipv4Addr,
    /// `None`: no node.
    pub(super) node: Option<String>,
}

impl std::str::FromStr for ExpectedHolder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, node) =
            text.split_once('=').ok_or("expected ADDRESS=NODE, for example 10.0.1.50=node-b")?;
        let address =
            address.parse().map_err(|_source| format!("{address:?} is not an IPv4 address"))?;
        let node = (node != "none").then(|| node.to_owned());
        Ok(Self { address, node })
    }
}

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Print JSON
    #[arg(long, env = "VPCBOX_JSON")]
    pub(super) json: bool,
}
