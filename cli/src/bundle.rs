//! `firecamp support-bundle`: everything that helps to understand a failure, in one file.

mod archive;
mod explained;
mod gather;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use firecamp_cloud::AwsCloud;
use firecamp_core::contract::exit::Look;
use firecamp_core::contract::{env, path};
use firecamp_core::ids::Member;
use firecamp_run::redact::Redactor;
use jiff::Timestamp;

use crate::explain::Around;
use crate::failure::Failure;
use crate::look::agent;
use crate::look::book::Book;
use crate::look::outcome::Ended;
use crate::look::target::Where;
use archive::Files;
use gather::Bundle;

const EXAMPLES: &str = "\
Examples:
  kubectl firecamp support-bundle              everything that the cluster tells
  kubectl firecamp support-bundle prod/redis-0 the same, and explain of this member
  firecamp support-bundle -f node-7.tar.gz     on a node: its agent and its kernel as well
  firecamp support-bundle -f - | tar -tz       what would be in it

In it are: status and doctor, explain of the members that are named, or of a node's own, all
pools, addresses, claims and reports of nodes; on a node the pages of its agent, the last
lines of its log, and links, addresses, rules and routes of its kernel; versions, and where
the other logs are. It is never longer than --max-mib before it is compressed, and no file in
it longer than a quarter of that: what is cut or left out stands in manifest.txt. Tokens, keys,
passwords, annotations and values of environment variables are taken out, and a kubeconfig is
never put in. Read it all the same before you send it: addresses, names and ids of your
cluster stay.

Exit codes: 0 everything is in it; 21 something could not be had or had no room, manifest.txt
says what and why; 18 the file cannot be written.";

const LOGS: &str = "\
Of logs only the last lines of the agent of the node are in this bundle that it was made on
(agent/log.txt). The others are here:

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
    /// Explain these members: NAMESPACE/NAME, or NAME in the namespace of -n or of the context.
    /// Without any, on a node, those whose addresses are on it
    #[arg(value_name = "MEMBER")]
    pub members: Vec<String>,
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
    /// The node that this runs on. Without it the host name in lower case
    #[arg(long, env = env::NODE_NAME, hide_env_values = true, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Do not ask EC2 who has the addresses of the members that are named
    #[arg(long)]
    pub no_ec2: bool,
    /// The most that the bundle takes before it is compressed, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_mib: u16,
}

/// Writes a bundle.
pub(crate) async fn run(arguments: &BundleArguments) -> Ended {
    let now = Timestamp::now();
    let top = format!("firecamp-bundle-{}", now.strftime("%Y%m%d-%H%M%S"));
    let file = arguments.file.clone().unwrap_or_else(|| PathBuf::from(format!("{top}.tar.gz")));
    let target = arguments.place.target()?;
    let around = explained::around(arguments)?;
    let book = Book::open(&target).await;
    let named = named(arguments, book.as_ref().ok())?;
    // Before anything is asked: who cannot have it need not wait for it.
    let out = open(&file)?;
    let (files, missing) = Box::pin(gathered(arguments, (book, named), &around, now)).await;
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    files.write(out, &top, seconds).map_err(|why| Failure::file("write", &file, why))?;
    let count = files.iter().count();
    tell(&format!("firecamp: {count} files are in {}", file.display()));
    for one in &missing {
        tell(&format!("firecamp: not in it: {one}"));
    }
    tell("firecamp: read it before you send it");
    Ok(if missing.is_empty() { Look::Fine } else { Look::Unchecked })
}

/// The files of a bundle, without secrets, and what could not be had.
async fn gathered(
    arguments: &BundleArguments,
    (book, named): (Result<Book, Failure>, Vec<Member>),
    around: &Around<AwsCloud>,
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
    match book {
        Ok(book) => {
            if is_node || !named.is_empty() {
                bundle.explanations(&book, named, around).await;
            }
            bundle.registry(&book).await;
        }
        Err(why) => bundle.missing("the registry", why.chain()),
    }
    bundle.finish()
}

/// The members that are named. Without a registry it is not known in which namespace one is.
fn named(arguments: &BundleArguments, book: Option<&Book>) -> Result<Vec<Member>, Failure> {
    let of_context = book.and_then(Book::namespace);
    let member = |text: &String| arguments.place.member(text, of_context);
    arguments.members.iter().map(member).collect()
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
