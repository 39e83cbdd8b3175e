//! `firecamp explain`: checks a member link by link, from its claim to its static-IP file.

pub mod facts;
mod gather;
pub mod links;
pub mod reason;
mod show;

use std::path::PathBuf;

use clap::Args;
use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::contract::{env, path};

use crate::common::agent_client::{self, Agent};
use crate::common::command_result::CheckResult;
use crate::common::local_node;
use crate::common::print::{Output, out};
use crate::common::registry_reader::RegistryReader;
use crate::common::select_registry::RegistryArguments;
use crate::failure::Failure;

pub use gather::{Environment, gather};
pub use links::{Explanation, explain};
pub use show::people;

const EXAMPLES: &str = "\
Examples:
  firecamp explain prod/redis-0
  kubectl firecamp explain redis-0 -n prod     as a kubectl plugin
  firecamp explain redis-0 -n prod --no-ec2    without a call to EC2
  sudo firecamp explain prod/redis-0           on the member's node: also checks kernel and lock
  firecamp explain prod/redis-0 -o json | jq -r .reason

The links are: claim, address, pod, epoch (in the registry), ec2, and on the member's node lock,
kernel and file. The command reports the first broken or pending link. A link that cannot be checked
from here is unknown, not broken; if the node's agent has published its state, the command shows
that instead and says so. docs/cli.md lists all reasons.

Exit codes: 0 no link is known to be broken; 20 a link is broken or pending; 21 the registry could
not be read.";

/// `firecamp explain`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArguments {
    /// The member: NAMESPACE/NAME, or NAME in the namespace of -n or of the context
    #[arg(value_name = "MEMBER")]
    pub member: String,
    /// The registry.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// Do not look up the address in EC2. Without this flag, the command sends one
    /// DescribeNetworkInterfaces with the variables and credentials of the AWS SDK
    #[arg(long)]
    pub no_ec2: bool,
    /// The name of this node. Default: the host name in lower case
    #[arg(long, env = env::NODE_NAME, hide_env_values = true, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Directory of the node-local locks
    #[arg(long, env = env::RUN_DIR, hide_env_values = true, value_name = "DIR",
          default_value = path::RUN_DIR)]
    pub run_dir: PathBuf,
    /// Directory of the member's static-IP file, as a path on this machine
    #[arg(long, value_name = "DIR")]
    pub conf_dir: Option<PathBuf>,
    /// The address of this machine's agent
    #[arg(long, value_name = "URL", default_value = agent_client::DEFAULT)]
    pub agent: String,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Explains a member.
pub(crate) async fn run(arguments: &ExplainArguments) -> CheckResult {
    let reader = RegistryReader::open(&arguments.place.target()?).await?;
    let cloud = (!arguments.no_ec2).then(|| AwsCloud::connect(CloudConfig::from_env()));
    let around = around(arguments, cloud.map(|cloud| cloud.map_err(|why| why.to_string())))?;
    let explanation = of(&reader, arguments, &around).await?;
    let text = arguments.output.text(&explanation, |_wide| people(&explanation))?;
    out(&text)?;
    Ok(explanation.exit())
}

/// The environment for these arguments.
pub fn around<C>(
    arguments: &ExplainArguments,
    cloud: Option<Result<C, String>>,
) -> Result<Environment<C>, Failure> {
    Ok(Environment {
        cloud: cloud.unwrap_or_else(|| Err("EC2 was not queried (--no-ec2)".to_owned())),
        ec2_skipped: None,
        here: local_node::node_name(arguments.node_name.as_deref())?,
        run_dir: arguments.run_dir.clone(),
        conf_dir: arguments.conf_dir.clone(),
        agent: Agent::at(&arguments.agent)?,
    })
}

/// Explains a member of this registry.
pub async fn of<C: firecamp_core::ports::Cloud>(
    reader: &RegistryReader,
    arguments: &ExplainArguments,
    around: &Environment<C>,
) -> Result<Explanation, Failure> {
    let member = arguments.place.member(&arguments.member, reader.namespace())?;
    Ok(explain(&gather(reader, &member, around).await))
}
