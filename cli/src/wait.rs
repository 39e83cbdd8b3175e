//! `firecamp wait`: waits until a StatefulSet's pods and addresses are gone, or are there.

pub mod decide;
pub mod facts;
mod gather;
pub mod reason;
mod show;

use std::io::Write;
use std::time::Duration;

use clap::Args;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_run::parse::duration;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::look::book::Book;
use crate::look::print::{Output, out};
use crate::look::target::Where;
use decide::Missing;
use facts::{Facts, Want};

pub use show::Report;

/// Between two looks, at first and once it takes long. A look is four reads.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// From then on it takes long.
const LONG: Duration = Duration::from_secs(30);
/// Nothing is said before that.
const PATIENCE: Duration = Duration::from_secs(2);
/// What has not changed is said again after so long.
const AGAIN: Duration = Duration::from_secs(15);

const EXAMPLES: &str = "\
Examples:
  kubectl -n prod scale statefulset redis --replicas=0
  firecamp wait released prod/redis            the two together stop a service
  firecamp wait attached prod/redis            after a start: every member has its address
  kubectl firecamp wait released redis -n prod --timeout 10m
  firecamp wait released prod/redis --timeout 0 -o json | jq '.missing[] | {name, node, reason}'

released: no pod object of the StatefulSet is left, and no address of its members is attached, \
being attached or on its way out of EC2. That no pod is ready says neither: pods terminate for as \
long as their grace period lasts. Pods that a StatefulSet has left behind (--cascade=orphan) \
count: by their names, and by the StatefulSet to which their claims are bound.

attached: each replica has a pod that the StatefulSet controls and nobody has deleted, and the \
record of its address says that it is attached to this very pod.

It only looks: it scales nothing and deletes nothing. It looks every second, after half a minute \
every five. Once it has looked it goes on when the API server is away for a while.

Exit codes: 0 it is so; 14 the time was over before: what is printed says which pod or address is \
missing, on which node, since when and what to do; 15 the cluster cannot be reached; 16 it has no \
FireCamp; 22 it refuses; 2 a flag is wrong.";

/// `firecamp wait`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct WaitArguments {
    /// What to wait for
    #[arg(value_enum, value_name = "STATE")]
    pub want: Want,
    /// The StatefulSet: NAMESPACE/NAME, or NAME in the namespace of -n or of the context. To be
    /// released it need not be there any more
    #[arg(value_name = "STATEFULSET")]
    pub set: String,
    /// Give up after this time: 90s, 5m, 1h; 0 looks once
    #[arg(long, env = "FIRECAMP_WAIT_TIMEOUT", value_name = "TIME", value_parser = duration,
          default_value = "5m")]
    pub timeout: Duration,
    /// Where to look.
    #[command(flatten)]
    pub place: Where,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Waits. Returns the exit code.
pub(crate) async fn run(arguments: &WaitArguments) -> Result<u8, Failure> {
    let book = Book::open(&arguments.place.target()?).await?;
    let mut tell = |line: &str| {
        let text = format!("firecamp: {line}\n");
        // If standard error is gone there is nobody left to tell.
        std::io::stderr().write_all(text.as_bytes()).ok();
    };
    let report = of(&book, arguments, &mut tell).await?;
    out(&arguments.output.text(&report, |_wide| report.people(Timestamp::now()))?)?;
    Ok(report.end().code())
}

/// Waits on this cluster, and tells how it goes once that takes a while.
pub async fn of(
    book: &Book,
    arguments: &WaitArguments,
    tell: &mut dyn FnMut(&str),
) -> Result<Report, Failure> {
    let Book::Cluster(cluster) = book else {
        return Err(Failure::Usage(format!(
            "{} has neither pods nor StatefulSets to wait for: `firecamp status` shows what is \
             held there",
            book.label()
        )));
    };
    let (namespace, set) = arguments.place.set(&arguments.set, book.namespace())?;
    let look = async || gather::look(&cluster.inventory, (namespace.as_str(), &set)).await;
    let begun = Instant::now();
    let missing = wait(arguments.want, arguments.timeout, look, tell).await?;
    Ok(Report {
        registry: book.label(),
        stateful_set: format!("{namespace}/{set}"),
        state: arguments.want,
        reached: missing.is_empty(),
        waited_seconds: begun.elapsed().as_secs(),
        missing,
    })
}

/// Looks again and again until nothing is missing or the time is over; what is missing by the
/// last look. The first look has to succeed; after it an API server may be away.
pub async fn wait(
    want: Want,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Facts, RegistryFailure>,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<Missing>, Failure> {
    let begun = Instant::now();
    let mut told = Told::default();
    let facts = look().await?;
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
            |why| format!("{set}: {why}; it is tried again"),
        );
        told.tell(begun.elapsed(), line, tell);
        let [short, long] = PAUSE;
        let pause = if begun.elapsed() < LONG { short } else { long };
        tokio::time::sleep(pause.min(left)).await;
        failed = match looked(&mut look, within.saturating_sub(begun.elapsed())).await {
            Ok(Some(facts)) => {
                missing = decide::missing(want, &facts);
                None
            }
            // What was known before is what is known.
            Ok(None) => failed,
            Err(why) if passes(why.kind) => Some(why),
            Err(why) => return Err(why.into()),
        };
    }
}

/// A look ends with the time, or after two seconds if it begins with less left.
async fn looked(
    look: &mut impl AsyncFnMut() -> Result<Facts, RegistryFailure>,
    left: Duration,
) -> Result<Option<Facts>, RegistryFailure> {
    match tokio::time::timeout(left.max(PATIENCE), look()).await {
        Ok(facts) => facts.map(Some),
        Err(_elapsed) => Ok(None),
    }
}

/// Whether a failure may pass by itself while somebody waits.
fn passes(kind: RegistryKind) -> bool {
    match kind {
        RegistryKind::Unavailable | RegistryKind::Conflict | RegistryKind::AlreadyExists => true,
        RegistryKind::NotFound | RegistryKind::Invalid | RegistryKind::Refused => false,
    }
}

/// What was told, and when.
#[derive(Default)]
struct Told {
    line: String,
    at: Duration,
}

impl Told {
    /// Tells what takes a while: what has changed, and what has not now and then.
    fn tell(&mut self, after: Duration, line: String, tell: &mut dyn FnMut(&str)) {
        let due = line != self.line || after.saturating_sub(self.at) >= AGAIN;
        if after < PATIENCE || !due {
            return;
        }
        tell(&format!("{line} ({} s)", after.as_secs()));
        (self.line, self.at) = (line, after);
    }
}
