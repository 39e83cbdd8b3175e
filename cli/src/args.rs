//! What can be said on the command line.

use clap::{Parser, Subcommand};

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
  70   a bug
  Each command's --help says which of them it has.";

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
}
