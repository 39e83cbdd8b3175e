//! `firecamp wait`: waits until a StatefulSet has stopped, or until its addresses are attached.

pub mod decide;
pub mod facts;
pub(crate) mod gather;
pub mod reason;
mod show;

use std::time::Duration;

use clap::Args;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_run::parse::duration;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::common::print::{Output, out};
use crate::common::progress;
use crate::common::registry_reader::RegistryReader;
use crate::common::select_registry::RegistryArguments;
use crate::failure::Failure;
use decide::Missing;
use facts::{Facts, Want};

pub use show::Report;

/// Interval between two polls, at first and after [`LONG`]. A poll is four reads.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// After this time, polls are less frequent.
const LONG: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  kubectl -n prod scale statefulset redis --replicas=0
  firecamp wait released prod/redis            together, these two commands stop a service
  firecamp wait attached prod/redis            after a start, until every member has its address
  kubectl firecamp wait released redis -n prod --timeout 10m
  firecamp wait released prod/redis --timeout 0 -o json | jq '.missing[] | {name, node, reason}'

released: no pod of the StatefulSet exists, and no address of its members is attached, being \
attached or being released. Zero ready pods does not mean that the service has stopped: pods \
terminate for up to their grace period. Orphaned pods of the StatefulSet (--cascade=orphan) count, \
identified by their names and by the StatefulSet to which their claims are bound.

attached: each replica has a live pod that the StatefulSet controls, and the address of its member \
is attached to that pod.

The command is read-only: it scales and deletes nothing. It polls every second, and every five \
seconds after half a minute. After a successful first poll, it tolerates an API server that is \
temporarily unavailable.

Exit codes: 0 the state is reached; 14 timed out: the output lists each pod or address that is \
missing, with its node, since when, and what to do; 15 the cluster cannot be reached; 16 FireCamp \
is not installed in the cluster; 22 the cluster denied a request; 2 invalid flag.";

/// `firecamp wait`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct WaitArguments {
    /// The state to wait for
    #[arg(value_enum, value_name = "STATE")]
    pub want: Want,
    /// The StatefulSet: NAMESPACE/NAME, or NAME in the namespace of -n or of the context. For
    /// `released`, it need not exist any more
    #[arg(value_name = "STATEFULSET")]
    pub set: String,
    /// Give up after this time: 90s, 5m, 1h; 0 checks once
    #[arg(long, env = "FIRECAMP_WAIT_TIMEOUT", value_name = "TIME", value_parser = duration,
          default_value = "5m")]
    pub timeout: Duration,
    /// The registry.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Waits. Returns the exit code.
pub(crate) async fn run(arguments: &WaitArguments) -> Result<u8, Failure> {
    let reader = RegistryReader::open(&arguments.place.target()?).await?;
    let report = of(&reader, arguments, &mut progress::to_stderr).await?;
    out(&arguments.output.text(&report, |_wide| report.people(Timestamp::now()))?)?;
    Ok(report.end().code())
}

/// Waits for this cluster and reports progress.
pub async fn of(
    reader: &RegistryReader,
    arguments: &WaitArguments,
    report: &mut dyn FnMut(&str),
) -> Result<Report, Failure> {
    let RegistryReader::Cluster(cluster) = reader else {
        return Err(Failure::Usage(format!(
            "{} has neither pods nor StatefulSets to wait for: `firecamp status` shows which \
             addresses are attached",
            reader.label()
        )));
    };
    let (namespace, set) = arguments.place.set(&arguments.set, reader.namespace())?;
    let poll = async || gather::poll(&cluster.inventory, (namespace.as_str(), &set)).await;
    let begun = Instant::now();
    let missing = wait(arguments.want, arguments.timeout, poll, report).await?;
    Ok(Report {
        registry: reader.label(),
        stateful_set: format!("{namespace}/{set}"),
        state: arguments.want,
        reached: missing.is_empty(),
        waited_seconds: begun.elapsed().as_secs(),
        missing,
    })
}

/// Polls until nothing is missing or the time is over. Returns what is missing according to the
/// last poll. The first poll must succeed; later ones may find the API server unavailable.
pub async fn wait(
    want: Want,
    within: Duration,
    mut poll: impl AsyncFnMut() -> Result<Facts, RegistryFailure>,
    report: &mut dyn FnMut(&str),
) -> Result<Vec<Missing>, Failure> {
    let begun = Instant::now();
    let mut reported = progress::Reported::default();
    let facts = poll().await?;
    let set = facts.label();
    let mut missing = decide::missing(want, &facts);
    let mut failed = None;
    loop {
        let left = within.saturating_sub(begun.elapsed());
        if missing.is_empty() {
            return Ok(missing);
        }
        if left.is_zero() {
            return failed.map_or(Ok(missing), |why: RegistryFailure| Err(why.into()));
        }
        let line = failed.as_ref().map_or_else(
            || show::progress(&set, want, &missing),
            |why| format!("{set}: {why}; retrying"),
        );
        reported.report(begun.elapsed(), line, report);
        let [short, long] = PAUSE;
        let pause = if begun.elapsed() < LONG { short } else { long };
        tokio::time::sleep(pause.min(left)).await;
        failed = match poll_within(&mut poll, within.saturating_sub(begun.elapsed())).await {
            Ok(Some(facts)) => {
                missing = decide::missing(want, &facts);
                None
            }
            // No answer in time: the result of the previous poll stands.
            Ok(None) => failed,
            Err(why) if is_transient(why.kind) => Some(why),
            Err(why) => return Err(why.into()),
        };
    }
}

/// A poll ends with the time, but has at least two seconds.
async fn poll_within(
    poll: &mut impl AsyncFnMut() -> Result<Facts, RegistryFailure>,
    left: Duration,
) -> Result<Option<Facts>, RegistryFailure> {
    match tokio::time::timeout(left.max(progress::PATIENCE), poll()).await {
        Ok(facts) => facts.map(Some),
        Err(_elapsed) => Ok(None),
    }
}

/// Whether a failure may resolve itself.
pub(crate) fn is_transient(kind: RegistryKind) -> bool {
    match kind {
        RegistryKind::Unavailable | RegistryKind::Conflict | RegistryKind::AlreadyExists => true,
        RegistryKind::NotFound | RegistryKind::Invalid | RegistryKind::Refused => false,
    }
}
