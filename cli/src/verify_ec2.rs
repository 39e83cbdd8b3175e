//! `firecamp verify-ec2`: tries the facts of EC2 on which FireCamp's protocol rests.
//!
//! Facts and judgement are pure (`facts.rs`, `judge.rs`); [`Ec2`] is what is asked. The same
//! program runs against AWS and, in the tests, against the simulator.

mod choose_addresses;
mod cleanup;
mod fact;
mod facts;
mod judge;
mod measure;
mod on_node;
mod ports;
mod session;
mod set_up;
mod show;
mod try_steps;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::contract::protocol;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, SubnetId};
use jiff::Timestamp;

use crate::common::print::{Output, out};
use crate::common::{progress, signals};
use crate::failure::Failure;
use cleanup::Cleanup;
use judge::Verdict;
use on_node::NODE;
use session::{Calls, Halt, Holdings, Session};

pub use cleanup::{Cleaned, Left};
pub use judge::{Answer, Outcome};
pub use ports::{Ec2, Reassign};
pub use session::Stop;
pub use show::{FactReport, Origin, Report};

/// The deadline of a read: the longest that EC2 takes (ec2-semantics, timing model), because this
/// command has time.
const READ_WITHIN: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
The command creates two network interfaces without an instance in the subnet, moves three \
addresses between them, compares EC2's answers with what FireCamp relies on, and deletes the \
interfaces, also after an error, SIGINT or SIGTERM. This takes about two minutes and costs \
nothing. At its start it deletes what crashed runs left in the subnet, so run one at a time. It \
takes no address of a CIDR reservation: reserve the ranges of your pools first \
(docs/install.md), or use another subnet.

Examples:
  firecamp verify-ec2 --subnet subnet-0a1b2c3d --dry-run     what would be created and tried
  firecamp verify-ec2 --subnet subnet-0a1b2c3d
  firecamp verify-ec2 --subnet subnet-0a1b2c3d --json > report.json
  firecamp verify-ec2 --subnet subnet-0a1b2c3d --on-node     on an instance, with its metadata
  firecamp verify-ec2 --subnet subnet-0a1b2c3d --cleanup     only delete what crashed runs left

Region, credentials and endpoints are those of the AWS SDK: AWS_REGION, AWS_PROFILE, \
AWS_ENDPOINT_URL_EC2, AWS_EC2_METADATA_SERVICE_ENDPOINT and so on. From another endpoint than AWS \
the answers prove this program, not EC2. The report has no account IDs and no secrets; review it \
before you publish it.

Required permissions (deploy/iam-policy-verify-ec2.json): ec2:DescribeSubnets, \
ec2:GetSubnetCidrReservations, ec2:DescribeNetworkInterfaces, ec2:CreateNetworkInterface, \
ec2:CreateTags, ec2:DeleteNetworkInterface, ec2:AssignPrivateIpAddresses and \
ec2:UnassignPrivateIpAddresses; with --on-node the last two also on the interface of the node. No \
container of FireCamp needs them.

Exit codes: 0 every fact that can be observed holds; 20 a fact differs, or something is left in \
EC2; 21 no fact differs, but some could not be tried; 13 EC2 refused a call of the set-up; \
143 a signal ended the run; 2 invalid flag.";

/// `firecamp verify-ec2`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyEc2Arguments {
    /// The subnet in which the two interfaces are created
    #[arg(long, value_name = "SUBNET")]
    pub subnet: SubnetId,
    /// The region. Default: AWS_REGION, AWS_DEFAULT_REGION, then that of this instance
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,
    /// The URL of EC2's API. Default: AWS_ENDPOINT_URL_EC2, then that of the region
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Also move an address to an interface of this instance, and read its metadata service
    #[arg(long)]
    pub on_node: bool,
    /// The interface for --on-node. Default: a secondary one in the subnet with the tag
    /// node.k8s.amazonaws.com/no_manage=true. On another one, a CNI plugin may give the address to
    /// a pod
    #[arg(long, value_name = "ENI", requires = "on_node")]
    pub interface: Option<EniId>,
    /// Only delete what crashed runs left in the subnet
    #[arg(long, conflicts_with_all = ["on_node", "dry_run"])]
    pub cleanup: bool,
    /// Show what would be created and tried, as text, and send nothing to EC2
    #[arg(long)]
    pub dry_run: bool,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// What a run found. After a cleanup only, there are no verdicts.
#[derive(Debug)]
pub struct Observed {
    verdicts: BTreeMap<&'static str, Verdict>,
    calls: Calls,
    cleaned: Cleaned,
    interrupted: bool,
}

/// Tries the facts. Returns the exit code.
pub(crate) async fn run(arguments: &VerifyEc2Arguments) -> Result<u8, Failure> {
    let output = if arguments.json { Output::Json } else { arguments.output };
    if arguments.dry_run {
        out(&show::plan(arguments.subnet.as_str()))?;
        return Ok(0);
    }
    let begun = Timestamp::now();
    let cloud = AwsCloud::connect(configured(arguments));
    let cloud = cloud.map_err(|why| Failure::Usage(why.to_string()))?;
    let stop = Stop::new(signals::first("deleting the interfaces of this run")?);
    let region = cloud.region().await?;
    // A client token has at most 64 characters, and the interfaces are named by it.
    let run = format!("verify-ec2-{:x}-{:x}", begun.as_nanosecond(), std::process::id());
    let observed = of(&cloud, arguments, &run, stop, &mut progress::to_stderr).await?;
    let origin = origin(region, &cloud.used_ec2_endpoint().unwrap_or_default());
    let report = report(arguments, begun.to_string(), origin, observed);
    out(&output.text(&report, |wide| report.people(wide))?)?;
    Ok(report.code())
}

