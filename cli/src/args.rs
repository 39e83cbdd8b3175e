//! The command line.

use clap::{Parser, Subcommand};

use crate::bundle::BundleArguments;
use crate::cleanup::CleanupArguments;
use crate::doctor::DoctorArguments;
use crate::explain::ExplainArguments;
use crate::import::ImportArguments;
use crate::info::InfoArguments;
use crate::inject::InjectArguments;
use crate::node::NodeArguments;
use crate::service::ServiceArguments;
use crate::status::StatusArguments;
use crate::task::TaskArguments;
use crate::uninstall::UninstallArguments;
use crate::verify_ec2::VerifyEc2Arguments;
use crate::wait::WaitArguments;

const TOP: &str = "\
To use it as a kubectl plugin, link it as `kubectl-firecamp` into a directory of the PATH:
  ln -s firecamp /usr/local/bin/kubectl-firecamp; kubectl firecamp status -n prod

Exit codes:
  0    success; no problem found
  2    invalid flag or environment variable
  13   EC2 refused a request or did not answer
  14   timed out before the awaited state was reached
  15   the registry or the cluster cannot be reached
  16   the registry does not exist, or an object in it is invalid
  18   a file cannot be read or written
  19   the kernel rejected an operation
  20   problems were found
  21   no problem was found, but something could not be checked
  22   the registry or the cluster denied the request
  70   internal error (a bug)
  143  a signal ended the command
The --help of each command lists the exit codes that it uses.";

/// FireCamp: static IP addresses for the members of stateful services.
#[derive(Debug, Parser)]
#[command(name = "firecamp", version, about, after_help = TOP, max_term_width = 100)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show each member's claim, address, node and problem
    Status(StatusArguments),
    /// Show a node's network interfaces, addresses, volumes and conditions
    Node(NodeArguments),
    /// Check a member step by step, from its claim to its static-IP file
    Explain(ExplainArguments),
    /// Check the registry, the cluster and this node, with advice for each problem
    Doctor(DoctorArguments),
    /// Wait until a StatefulSet has stopped, or until all its members have their addresses
    Wait(WaitArguments),
    /// Collect diagnostic data into one file, without secrets
    SupportBundle(BundleArguments),
    /// Add to manifests what members need: for clusters without MutatingAdmissionPolicy
    Inject(InjectArguments),
    /// Remove unused addresses, rules and routes of FireCamp from this node's kernel
    Cleanup(CleanupArguments),
    /// Create, change, restart, stop and delete services
    Service(Box<ServiceArguments>),
    /// Run one-off tasks of a service, as Jobs
    Task(Box<TaskArguments>),
    /// Show the ID of the cluster, and of a node's instance
    Info(InfoArguments),
    /// Import addresses and members of the original FireCamp from its ConfigMaps
    Import(ImportArguments),
    /// Remove all addresses, interfaces and pools of FireCamp from EC2 and the cluster
    Uninstall(UninstallArguments),
    /// Try in a subnet whether EC2 does what FireCamp relies on
    VerifyEc2(VerifyEc2Arguments),
}
