//! `firecamp explain`: follows a member from its claim to its file, and says where it breaks.

pub mod facts;
mod gather;
pub mod reason;
mod show;
pub mod verdict;

use std::path::PathBuf;

use clap::Args;
use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::contract::{env, path};

use crate::failure::Failure;
use crate::look::agent::{self, Agent};
use crate::look::book::Book;
use crate::look::here;
use crate::look::outcome::Ended;
use crate::look::print::{Output, out};
use crate::look::target::Where;

pub use gather::{Around, gather};
pub use show::people;
pub use verdict::{Explanation, explain};

const EXAMPLES: &str = "\
Examples:
  firecamp explain prod/redis-0
  kubectl firecamp explain redis-0 -n prod     as kubectl's plugin
  firecamp explain redis-0 -n prod --no-ec2    without asking EC2
  sudo firecamp explain prod/redis-0           on the member's node: its kernel and lock as well
  firecamp explain prod/redis-0 -o json | jq -r .reason

The links are: claim, address, pod, epoch (in the registry), ec2, and on the member's node lock,
kernel and file. What cannot be asked from here is unknown and never broken; what the node's agent
has published stands in for it, and says so. docs/cli.md lists every reason.

Exit codes: 0 nothing that was seen is broken; 20 a link is broken or waits; 21 the registry could
not be asked.";

/// `firecamp explain`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArguments {
    /// The member: NAMESPACE/NAME, or NAME in the namespace of -n or of the context
    #[arg(value_name = "MEMBER")]
    pub member: String,
    /// Where to look.
    #[command(flatten)]
    pub place: Where,
    /// Do not ask EC2 who has the address: one DescribeNetworkInterfaces, with the AWS SDK's own
    /// variables and credentials
    #[arg(long)]
    pub no_ec2: bool,
    /// The node that this runs on. Without it the host name in lower case
    #[arg(long, env = env::NODE_NAME, hide_env_values = true, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Directory of the node-local locks
    #[arg(long, env = env::RUN_DIR, hide_env_values = true, value_name = "DIR",
          default_value = path::RUN_DIR)]
    pub run_dir: PathBuf,
    /// Directory of the member's static-IP file, as it is seen from here
    #[arg(long, value_name = "DIR")]
    pub conf_dir: Option<PathBuf>,
    /// Where the agent of this machine listens
    #[arg(long, value_name = "URL", default_value = agent::DEFAULT)]
    pub agent: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Explains a member.
pub(crate) async fn run(arguments: &ExplainArguments) -> Ended {
    let book = Book::open(&arguments.place.target()?).await?;
    let cloud = (!arguments.no_ec2).then(|| AwsCloud::connect(CloudConfig::from_env()));
    let around = around(arguments, cloud.map(|cloud| cloud.map_err(|why| why.to_string())))?;
    let explanation = of(&book, arguments, &around).await?;
    let text = arguments.output.text(&explanation, |_wide| people(&explanation))?;
    out(&text)?;
    Ok(explanation.look())
}

/// What there is around a process that was started like this.
pub fn around<C>(
    arguments: &ExplainArguments,
    cloud: Option<Result<C, String>>,
) -> Result<Around<C>, Failure> {
    Ok(Around {
        cloud: cloud.unwrap_or_else(|| Err("EC2 was not asked (--no-ec2)".to_owned())),
        spared: None,
        here: here::node_name(arguments.node_name.as_deref())?,
        run_dir: arguments.run_dir.clone(),
        conf_dir: arguments.conf_dir.clone(),
        agent: Agent::at(&arguments.agent)?,
    })
}

/// Explains a member of this registry.
pub async fn of<C: firecamp_core::outside::Cloud>(
    book: &Book,
    arguments: &ExplainArguments,
    around: &Around<C>,
) -> Result<Explanation, Failure> {
    let member = arguments.place.member(&arguments.member, book.namespace())?;
    Ok(explain(&gather(book, &member, around).await))
}
