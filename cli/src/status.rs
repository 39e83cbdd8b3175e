//! `firecamp status`: every member's claim and address, and what is wrong with them.

pub mod rows;
mod show;

use clap::Args;
use firecamp_core::contract::exit::Look;
use firecamp_core::ids::Member;
use firecamp_registry::api::{StaticIPClaimSpec, StaticIPSpec};
use jiff::Timestamp;

use crate::failure::Failure;
use crate::look::book::Book;
use crate::look::outcome::{Ended, Unread};
use crate::look::print::{Output, out};
use crate::look::target::Where;
use rows::{Seen, StatusReport};
pub(crate) use show::{people, state};

const EXAMPLES: &str = "\
Examples:
  firecamp status                              all members of the cluster that kubectl uses
  firecamp status prod/redis-0                 one member
  kubectl firecamp status -n prod -o wide      as kubectl's plugin, with pool, subnet and pod
  firecamp status --registry file:///var/lib/firecamp
  firecamp status -o json | jq '.members[] | select(.problem)'

A problem begins with a word that never changes its meaning; `firecamp explain MEMBER` says more.

Exit codes: 0 everything was read; 20 the MEMBER that is named has neither claim nor address;
21 some objects could not be read. Problems of members are told and change no exit code.";

/// `firecamp status`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArguments {
    /// Only this member: NAMESPACE/NAME, or NAME in the namespace of -n or of the context
    #[arg(value_name = "MEMBER")]
    pub member: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub place: Where,
    /// All namespaces, which is what is shown without -n
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Shows the members of a registry.
pub(crate) async fn run(arguments: &StatusArguments) -> Ended {
    let book = Book::open(&arguments.place.target()?).await?;
    let (text, look) = of(&book, arguments, Timestamp::now()).await?;
    out(&text)?;
    Ok(look)
}

/// What is to be printed of this registry, and how it ends.
pub async fn of(
    book: &Book,
    arguments: &StatusArguments,
    now: Timestamp,
) -> Result<(String, Look), Failure> {
    let named = arguments.member.as_deref();
    let named = named.map(|text| arguments.place.member(text, book.namespace())).transpose()?;
    let seen = gather(book).await?;
    let mut report = rows::report(&seen, book.label());
    let namespace = arguments.place.namespace.as_deref();
    report.members.retain(|row| wanted(row, named.as_ref(), namespace));
    let missing = named.as_ref().filter(|_| report.members.is_empty());
    let look = match missing {
        Some(_) => Look::Problems,
        None if report.unread.is_empty() => Look::Fine,
        None => Look::Unchecked,
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

/// Claims and addresses have to be there; what the agents say is welcome.
pub(crate) async fn gather(book: &Book) -> Result<Seen, Failure> {
    let (claims, addresses) =
        tokio::try_join!(book.all::<StaticIPClaimSpec>(), book.all::<StaticIPSpec>())?;
    let mut seen = Seen { claims, addresses, reports: Vec::new(), unread: Vec::new() };
    match book.reports().await {
        Ok(None) => {}
        Ok(Some(reports)) => {
            seen.reports = reports.found;
            seen.unread.extend(reports.unread);
        }
        Err(why) => seen.unread.push(Unread::new("what the agents report", &why)),
    }
    Ok(seen)
}

impl StatusReport {
    /// Whether a member has a problem.
    pub fn has_problems(&self) -> bool {
        self.members.iter().any(|row| row.problem.is_some())
    }
}
