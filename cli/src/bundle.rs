//! `firecamp support-bundle`: everything that helps to understand a failure, in one file.

mod archive;
mod gather;
pub mod redact;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use firecamp_core::contract::exit::Look;
use firecamp_core::contract::{env, path};
use jiff::Timestamp;

use crate::failure::Failure;
use crate::look::agent::{self, Agent};
use crate::look::book::Book;
use crate::look::outcome::Ended;
use crate::look::target::{Target, Where};
use gather::Bundle;
use redact::{Redactor, speaks_of_a_secret};

pub use archive::Files;

const EXAMPLES: &str = "\
Examples:
  kubectl firecamp support-bundle              everything that the cluster tells
  firecamp support-bundle -f node-7.tar.gz     on a node: its agent and its kernel as well
  firecamp support-bundle -f - | tar -tz       what would be in it

In it are: status and doctor, all pools, addresses, claims and reports of nodes, on a node the pages
of its agent and our addresses in its kernel, versions, and where the logs are. Tokens, keys,
passwords, annotations and values of environment variables are taken out, and a kubeconfig is never
put in. Read it all the same before you send it: addresses, names and ids of your cluster stay.

Exit codes: 0 everything is in it; 21 something could not be had, manifest.txt says what and why;
18 the file cannot be written.";

/// Where a pod's service account has its token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

const LOGS: &str = "\
Logs are not in this bundle. They are here:

agents              kubectl logs -n firecamp-system -l app.kubernetes.io/component=agent
init container      kubectl logs -n NAMESPACE POD -c memberinit-SERVICE (and --previous)
stop container      kubectl logs -n NAMESPACE POD -c memberstop-SERVICE
last words          kubectl get pod -n NAMESPACE POD -o yaml: lastState.terminated.message
Events              kubectl get events -n NAMESPACE --field-selector involvedObject.name=POD
without a cluster   whatever keeps the standard error of the containers and of the agent
";

/// `firecamp support-bundle`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BundleArguments {
    /// The file, which must not exist yet; - for standard output. Without it
    /// firecamp-bundle-TIME.tar.gz in this directory
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where to look.
    #[command(flatten)]
    pub place: Where,
    /// Directory of the node-local locks; this machine is a node if it is there
    #[arg(long, env = env::RUN_DIR, hide_env_values = true, value_name = "DIR",
          default_value = path::RUN_DIR)]
    pub run_dir: PathBuf,
    /// Where the agent of this machine listens
    #[arg(long, value_name = "URL", default_value = agent::DEFAULT)]
    pub agent: String,
}

/// Writes a bundle.
pub(crate) async fn run(arguments: &BundleArguments) -> Ended {
    let now = Timestamp::now();
    let top = format!("firecamp-bundle-{}", now.strftime("%Y%m%d-%H%M%S"));
    let file = arguments.file.clone().unwrap_or_else(|| PathBuf::from(format!("{top}.tar.gz")));
    let target = arguments.place.target()?;
    let agent = Agent::at(&arguments.agent)?;
    // Before anything is asked: who cannot have it need not wait for it.
    let out = open(&file)?;
    let (files, missing) = Box::pin(gathered(arguments, &target, &agent, now)).await;
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    files.write(out, &top, seconds).map_err(|why| Failure::file("write", &file, why))?;
    let names = files.iter().count();
    tell(&format!("firecamp: {names} files are in {}", file.display()));
    for one in &missing {
        tell(&format!("firecamp: not in it: {one}"));
    }
    tell("firecamp: read it before you send it");
    Ok(if missing.is_empty() { Look::Fine } else { Look::Unchecked })
}

/// The files of a bundle, without secrets, and what could not be had.
async fn gathered(
    arguments: &BundleArguments,
    target: &Target,
    agent: &Agent,
    now: Timestamp,
) -> (Files, Vec<String>) {
    let mut bundle = Bundle::new(Redactor::knowing(secrets()), now);
    match Book::open(target).await {
        Ok(book) => bundle.registry(&book).await,
        Err(why) => bundle.missing.push(format!("the registry: {}", why.chain())),
    }
    if arguments.run_dir.is_dir() {
        bundle.node(arguments, agent).await;
    }
    bundle
        .files
        .add("versions/firecamp.txt", concat!("firecamp ", env!("CARGO_PKG_VERSION"), "\n"));
    bundle.files.add("logs.txt", LOGS);
    let missing = bundle.missing.clone();
    bundle.files.add("manifest.txt", manifest(&bundle.files, &missing, now));
    (bundle.finish(), missing)
}

fn manifest(files: &Files, missing: &[String], now: Timestamp) -> String {
    let mut text = format!("Taken at {now} by firecamp {}\n\n", env!("CARGO_PKG_VERSION"));
    for (name, content) in files.iter() {
        text.extend([format!("{name}   {} bytes\n", content.len())]);
    }
    for one in missing {
        text.extend([format!("\nnot in it: {one}\n")]);
    }
    text
}

/// What this process knows to be secret: of its environment, and its service account's token.
fn secrets() -> Vec<String> {
    let named = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        speaks_of_a_secret(&name.to_string_lossy()).then(|| value.to_string_lossy().into_owned())
    };
    let token = std::fs::read_to_string(TOKEN).ok().map(|token| token.trim().to_owned());
    std::env::vars_os().filter_map(named).chain(token).collect()
}

/// A new file that its owner alone may read.
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

/// If standard error is gone there is nobody left to tell.
fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}
