//! `firecamp node`: what is attached to a node, as its agent sees it.

mod show;

use clap::Args;
use firecamp_core::contract::exit::Look;
use firecamp_registry::api::{Kind, NodeAttachmentsSpec, NodeReport};

use crate::failure::Failure;
use crate::look::agent::{self, Agent};
use crate::look::book::Book;
use crate::look::outcome::Ended;
use crate::look::print::{Output, out};
use crate::look::target::Where;

pub(crate) use show::people;

const EXAMPLES: &str = "\
Examples:
  firecamp node                                on a node: what its agent sees right now
  firecamp node ip-10-0-0-7.ec2.internal       anywhere: what that node's agent has published
  kubectl firecamp node ip-10-0-0-7.ec2.internal -o wide
  firecamp node -o json | jq '.status.volumes[] | select(.problems)'

Exit codes: 0 all is well; 20 something on the node is not as it should be, or there is no such
report; 21 the agent could not see a part of it; 15 the agent or the cluster cannot be reached.";

/// `firecamp node`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct NodeArguments {
    /// What the agent of this node has published in the cluster. Without it the agent of this
    /// machine is asked
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
    /// Where the agent of this machine listens
    #[arg(long, value_name = "URL", default_value = agent::DEFAULT)]
    pub agent: String,
    /// Where to look.
    #[command(flatten)]
    pub place: Where,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Shows a node.
pub(crate) async fn run(arguments: &NodeArguments) -> Ended {
    let (text, look) = match &arguments.node {
        None => of_agent(&Agent::at(&arguments.agent)?, arguments).await?,
        Some(node) => {
            let book = Book::open(&arguments.place.target()?).await?;
            of_cluster(&book, node, arguments).await?
        }
    };
    out(&text)?;
    Ok(look)
}

/// What the agent sees right now.
pub async fn of_agent(agent: &Agent, arguments: &NodeArguments) -> Result<(String, Look), Failure> {
    let report = ask(agent).await?;
    let text = arguments.output.text(&report, |wide| people(&report, wide))?;
    Ok((text, judge(&report)))
}

/// The agent's own report.
pub(crate) async fn ask(agent: &Agent) -> Result<NodeReport, Failure> {
    let page = agent.page(agent::NODE).await?;
    serde_json::from_slice(&page).map_err(|why| Failure::Agent {
        what: format!("read what the agent answers for {}", agent::NODE),
        why: why.to_string(),
    })
}

/// What the agent of a node has published.
pub async fn of_cluster(
    book: &Book,
    node: &str,
    arguments: &NodeArguments,
) -> Result<(String, Look), Failure> {
    if let Book::File(_) = book {
        let why = format!(
            "{} keeps no reports of nodes: run `firecamp node` without NODE on {node} itself",
            book.label()
        );
        return Err(Failure::Usage(why));
    }
    let Some(object) = book.report(node).await? else {
        let text = format!(
            "no agent has published {} {node}: `kubectl get nodes` lists the nodes, and \
             `firecamp doctor` those without an agent\n",
            NodeAttachmentsSpec::KIND
        );
        return Ok((text, Look::Problems));
    };
    let report = NodeReport { object, observed: Vec::new() };
    let text = arguments.output.text(&report.object, |wide| people(&report, wide))?;
    Ok((text, judge(&report)))
}

/// Whether all is well on a node.
pub(crate) fn judge(report: &NodeReport) -> Look {
    let status = &report.object.status;
    let addresses = status.addresses.iter().any(|one| one.problem.is_some());
    let volumes = status.volumes.iter().any(|one| !one.problems.is_empty());
    let failing = status.addresses_failing > 0 || status.volumes_failing > 0;
    let not_ready =
        status.conditions.iter().any(|one| one.kind == "Ready" && one.status == "False");
    if addresses || volumes || failing || not_ready {
        return Look::Problems;
    }
    let unseen = report.observed.iter().any(|one| one.failure.is_some());
    if unseen { Look::Unchecked } else { Look::Fine }
}
