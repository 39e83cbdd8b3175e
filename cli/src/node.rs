//! `firecamp node`: what is attached to a node, as its agent reports it.

mod show;

use clap::Args;
use firecamp_core::contract::exit::CheckExit;
use firecamp_registry::api::{Kind, NodeAttachmentsSpec, NodeReport};

use crate::common::agent_client::{self, Agent};
use crate::common::command_result::CheckResult;
use crate::common::print::{Output, out};
use crate::common::registry_reader::RegistryReader;
use crate::common::select_registry::RegistryArguments;
use crate::failure::Failure;

pub(crate) use show::people;

const EXAMPLES: &str = "\
Examples:
  firecamp node                                on a node: the current state, from its agent
  firecamp node ip-10-0-0-7.ec2.internal       anywhere: the state that the node's agent published
  kubectl firecamp node ip-10-0-0-7.ec2.internal -o wide
  firecamp node -o json | jq '.status.volumes[] | select(.problems)'

Exit codes: 0 no problems; 20 the node has a problem, or no agent has published its state; 21 the
agent could not read some of the state; 15 the agent or the cluster cannot be reached.";

/// `firecamp node`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct NodeArguments {
    /// Show the state of this node that its agent has published in the cluster. Default: the
    /// current state of this machine, from its agent
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
    /// The address of this machine's agent
    #[arg(long, value_name = "URL", default_value = agent_client::DEFAULT)]
    pub agent: String,
    /// The registry.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Shows a node.
pub(crate) async fn run(arguments: &NodeArguments) -> CheckResult {
    let (text, look) = match &arguments.node {
        None => of_agent(&Agent::at(&arguments.agent)?, arguments).await?,
        Some(node) => {
            let reader = RegistryReader::open(&arguments.place.target()?).await?;
            of_cluster(&reader, node, arguments).await?
        }
    };
    out(&text)?;
    Ok(look)
}

/// The current report of this machine's agent.
pub async fn of_agent(
    agent: &Agent,
    arguments: &NodeArguments,
) -> Result<(String, CheckExit), Failure> {
    let report = ask(agent).await?;
    let text = arguments.output.text(&report, |wide| people(&report, wide))?;
    Ok((text, judge(&report)))
}

/// Reads the report from the agent.
pub(crate) async fn ask(agent: &Agent) -> Result<NodeReport, Failure> {
    let page = agent.page(agent_client::NODE).await?;
    serde_json::from_slice(&page).map_err(|why| Failure::Agent {
        what: format!("parse the agent's response for {}", agent_client::NODE),
        why: why.to_string(),
    })
}

/// The report that the agent of a node has published.
pub async fn of_cluster(
    reader: &RegistryReader,
    node: &str,
    arguments: &NodeArguments,
) -> Result<(String, CheckExit), Failure> {
    if let RegistryReader::File(_) = reader {
        let why = format!(
            "{} has no NodeAttachments: run `firecamp node` without NODE on {node}",
            reader.label()
        );
        return Err(Failure::Usage(why));
    }
    let Some(object) = reader.report(node).await? else {
        let text = format!(
            "{} {node} does not exist: no agent has published it; `kubectl get nodes` lists the \
             nodes, and `firecamp doctor` those without an agent\n",
            NodeAttachmentsSpec::KIND
        );
        return Ok((text, CheckExit::Problems));
    };
    let report = NodeReport { object, observed: Vec::new() };
    let text = arguments.output.text(&report.object, |wide| people(&report, wide))?;
    Ok((text, judge(&report)))
}

/// The exit code for a report.
pub(crate) fn judge(report: &NodeReport) -> CheckExit {
    let status = &report.object.status;
    let addresses = status.addresses.iter().any(|one| one.problem.is_some());
    let volumes = status.volumes.iter().any(|one| !one.problems.is_empty());
    let failing = status.addresses_failing > 0 || status.volumes_failing > 0;
    let not_ready =
        status.conditions.iter().any(|one| one.kind == "Ready" && one.status == "False");
    if addresses || volumes || failing || not_ready {
        return CheckExit::Problems;
    }
    let unseen = report.observed.iter().any(|one| one.failure.is_some());
    if unseen { CheckExit::Unchecked } else { CheckExit::Fine }
}
