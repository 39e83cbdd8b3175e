//! `firecamp doctor`: is the registry, the cluster and this node as members need them?

mod cluster;
pub mod finding;
mod gather;
pub mod node;
mod registry;
pub mod rights;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use firecamp_core::contract::{env, path};

use crate::failure::Failure;
use crate::look::book::Book;
use crate::look::outcome::Ended;
use crate::look::print::{Output, out};
use crate::look::target::Where;
use finding::{Diagnosis, Finding, Role};
use jiff::Timestamp;

pub use gather::{Seen, gather};

const EXAMPLES: &str = "\
Examples:
  kubectl firecamp doctor                      the cluster that kubectl uses
  firecamp doctor                              the registry, and this node if it is one
  firecamp doctor --role agent                 with an agent's token: has it all its rights?
  firecamp doctor --scope node --cluster-name prod
  firecamp doctor -o json | jq '.findings[] | select(.level == \"Fails\")'

Every finding has a reason that never changes its meaning, and says what to do. docs/cli.md lists
the checks.

Exit codes: 0 nothing fails, though something may warn; 20 a check fails; 21 none fails, and
something could not be checked.";

/// What is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Scope {
    /// The registry, and this machine if it has the directory of the node-local locks
    #[default]
    Auto,
    /// The registry or cluster alone
    Cluster,
    /// This machine alone
    Node,
    /// Both
    All,
}

/// `firecamp doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArguments {
    /// Where to look.
    #[command(flatten)]
    pub place: Where,
    /// What is examined
    #[arg(long, value_enum, default_value_t)]
    pub scope: Scope,
    /// Whose rights in the cluster are asked for, with the credentials that are used here
    #[arg(long, value_enum, default_value_t)]
    pub role: Role,
    /// Name of the FireCamp cluster, for the tags of this node's network interfaces
    #[arg(long, env = env::CLUSTER, hide_env_values = true, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Do not ask EC2 about this node
    #[arg(long)]
    pub no_ec2: bool,
    /// Directory of the node-local locks
    #[arg(long, env = env::RUN_DIR, hide_env_values = true, value_name = "DIR",
          default_value = path::RUN_DIR)]
    pub run_dir: PathBuf,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

impl DoctorArguments {
    fn node(&self) -> bool {
        match self.scope {
            Scope::Auto => self.run_dir.is_dir(),
            Scope::Cluster => false,
            Scope::Node | Scope::All => true,
        }
    }

    fn registry(&self) -> bool {
        self.scope != Scope::Node
    }
}

/// Examines what the arguments say.
pub(crate) async fn run(arguments: &DoctorArguments) -> Ended {
    let mut diagnosis = Diagnosis::default();
    let (mut subnets, mut looked) = (None, None);
    if arguments.registry() {
        match Book::open(&arguments.place.target()?).await {
            Ok(book) => {
                let seen = gather(&book, arguments.role).await;
                subnets = registry::subnets(&seen);
                diagnosis = judge(&seen, Timestamp::now());
                looked = Some((book, seen));
            }
            // A node is examined all the same: that it reaches no registry may be what is wrong.
            Err(why) if arguments.node() => {
                diagnosis.findings.push(Finding::unknown("registry", "registry", &why.chain()));
            }
            Err(why) => return Err(why),
        }
    }
    if arguments.node() {
        let cluster = looked.as_ref().and_then(nodes);
        diagnosis.findings.extend(node::examine(arguments, subnets, cluster.as_ref()).await?);
    }
    let text = arguments.output.text(&diagnosis, |wide| diagnosis.people(wide))?;
    out(&text)?;
    Ok(diagnosis.look())
}

fn nodes((book, seen): &(Book, Seen)) -> Option<node::Nodes<'_>> {
    match (book, &seen.cluster) {
        (Book::Cluster(cluster), Some(seen)) => {
            Some(node::Nodes { inventory: &cluster.inventory, all: &seen.nodes })
        }
        (Book::File(_), _) | (_, None) => None,
    }
}

/// Examines a registry.
pub async fn of(book: &Book, role: Role, now: Timestamp) -> Result<Diagnosis, Failure> {
    Ok(judge(&gather(book, role).await, now))
}

/// What follows from what was seen. Pure.
pub fn judge(seen: &Seen, now: Timestamp) -> Diagnosis {
    let mut findings = cluster::api(seen);
    findings.extend(registry::pools(seen));
    findings.extend(registry::members(seen, now));
    findings.extend(cluster::agents(seen));
    Diagnosis { registry: seen.registry.clone(), findings }
}
