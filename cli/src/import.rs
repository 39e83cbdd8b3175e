//! `firecamp import`: makes claims and StaticIPs of the records of the original FireCamp.

pub mod apply;
pub mod gather;
pub mod old;
pub mod plan;
pub mod refusal;
mod show;

use clap::Args;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::Member;

use crate::failure::Failure;
use crate::look::book::Book;
use crate::look::print::{Output, out};
use crate::look::progress;
use crate::look::target::{DEFAULT_NAMESPACE, Where};

pub use show::Report;

const EXAMPLES: &str = "\
Run it once the pools are there and before any pod of the new templates: a member that starts \
without its claim gets another address. It reads the original's ConfigMaps firecamp-staticip-* \
and firecamp-servicemember-* and never writes them; it sends nothing to EC2 and changes no kernel. \
Run it again at any time, also after it was interrupted: what is there already stays as it is.

Examples:
  firecamp import -n default                   what would be imported, what would not, and why
  firecamp import -n default --apply           does it
  firecamp import -n default -o json | jq '.refused[] | {what, reason, message}'

Each member gets a StaticIPClaim with its address, and each address a StaticIP that is parked \
where the original had it last. Its member then starts on that node without a call that changes \
EC2, and on another node by one reassignment. An address that no member names is imported as \
unclaimed, and stays in EC2.

What it needs: get and list of configmaps, and get of pods, in the namespace; list of nodes, \
nodeattachments, staticippools, staticips and staticipclaims; with --apply get, create and patch \
of staticips and staticipclaims, and get of staticippools. A service account also needs the verb \
manage on staticips and staticipclaims (docs/policies.md).

Exit codes: 0 every address has its objects; 20 something is not imported; 21 something is not \
imported, because its pod could not be asked; without --apply, as it would end. 2 a flag is wrong; \
15 the API server does not answer, or somebody else was faster: run it again; 16 an object of \
FireCamp's is garbled; 22 a right is missing. What was written before that stays.";

/// `firecamp import`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("namespace", |flag| flag.help("The namespace of the original's records and members")),
    mut_arg("registry", |flag| flag.hide(true))
)]
pub struct ImportArguments {
    /// Write what is missing; without it, only say what would be written
    #[arg(long)]
    pub apply: bool,
    /// Which cluster and namespace.
    #[command(flatten)]
    pub place: Where,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// What came of an import.
#[derive(Debug)]
pub struct Outcome {
    /// What was done, or would be.
    pub report: Report,
    /// What kept it from going on.
    pub failed: Option<RegistryFailure>,
}

/// Imports. Returns the exit code.
pub(crate) async fn run(arguments: &ImportArguments) -> Result<u8, Failure> {
    let book = Book::open(&arguments.place.target()?).await?;
    let Outcome { report, failed } =
        of(&book, arguments.place.namespace.as_deref(), arguments.apply).await?;
    out(&arguments.output.text(&report, |_wide| report.people())?)?;
    failed.map_or(Ok(report.end().code()), |why| Err(why.into()))
}

/// Imports the records of a namespace, or of that of the context.
pub async fn of(book: &Book, namespace: Option<&str>, write: bool) -> Result<Outcome, Failure> {
    let Book::Cluster(cluster) = book else {
        let why = "the original's records are in a cluster: give --kubeconfig or --context";
        return Err(Failure::Usage(why.to_owned()));
    };
    let namespace = namespace.or(book.namespace()).unwrap_or(DEFAULT_NAMESPACE);
    // It becomes part of paths.
    Member::new(namespace, "any").map_err(|wrong| Failure::Usage(format!("-n: {wrong}")))?;
    let old = gather::old_records(cluster, namespace).await?;
    let known = gather::known(book, cluster, &old).await?;
    let plan = plan::plan(&old, &known);
    let (mut done, mut failed) = (0, None);
    if write {
        for step in &plan.steps {
            let what = format!("import {} of {}", step.old.address, plan.steps.len());
            match progress::during(&what, apply::apply(&cluster.registry, step)).await {
                Ok(()) => done += 1,
                Err(why) => {
                    failed = Some(why);
                    break;
                }
            }
        }
    } else {
        done = plan.steps.len();
    }
    let steps = plan.steps.get(..done).unwrap_or_default();
    Ok(Outcome { report: Report::of(&plan, namespace, write, steps), failed })
}
