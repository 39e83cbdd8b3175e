//! `firecamp uninstall`: removes all that FireCamp has in EC2, and its records.

pub mod decide;
mod gather;
mod show;

use std::time::Duration;

use clap::Args;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_kube::KubeRegistry;
use firecamp_run::parse::duration;
use tokio::time::Instant;

use crate::common::print::{Output, out};
use crate::common::progress;
use crate::common::registry_reader::{Cluster, RegistryReader};
use crate::common::select_registry::RegistryArguments;
use crate::failure::Failure;
use crate::wait::is_transient;
use decide::{Facts, Step, next, steps};

pub use show::Report;

/// Interval between two polls. A poll is four reads.
const PAUSE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Run this command while the agents still run: one of them, the leader, makes the changes in EC2. \
Remove the members first. Run the command with --dry-run first.

Examples:
  kubectl -n prod delete statefulset redis
  firecamp wait released prod/redis            no member has an address any more
  firecamp uninstall --dry-run                 show what would be removed
  firecamp uninstall --yes                     remove it, and wait until it is gone
  helm uninstall firecamp -n firecamp-system   then remove the agents

Removed, in this order: spec.interfaces of each pool, so that no further interface is made; all \
claims, and all NodeInterfaces, whose interfaces the leader detaches and deletes; all StaticIPs, \
whose addresses the leader unassigns in EC2; the pools. This takes a few minutes, and more than \
ten if FireCamp made interfaces: the leader waits two minutes before it deletes a StaticIP, and \
five minutes each before it detaches and deletes an interface.

Kept: interfaces that FireCamp did not make; their tags; CIDR reservations, security groups and \
IAM roles; the kernels of the nodes (see `firecamp cleanup`); agents and CustomResourceDefinitions.

The command is idempotent: if it is interrupted, run it again. While a member has an address or a \
pod, or its StatefulSet has replicas, it removes nothing and lists the members.

Exit codes: 0 nothing is left; 14 timed out: the output lists what is left and why; 20 members use \
addresses, or objects cannot be read; 15 the cluster cannot be reached; 16 FireCamp is not \
installed in the cluster; 22 the cluster denied a request; 2 invalid flag. With --dry-run: 0 if \
the removal could begin, and 20.";

/// `firecamp uninstall`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, mut_arg("namespace", |flag| flag.hide(true)))]
pub struct UninstallArguments {
    /// Show what would be removed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Confirm that all addresses and interfaces of FireCamp are removed
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
    /// Give up after this time: 90s, 5m, 1h. To continue, run the command again
    #[arg(long, env = "FIRECAMP_UNINSTALL_TIMEOUT", value_name = "TIME", value_parser = duration,
          default_value = "30m")]
    pub timeout: Duration,
    /// The registry.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Removes all. Returns the exit code.
pub(crate) async fn run(arguments: &UninstallArguments) -> Result<u8, Failure> {
    if !arguments.dry_run && !arguments.yes {
        let text = "this removes all addresses and interfaces of FireCamp: look at \
                    `firecamp uninstall --dry-run`, then repeat the command with --yes";
        return Err(Failure::Usage(text.to_owned()));
    }
    let reader = RegistryReader::open(&arguments.place.target()?).await?;
    let report = of(&reader, arguments, &mut progress::to_stderr).await?;
    out(&arguments.output.text(&report, |_wide| report.people())?)?;
    Ok(report.end().code())
}

/// Removes all from this cluster and reports progress.
pub async fn of(
    reader: &RegistryReader,
    arguments: &UninstallArguments,
    progress: &mut dyn FnMut(&str),
) -> Result<Report, Failure> {
    let RegistryReader::Cluster(cluster) = reader else {
        return Err(Failure::Usage(format!(
            "{} is not a cluster: delete its directory once no member has an address",
            reader.label()
        )));
    };
    let first = gather::poll(&cluster.inventory).await?;
    let mut report = Report::new(reader.label(), arguments.dry_run, &steps(&first));
    report.left = if arguments.dry_run {
        next(&first).blocked
    } else {
        remove(cluster, first, arguments.timeout, progress).await?
    };
    Ok(report)
}

/// Removes what can be removed and waits until nothing is left, or until the time is over. Returns
/// what is left.
async fn remove(
    cluster: &Cluster,
    first: Facts,
    within: Duration,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<decide::Left>, Failure> {
    let (begun, mut reported) = (Instant::now(), progress::Reported::default());
    let mut facts = first;
    loop {
        let now = next(&facts);
        if !now.blocked.is_empty() {
            return Ok(now.blocked);
        }
        let mut failed = None;
        for step in &now.steps {
            failed = perform(&cluster.registry, step).await?.or(failed);
        }
        if now.steps.is_empty() && now.left.is_empty() {
            return Ok(Vec::new());
        }
        let left = within.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(now.left);
        }
        let line = failed.as_ref().map_or_else(
            || show::progress(&now),
            |why: &RegistryFailure| format!("{why}; retrying"),
        );
        reported.report(begun.elapsed(), line, progress);
        // The next stage begins at once.
        let goes_on = !now.steps.is_empty() && failed.is_none();
        let pause = if goes_on { Duration::ZERO } else { PAUSE };
        tokio::time::sleep(pause.min(left)).await;
        facts = match gather::poll(&cluster.inventory).await {
            Ok(facts) => facts,
            Err(why) if is_transient(why.kind) => {
                reported.report(begun.elapsed(), format!("{why}; retrying"), progress);
                tokio::time::sleep(PAUSE.min(left)).await;
                facts
            }
            Err(why) => return Err(why.into()),
        };
    }
}

/// Performs a step. If the object has changed or the API server is busy, the next poll decides
/// again; why the step failed.
async fn perform(registry: &KubeRegistry, step: &Step) -> Result<Option<RegistryFailure>, Failure> {
    let done = match step {
        Step::StopInterfaces(pool) => registry.stop_interfaces(pool).await,
        Step::Drain(interface) => registry.drain_interface(interface).await,
        Step::Delete(object) => registry.delete(object).await,
    };
    match done {
        Ok(()) => Ok(None),
        Err(why) if why.kind == RegistryKind::NotFound => Ok(None),
        Err(why) if is_transient(why.kind) => Ok(Some(why)),
        Err(why) => Err(why.into()),
    }
}
