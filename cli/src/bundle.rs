//! `firecamp support-bundle`: collects diagnostic data into one file.

mod archive;
mod explained;
mod gather;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use firecamp_cloud::AwsCloud;
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::contract::{env, path};
use firecamp_core::ids::Member;
use firecamp_run::redact::Redactor;
use jiff::Timestamp;

use crate::common::agent_client;
use crate::common::command_result::CheckResult;
use crate::common::registry_reader::RegistryReader;
use crate::common::select_registry::RegistryArguments;
use crate::explain::Environment;
use crate::failure::Failure;
use archive::Files;
use gather::Bundle;

const EXAMPLES: &str = "\
Examples:
  kubectl firecamp support-bundle              all data of the cluster
  kubectl firecamp support-bundle prod/redis-0 also the output of `explain` for this member
  firecamp support-bundle -f node-7.tar.gz     on a node: also data of its agent and its kernel
  firecamp support-bundle -f - | tar -tz       list what a bundle contains

The bundle contains the output of status and doctor; explain for the given members, or for the
members of this node; all StaticIPPools, StaticIPs, StaticIPClaims and NodeAttachments; versions;
and a list of the commands that show the other logs. On a node it also contains the agent's pages,
the last lines of its log, and the kernel's links, addresses, rules and routes. The bundle is at
most --max-mib long before compression, and each file at most a quarter of that; manifest.txt lists
what was truncated or omitted. Tokens, keys, passwords, annotations and values of environment
variables are removed, and kubeconfigs are never included. Review the bundle before you send it:
it contains the addresses, names and IDs of your cluster.

Exit codes: 0 the bundle is complete; 21 something could not be read or did not fit (manifest.txt
lists what and why); 18 the file cannot be written.";

const LOGS: &str = "\
If this bundle was created on a node, agent/log.txt has the last lines of its agent's log. These
commands show the other logs:

agents              kubectl logs -n firecamp-system -l app.kubernetes.io/component=agent
init container      kubectl logs -n NAMESPACE POD -c memberinit-SERVICE (and --previous)
stop container      kubectl logs -n NAMESPACE POD -c memberstop-SERVICE
termination message kubectl get pod -n NAMESPACE POD -o yaml: lastState.terminated.message
Events              kubectl get events -n NAMESPACE --field-selector involvedObject.name=POD
without a cluster   the standard error of the containers and of the agent
";

/// `firecamp support-bundle`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BundleArguments {
    /// Explain these members: NAMESPACE/NAME, or NAME in the namespace of -n or of the context.
    /// Default on a node: the members whose addresses are recorded on it
    #[arg(value_name = "MEMBER")]
    pub members: Vec<String>,
    /// The file to create; it must not exist; - for standard output. Default:
    /// firecamp-bundle-TIME.tar.gz in the current directory
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The registry.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// Directory of the node-local locks; if it exists, this machine is a node
    #[arg(long, env = env::RUN_DIR, hide_env_values = true, value_name = "DIR",
          default_value = path::RUN_DIR)]
    pub run_dir: PathBuf,
    /// The address of this machine's agent
    #[arg(long, value_name = "URL", default_value = agent_client::DEFAULT)]
    pub agent: String,
    /// The name of this node. Default: the host name in lower case
    #[arg(long, env = env::NODE_NAME, hide_env_values = true, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Do not look up the addresses of the given members in EC2
    #[arg(long)]
    pub no_ec2: bool,
    /// The maximum size of the bundle before compression, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_mib: u16,
}

/// Writes a bundle.
pub(crate) async fn run(arguments: &BundleArguments) -> CheckResult {
    let now = Timestamp::now();
    let top = format!("firecamp-bundle-{}", now.strftime("%Y%m%d-%H%M%S"));
    let file = arguments.file.clone().unwrap_or_else(|| PathBuf::from(format!("{top}.tar.gz")));
    let target = arguments.place.target()?;
    let around = explained::around(arguments)?;
    let reader = RegistryReader::open(&target).await;
    let named = named(arguments, reader.as_ref().ok())?;
    // First of all, so that an unwritable file fails immediately.
    let out = open(&file)?;
    let (files, missing) = Box::pin(gathered(arguments, (reader, named), &around, now)).await;
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    files.write(out, &top, seconds).map_err(|why| Failure::file("write", &file, why))?;
    let count = files.iter().count();
    report(&format!("firecamp: wrote {count} files to {}", file.display()));
    for one in &missing {
        report(&format!("firecamp: not included: {one}"));
    }
    report("firecamp: review the bundle before you send it");
    Ok(if missing.is_empty() { CheckExit::Fine } else { CheckExit::Unchecked })
}

/// The files of a bundle, without secrets, and what is missing.
async fn gathered(
    arguments: &BundleArguments,
    (reader, named): (Result<RegistryReader, Failure>, Vec<Member>),
    around: &Environment<AwsCloud>,
    now: Timestamp,
) -> (Files, Vec<String>) {
    let files = Files::within(usize::from(arguments.max_mib) << 20);
    let mut bundle = Bundle::new(files, Redactor::of_this_process(), now);
    bundle.add("versions/firecamp.txt", concat!("firecamp ", env!("CARGO_PKG_VERSION"), "\n"));
    bundle.add("logs.txt", LOGS);
    let is_node = arguments.run_dir.is_dir();
    if is_node {
        bundle.node(arguments, &around.agent).await;
    }
    match reader {
        Ok(reader) => {
            if is_node || !named.is_empty() {
                bundle.explanations(&reader, named, around).await;
            }
            bundle.registry(&reader).await;
        }
        Err(why) => bundle.missing("the registry", why.chain()),
    }
    bundle.finish()
}

/// The given members. Without a registry, the namespace of the context is unknown.
fn named(
    arguments: &BundleArguments,
    reader: Option<&RegistryReader>,
) -> Result<Vec<Member>, Failure> {
    let of_context = reader.and_then(RegistryReader::namespace);
    let member = |text: &String| arguments.place.member(text, of_context);
    arguments.members.iter().map(member).collect()
}

/// Creates a file that only its owner can read.
fn open(file: &Path) -> Result<Box<dyn Write>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(std::io::stdout().lock()));
    }
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    opened
        .map(|file| Box::new(file) as Box<dyn Write>)
        .map_err(|why| Failure::file("create", file, why))
}

/// Reports on standard error; if that is closed, the command still continues.
fn report(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}
