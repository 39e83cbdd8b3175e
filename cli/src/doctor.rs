//! `firecamp doctor`: checks whether registry, cluster and node are ready for members.

mod api_server_checks;
pub mod finding;
mod gather;
mod node_and_agent_checks;
pub mod node_checks;
mod pool_and_claim_checks;
mod requested_resources;
pub mod required_permissions;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use firecamp_core::contract::{env, path};

use crate::common::command_result::CheckResult;
use crate::common::print::{Output, out};
use crate::common::registry_reader::RegistryReader;
use crate::common::select_registry::RegistryArguments;
use crate::failure::Failure;
use finding::{Diagnosis, Finding, Role};
use jiff::Timestamp;

pub use gather::{RegistrySnapshot, gather};

const EXAMPLES: &str = "\
Examples:
  kubectl firecamp doctor                      check the cluster that kubectl uses
  firecamp doctor                              the registry, and this machine if it is a node
  firecamp doctor --role agent                 with an agent's token: check its permissions
  firecamp doctor --scope node --cluster-name prod
  firecamp doctor -o json | jq '.findings[] | select(.level == \"Failed\")'

Each finding has a stable reason and, if necessary, advice. docs/cli.md lists the checks.

Exit codes: 0 no check failed, but there may be warnings; 20 a check failed; 21 no check failed,
but something could not be checked.";

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Scope {
    /// The registry, and this machine if the directory of the node-local locks exists
    #[default]
    Auto,
    /// Only the registry or cluster
    Cluster,
    /// Only this machine
    Node,
    /// Both
    All,
}

/// `firecamp doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArguments {
    /// The registry.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// What to check
    #[arg(long, value_enum, default_value_t)]
    pub scope: Scope,
    /// Check whether the credentials in use have the permissions of this role in the cluster
    #[arg(long, value_enum, default_value_t)]
    pub role: Role,
    /// Name of the FireCamp cluster, to check the tags of this node's network interfaces
    #[arg(long, env = env::CLUSTER, hide_env_values = true, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Do not send requests to EC2
    #[arg(long)]
    pub no_ec2: bool,
    /// Directory of the node-local locks
    #[arg(long, env = env::RUN_DIR, hide_env_values = true, value_name = "DIR",
          default_value = path::RUN_DIR)]
    pub run_dir: PathBuf,
    /// The output format
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

/// Runs the checks.
pub(crate) async fn run(arguments: &DoctorArguments) -> CheckResult {
    let mut diagnosis = Diagnosis::default();
    let (mut subnets, mut looked) = (None, None);
    if arguments.registry() {
        match RegistryReader::open(&arguments.place.target()?).await {
            Ok(reader) => {
                let seen = gather(&reader, arguments.role).await;
                subnets = pool_and_claim_checks::subnets(&seen);
                diagnosis = judge(&seen, Timestamp::now());
                looked = Some((reader, seen));
            }
            // The node is still checked: an unreachable registry may be a problem of the node.
            Err(why) if arguments.node() => {
                diagnosis.findings.push(Finding::unknown("registry", "registry", &why.chain()));
            }
            Err(why) => return Err(why),
        }
    }
    if arguments.node() {
        let cluster = looked.as_ref().and_then(nodes);
        diagnosis
            .findings
            .extend(node_checks::examine(arguments, subnets, cluster.as_ref()).await?);
    }
    let text = arguments.output.text(&diagnosis, |wide| diagnosis.people(wide))?;
    out(&text)?;
    Ok(diagnosis.exit())
}

fn nodes((reader, seen): &(RegistryReader, RegistrySnapshot)) -> Option<node_checks::Nodes<'_>> {
    match (reader, &seen.cluster) {
        (RegistryReader::Cluster(cluster), Some(seen)) => {
            Some(node_checks::Nodes { inventory: &cluster.inventory, all: &seen.nodes })
        }
        (RegistryReader::File(_), _) | (_, None) => None,
    }
}

/// Checks a registry.
pub async fn of(reader: &RegistryReader, role: Role, now: Timestamp) -> Result<Diagnosis, Failure> {
    Ok(judge(&gather(reader, role).await, now))
}

/// The diagnosis of what was read. Pure.
pub fn judge(seen: &RegistrySnapshot, now: Timestamp) -> Diagnosis {
    let mut findings = api_server_checks::api(seen);
    findings.extend(pool_and_claim_checks::pools(seen));
    findings.extend(pool_and_claim_checks::members(seen, now));
    findings.extend(node_and_agent_checks::agents(seen));
    Diagnosis { registry: seen.registry.clone(), findings }
}
