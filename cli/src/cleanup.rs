//! `firecamp cleanup`: takes what FireCamp has left in this node's kernel out of it.

mod gather;
mod show;

use std::path::PathBuf;

use clap::Args;
use firecamp_core::contract::{env, path};
use firecamp_core::failure::HostFailure;
use firecamp_host::{AgentPlace, Cleared, HostTimeouts, LinuxHost};
use firecamp_node::cleanup::{Kept, Object, Plan, Seen, Step, Subject, Why, plan};

use crate::failure::Failure;
use crate::look::here::node_name;
use crate::look::print::{Output, out};
use crate::look::target::Where;

pub use gather::{Machine, Members, members};
pub use show::Report;

const EXAMPLES: &str = "\
Run it as root on the node, in the node's own network namespace: after the members have left the \
node and the agents are removed, or after a rollback to before FireCamp. Run it with --dry-run \
first. It can be run again at any time; what is gone already changes nothing.

Examples:
  firecamp cleanup --dry-run                   what would go and what would stay, and why
  firecamp cleanup                             does it
  firecamp cleanup --kubeconfig /var/lib/kubelet/kubeconfig
                                               asks with the kubelet's own rights
  firecamp cleanup --members-gone              without a cluster that knows the node's pods
  firecamp cleanup -o json | jq '.kept[] | {reason, message}'

What goes: addresses, routing rules and routes with FireCamp's protocol number (201), of the \
shapes that this version makes, that nobody uses.

What stays: an address that a socket uses, or whose pod lives on this node; everything while an \
agent runs here; what another version made; everything of others. What could not be asked is not \
known, and stays unless you say that the members are gone.

What is never touched: EC2 (an address stays assigned to its network interface until somebody \
unassigns it), the registry, and the node-local locks in the directory --run-dir, which keep late \
processes from adding an address again and are gone with the next boot.

Exit codes: 0 nothing of FireCamp's is left in the kernel; 20 something stays because it is used; \
21 something stays because nobody can tell whether it is used or whose it is; with --dry-run, as \
it would end. 2 a flag is wrong; 19 the kernel or a lock refuses: what could be removed is, run it \
again.";

/// `firecamp cleanup`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, mut_arg("namespace", |flag| flag.hide(true)))]
pub struct CleanupArguments {
    /// Print what would go and what would stay, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Say that no member runs on this node any more: then what is not known is not used. What is
    /// seen to be used stays all the same
    #[arg(long)]
    pub members_gone: bool,
    /// The name of this node in the cluster; without it the host name
    #[arg(long, env = env::NODE_NAME, hide_env_values = true, value_name = "NODE")]
    pub node_name: Option<String>,
    /// Directory of the node-local locks
    #[arg(long, env = env::RUN_DIR, hide_env_values = true, value_name = "DIR",
          default_value = path::RUN_DIR)]
    pub run_dir: PathBuf,
    /// Where members are known.
    #[command(flatten)]
    pub place: Where,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Cleans up. Returns the exit code.
pub(crate) async fn run(arguments: &CleanupArguments) -> Result<u8, Failure> {
    let machine = Machine {
        host: LinuxHost::new(&arguments.run_dir, HostTimeouts::default()),
        node: node_name(arguments.node_name.as_deref())?,
        run_dir: arguments.run_dir.clone(),
    };
    let seen = machine.look(&arguments.place.target()?).await?;
    let first = plan(&seen, arguments.members_gone);
    let (report, failed) = if arguments.dry_run || first.steps.is_empty() {
        (Report::planned(&first, arguments.dry_run), None)
    } else {
        clean(&machine, seen, &first, arguments.members_gone).await?
    };
    out(&arguments.output.text(&report, |_wide| report.people())?)?;
    failed.map_or(Ok(report.end().code()), |why| Err(refused(&why)))
}

/// Executes a plan as the node's only agent would, and looks again at what is left.
async fn clean(
    machine: &Machine,
    mut seen: Seen,
    first: &Plan,
    members_gone: bool,
) -> Result<(Report, Option<HostFailure>), Failure> {
    let place = AgentPlace::take(&machine.run_dir).map_err(|why| refused(&why))?;
    seen.agent = place.is_none();
    let mut failed = None;
    if place.is_some() {
        for step in &first.steps {
            failed = execute(&machine.host, step).await.err().or(failed);
        }
    }
    machine.look_again(&mut seen).await.map_err(|why| unseen(&first.steps, &why))?;
    let mut second = plan(&seen, members_gone);
    // What should have gone and is there has a new holder, is used by now, or was refused.
    let back = std::mem::take(&mut second.steps).into_iter().flat_map(|step| step.objects);
    second.kept.extend(back.map(|object| Kept { object, why: Why::Changed }));
    let stays = |object: &Object| second.kept.iter().any(|kept| kept.object == *object);
    let all = first.steps.iter().flat_map(|step| &step.objects);
    let gone: Vec<Object> = all.filter(|object| !stays(object)).cloned().collect();
    Ok((Report::done(&gone, &second), failed))
}

/// The steps are done as far as they could be, and nobody can see how far.
fn unseen(steps: &[Step], why: &Failure) -> Failure {
    let subjects = steps.iter().map(|step| match &step.subject {
        Subject::Address(address, _lock) => address.to_string(),
        Subject::Table(table) => format!("table {table}"),
    });
    let subjects = subjects.collect::<Vec<_>>().join(", ");
    Failure::Node {
        why: format!(
            "{why}. This was to go, and what is left of it cannot be seen: {subjects}. Run it again"
        ),
    }
}

async fn execute(host: &LinuxHost, step: &Step) -> Result<Cleared, HostFailure> {
    match &step.subject {
        Subject::Address(address, lock) => host.clear(*address, lock.as_ref()).await,
        Subject::Table(table) => host.clear_table(*table).await,
    }
}

pub(crate) fn refused(failure: &HostFailure) -> Failure {
    Failure::Node { why: failure.to_string() }
}
