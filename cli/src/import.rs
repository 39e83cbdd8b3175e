//! `firecamp import`: creates claims and StaticIPs from the records of the original FireCamp.

pub mod apply;
pub mod gather;
pub mod parse_original;
pub mod plan;
pub mod refusal;
mod show;

use clap::Args;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::Member;

use crate::common::print::{Output, out};
use crate::common::progress;
use crate::common::registry_reader::RegistryReader;
use crate::common::select_registry::{DEFAULT_NAMESPACE, RegistryArguments};
use crate::failure::Failure;

pub use show::Report;

const EXAMPLES: &str = "\
Run this command after you have created the pools and before you start any pod with the new \
template: a member that starts without its claim gets another address. The command reads the \
original's ConfigMaps firecamp-staticip-* and firecamp-servicemember-*, and never changes them. It \
sends nothing to EC2 and changes no kernel. You can run it again at any time, also after an \
interruption: existing objects stay as they are.

Examples:
  firecamp import -n default                   show what would be imported or refused, and why
  firecamp import -n default --apply           import
  firecamp import -n default -o json | jq '.refused[] | {what, reason, message}'

Each member gets a StaticIPClaim with its address. Each address gets a StaticIP, parked on the ENI \
where the original had it last. The member then starts on that node without a mutating EC2 call, \
and on another node with one reassignment. An address that no member names is imported as orphaned \
and stays in EC2.

Required permissions: get and list configmaps and get pods in the namespace; list nodes, \
nodeattachments, staticippools, staticips and staticipclaims; with --apply also get, create and \
patch staticips and staticipclaims, and get staticippools. A service account also needs the verb \
manage on staticips and staticipclaims (docs/privileges.md).

Exit codes: 0 every address has its objects; 20 something was refused; 21 something was refused \
because a pod could not be read; 2 invalid flag; 15 the API server does not respond, or another \
client changed an object: run the command again; 16 an object of FireCamp is invalid; 22 a \
permission is missing. Objects that were written before a failure stay. Without --apply, the exit \
code is that of a run with --apply.";

/// `firecamp import`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("namespace", |flag| flag.help("The namespace of the original's records and members")),
    mut_arg("registry", |flag| flag.hide(true))
)]
pub struct ImportArguments {
    /// Write the missing objects. Default: only show what would be written
    #[arg(long)]
    pub apply: bool,
    /// The cluster and the namespace.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// The result of an import.
#[derive(Debug)]
pub struct Outcome {
    /// What was done, or would be done.
    pub report: Report,
    /// The failure that interrupted it.
    pub failed: Option<RegistryFailure>,
}

/// Imports. Returns the exit code.
pub(crate) async fn run(arguments: &ImportArguments) -> Result<u8, Failure> {
    let reader = RegistryReader::open(&arguments.place.target()?).await?;
    let Outcome { report, failed } =
        of(&reader, arguments.place.namespace.as_deref(), arguments.apply).await?;
    out(&arguments.output.text(&report, |_wide| report.people())?)?;
    failed.map_or(Ok(report.end().code()), |why| Err(why.into()))
}

/// Imports the records of a namespace, or of that of the context.
pub async fn of(
    reader: &RegistryReader,
    namespace: Option<&str>,
    write: bool,
) -> Result<Outcome, Failure> {
    let RegistryReader::Cluster(cluster) = reader else {
        let why = "the original's records are in a cluster: specify --kubeconfig or --context";
        return Err(Failure::Usage(why.to_owned()));
    };
    let namespace = namespace.or(reader.namespace()).unwrap_or(DEFAULT_NAMESPACE);
    // The namespace becomes part of request paths.
    Member::new(namespace, "any").map_err(|wrong| Failure::Usage(format!("-n: {wrong}")))?;
    let old = gather::old_records(cluster, namespace).await?;
    let known = gather::known(reader, cluster, &old).await?;
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
