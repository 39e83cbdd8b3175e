//! `firecamp cleanup`: removes what FireCamp has left in this node's kernel.

mod gather;
mod show;

use std::path::PathBuf;

use clap::Args;
use firecamp_core::contract::{env, path};
use firecamp_core::failure::HostFailure;
use firecamp_host::{AgentLock, Cleared, HostTimeouts, LinuxHost, PodNetworks};
use firecamp_node::cleanup::{Kept, Object, Observation, Plan, Step, Subject, Why, plan};

use crate::common::local_node::node_name;
use crate::common::print::{Output, out};
use crate::common::select_registry::RegistryArguments;
use crate::failure::Failure;

pub use gather::{Machine, Members, members};
pub use show::Report;

const EXAMPLES: &str = "\
Run this command as root on the node, in the node's own network namespace, after the members have \
left the node and the agents are uninstalled, or after a rollback to a state without FireCamp. Run \
it with --dry-run first. The command is idempotent.

Examples:
  firecamp cleanup --dry-run                   show what would be removed or kept, and why
  firecamp cleanup                             remove it
  firecamp cleanup --kubeconfig /var/lib/kubelet/kubeconfig
                                               use the kubelet's credentials
  firecamp cleanup --members-gone              if no cluster knows the node's pods any more
  firecamp cleanup -o json | jq '.kept[] | {reason, message}'

Removed: addresses, routing rules and routes with FireCamp's protocol number (201), in the form \
that this version creates, that are not in use; the link of the agent's endpoint (firecamp0) and \
the table firecamp_members of nf_tables, unless something else uses them.

Kept: an address that a socket uses or whose pod lives on this node; everything while an agent \
runs on this node; what another version of FireCamp created; everything that other programs \
created. If it is unknown whether something is in use, it is kept, unless you specify \
--members-gone.

Never changed: EC2 (an address stays assigned to its network interface until you unassign it), the \
registry, and the node-local locks in --run-dir, which prevent delayed processes from adding an \
address again and disappear with the next boot.

Exit codes: 0 nothing of FireCamp is left in the kernel; 20 something was kept because it is in \
use; 21 something was kept because it is unknown whether it is in use or who created it; 2 invalid \
flag; 19 the kernel or a lock rejected an operation: everything else was removed, run the command \
again. With --dry-run, the exit code is that of a real run.";

/// `firecamp cleanup`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, mut_arg("namespace", |flag| flag.hide(true)))]
pub struct CleanupArguments {
    /// Show what would be removed or kept, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Assert that no member runs on this node any more: also remove what may be in use. What is
    /// known to be in use is still kept
    #[arg(long)]
    pub members_gone: bool,
    /// The name of this node in the cluster. Default: the host name
    #[arg(long, env = env::NODE_NAME, hide_env_values = true, value_name = "NODE")]
    pub node_name: Option<String>,
    /// Directory of the node-local locks
    #[arg(long, env = env::RUN_DIR, hide_env_values = true, value_name = "DIR",
          default_value = path::RUN_DIR)]
    pub run_dir: PathBuf,
    /// The registry of the members.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Cleans up. Returns the exit code.
pub(crate) async fn run(arguments: &CleanupArguments) -> Result<u8, Failure> {
    // Nothing is added to a pod here, so no ranges are needed.
    let networks = PodNetworks { namespaces: path::NETNS_DIR.into(), ranges: Vec::new() };
    let host = LinuxHost::new(&arguments.run_dir, HostTimeouts::default());
    let machine = Machine {
        host: host.with_pod_networks(Some(networks)),
        node: node_name(arguments.node_name.as_deref())?,
        run_dir: arguments.run_dir.clone(),
    };
    let seen = machine.observe(&arguments.place.target()?).await?;
    let first = plan(&seen, arguments.members_gone);
    let (report, failed) = if arguments.dry_run || first.steps.is_empty() {
        (Report::planned(&first, arguments.dry_run), None)
    } else {
        clean(&machine, seen, &first, arguments.members_gone).await?
    };
    out(&arguments.output.text(&report, |_wide| report.people())?)?;
    failed.map_or(Ok(report.end().code()), |why| Err(refused(&why)))
}

/// Executes a plan in the place of the node's agent, then checks what is left.
async fn clean(
    machine: &Machine,
    mut seen: Observation,
    first: &Plan,
    members_gone: bool,
) -> Result<(Report, Option<HostFailure>), Failure> {
    let place = AgentLock::take(&machine.run_dir).map_err(|why| refused(&why))?;
    seen.agent = place.is_none();
    let mut failed = None;
    if place.is_some() {
        for step in &first.steps {
            failed = execute(&machine.host, step).await.err().or(failed);
        }
    }
    machine.refresh(&mut seen).await.map_err(|why| unverified(&first.steps, &why))?;
    let mut second = plan(&seen, members_gone);
    // What is still there has a new holder, is in use by now, or could not be removed.
    let back = std::mem::take(&mut second.steps).into_iter().flat_map(|step| step.objects);
    second.kept.extend(back.map(|object| Kept { object, why: Why::Changed }));
    let stays = |object: &Object| second.kept.iter().any(|kept| kept.object == *object);
    let all = first.steps.iter().flat_map(|step| &step.objects);
    let gone: Vec<Object> = all.filter(|object| !stays(object)).cloned().collect();
    Ok((Report::done(&gone, &second), failed))
}

/// The steps were executed, but the result could not be read.
fn unverified(steps: &[Step], why: &Failure) -> Failure {
    let subjects = steps.iter().map(|step| match &step.subject {
        Subject::Address(address, _lock) => address.to_string(),
        Subject::Table(table) => format!("table {table}"),
        Subject::Interface(address) => address.to_string(),
    });
    let subjects = subjects.collect::<Vec<_>>().join(", ");
    // Its text without the advice, which this failure adds again.
    let why = if let Failure::Node { why } = why { why.clone() } else { why.to_string() };
    Failure::Node { why: format!("{why}; it is unknown whether these were removed: {subjects}") }
}

async fn execute(host: &LinuxHost, step: &Step) -> Result<Cleared, HostFailure> {
    match &step.subject {
        Subject::Address(address, lock) => host.clear(*address, lock.as_ref()).await,
        Subject::Table(table) => host.clear_table(*table).await,
        Subject::Interface(address) => host.clear_interface(*address).await,
    }
}

pub(crate) fn refused(failure: &HostFailure) -> Failure {
    Failure::Node { why: failure.to_string() }
}
