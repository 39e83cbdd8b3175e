//! `firecamp status`: every member's claim, address and problem.

pub mod rows;
mod show;

use clap::Args;
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::ids::Member;
use firecamp_registry::api::{StaticIPClaimSpec, StaticIPSpec};
use jiff::Timestamp;

use crate::common::command_result::{CheckResult, UnreadableObject};
use crate::common::print::{Output, out};
use crate::common::registry_reader::RegistryReader;
use crate::common::select_registry::RegistryArguments;
use crate::failure::Failure;
use rows::{RegistryObjects, StatusReport};
pub(crate) use show::{people, state};

const EXAMPLES: &str = "\
Examples:
  firecamp status                              all members of the cluster that kubectl uses
  firecamp status prod/redis-0                 one member
  kubectl firecamp status -n prod -o wide      as a kubectl plugin, with pool, subnet and pod
  firecamp status --registry file:///var/lib/firecamp
  firecamp status -o json | jq '.members[] | select(.problem)'

Each problem begins with a stable reason; `firecamp explain MEMBER` gives details and advice.

Exit codes: 0 everything was read; 20 the given MEMBER has neither claim nor address; 21 some
objects could not be read. Problems of members are shown but do not change the exit code.";

/// `firecamp status`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArguments {
    /// Show only this member: NAMESPACE/NAME, or NAME in the namespace of -n or of the context
    #[arg(value_name = "MEMBER")]
    pub member: Option<String>,
    /// The registry.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// Show all namespaces; this is the default without -n
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Shows the members of a registry.
pub(crate) async fn run(arguments: &StatusArguments) -> CheckResult {
    let reader = RegistryReader::open(&arguments.place.target()?).await?;
    let (text, look) = of(&reader, arguments, Timestamp::now()).await?;
    out(&text)?;
    Ok(look)
}

/// The output for this registry, and the exit code.
pub async fn of(
    reader: &RegistryReader,
    arguments: &StatusArguments,
    now: Timestamp,
) -> Result<(String, CheckExit), Failure> {
    let named = arguments.member.as_deref();
    let named = named.map(|text| arguments.place.member(text, reader.namespace())).transpose()?;
    let seen = gather(reader).await?;
    let mut report = rows::report(&seen, reader.label());
    let namespace = arguments.place.namespace.as_deref();
    report.members.retain(|row| wanted(row, named.as_ref(), namespace));
    let missing = named.as_ref().filter(|_| report.members.is_empty());
    let look = match missing {
        Some(_) => CheckExit::Problems,
        None if report.unread.is_empty() => CheckExit::Fine,
        None => CheckExit::Unchecked,
    };
    let people = |wide| people(&report, missing, now, wide);
    Ok((arguments.output.text(&report, people)?, look))
}

fn wanted(row: &rows::MemberStatus, named: Option<&Member>, namespace: Option<&str>) -> bool {
    match named {
        Some(member) => row.member == member.to_string(),
        None => namespace.is_none_or(|own| row.namespace() == own),
    }
}

/// Reads claims and addresses, and the reports of the agents, which may fail.
pub(crate) async fn gather(reader: &RegistryReader) -> Result<RegistryObjects, Failure> {
    let (claims, addresses) =
        tokio::try_join!(reader.all::<StaticIPClaimSpec>(), reader.all::<StaticIPSpec>())?;
    let mut seen = RegistryObjects { claims, addresses, reports: Vec::new(), unread: Vec::new() };
    match reader.reports().await {
        Ok(None) => {}
        Ok(Some(reports)) => {
            seen.reports = reports.found;
            seen.unread.extend(reports.unread);
        }
        Err(why) => seen.unread.push(UnreadableObject::new("NodeAttachments of the agents", &why)),
    }
    Ok(seen)
}

impl StatusReport {
    /// Whether a member has a problem.
    pub fn has_problems(&self) -> bool {
        self.members.iter().any(|row| row.problem.is_some())
    }
}