fn configured(arguments: &VerifyEc2Arguments) -> CloudConfig {
    let config = CloudConfig::from_env().named("firecamp-verify-ec2");
    CloudConfig {
        region: arguments.region.clone().or(config.region.clone()),
        ec2_endpoint: arguments.endpoint_url.clone().or(config.ec2_endpoint.clone()),
        answer_within: READ_WITHIN,
        imds_within: Duration::from_secs(2),
        ..config
    }
}

/// Tries the facts, or only cleans up. `run` names the run in the tags of its interfaces.
pub async fn of<E: Ec2>(
    ec2: &E,
    arguments: &VerifyEc2Arguments,
    run: &str,
    stop: Stop,
    progress: &mut dyn FnMut(&str),
) -> Result<Observed, Failure> {
    let subnet = &arguments.subnet;
    let done = Cleaned::default();
    let mut earlier = Cleanup { ec2, subnet, progress: &mut *progress, done };
    earlier.earlier_runs().await?;
    let done = earlier.done;
    if arguments.cleanup {
        let (verdicts, calls) = (BTreeMap::new(), Calls::default());
        return Ok(Observed { verdicts, calls, cleaned: done, interrupted: false });
    }
    let mut session = Session {
        ec2,
        subnet,
        run,
        stop,
        progress: &mut *progress,
        holdings: Holdings::default(),
        calls: Calls::default(),
        verdicts: BTreeMap::new(),
    };
    let ended = try_all(&mut session, arguments).await;
    let holdings = std::mem::take(&mut session.holdings);
    let (verdicts, calls) = session.finished();
    let mut own = Cleanup { ec2, subnet, progress, done };
    own.this_run(run, holdings).await;
    let cleaned = own.done;
    match ended {
        Err(Halt::Failed(why)) => Err(why.into()),
        Err(Halt::Interrupted) => Ok(Observed { verdicts, calls, cleaned, interrupted: true }),
        Ok(()) => Ok(Observed { verdicts, calls, cleaned, interrupted: false }),
    }
}

/// A failure means that nothing could be set up; those of single facts are verdicts.
async fn try_all<E: Ec2>(
    session: &mut Session<'_, E>,
    arguments: &VerifyEc2Arguments,
) -> Result<(), Halt> {
    let node = if arguments.on_node {
        session.node_interface(arguments.interface.as_ref()).await?
    } else {
        Err(Verdict::new(Outcome::NotObservable, "it needs an instance: --on-node"))
    };
    if let Err(verdict) = &node {
        session.skip(&NODE, verdict);
    }
    let node = node.ok();
    let scene = session.set_up(node.as_ref()).await?;
    session.try_steps(&scene).await?;
    session.try_moves(&scene).await?;
    session.try_listings(&scene).await?;
    if let Some(node) = &node {
        session.try_node(&scene, node).await?;
    }
    session.try_deletion(&scene).await
}

/// The report of a run.
pub fn report(
    arguments: &VerifyEc2Arguments,
    time: String,
    origin: Origin,
    mut observed: Observed,
) -> Report {
    let longest = observed.calls.longest.as_millis();
    Report {
        report_version: show::VERSION,
        firecamp: protocol::VERSION,
        time,
        origin,
        on_node: arguments.on_node,
        interrupted: observed.interrupted,
        facts: show::facts(&mut observed.verdicts, observed.calls),
        cleanup: observed.cleaned,
        mutating_calls: observed.calls.mutating,
        longest_call_ms: u64::try_from(longest).unwrap_or(u64::MAX),
    }
}

/// The host names of AWS's partitions end so (`aws-sdk-ec2`, `endpoint_lib`).
const AWS: [&str; 14] = [
    ".amazonaws.com",
    ".api.aws",
    ".amazonaws.com.cn",
    ".api.amazonwebservices.com.cn",
    ".amazonaws.eu",
    ".api.amazonwebservices.eu",
    ".c2s.ic.gov",
    ".api.aws.ic.gov",
    ".sc2s.sgov.gov",
    ".api.aws.scloud",
    ".cloud.adc-e.uk",
    ".api.cloud-aws.adc-e.uk",
    ".csp.hci.ic.gov",
    ".api.aws.hci.ic.gov",
];

/// Who answered at this URL. Only EC2's endpoints of AWS prove something about EC2.
pub fn origin(region: String, url: &str) -> Origin {
    let after = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    // Without a user name and password.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    let proves_ec2 = url.starts_with("https:") && is_ec2(name, &region);
    let note = (!proves_ec2).then_some(show::NOT_EC2);
    Origin { region, endpoint: host.to_owned(), proves_ec2, note }
}

/// Whether this host is EC2's endpoint of the region, or an interface endpoint (`vpce`) for it.
/// Customers choose host names below `amazonaws.com`, too: a bucket may have the name `ec2`.
fn is_ec2(host: &str, region: &str) -> bool {
    let names = AWS.iter().filter_map(|domain| host.strip_suffix(*domain));
    names.map(|name| name.split('.').collect::<Vec<_>>()).any(|labels| match labels.as_slice() {
        ["ec2" | "ec2-fips", at] | [_, "ec2" | "ec2-fips", at, "vpce"] => *at == region,
        _ => false,
    })
}

impl From<CloudFailure> for Failure {
    fn from(failure: CloudFailure) -> Self {
        let next = "check --region, --subnet, the credentials and their permissions (--help)";
        Self::Cloud { failure, next }
    }
}
