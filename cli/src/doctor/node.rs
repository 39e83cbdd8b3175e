//! Checks of this machine as a node: the agent's own preflight.

use std::collections::BTreeSet;
use std::path::Path;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::contract::env;
use firecamp_core::ids::{ClusterName, SubnetId};
use firecamp_preflight::facts::Purpose;
use firecamp_preflight::node::NodeFiles;
use firecamp_preflight::{Ask, CloudChecks, Condition, NodeChecks, Weight, judge};

use super::DoctorArguments;
use super::finding::{Finding, Level};
use crate::failure::Failure;
use crate::look::progress;

/// Examines this machine, for the subnets that members have addresses in.
pub(super) async fn examine(
    arguments: &DoctorArguments,
    subnets: Option<BTreeSet<SubnetId>>,
) -> Result<Vec<Finding>, Failure> {
    let cluster = arguments.cluster_name.as_deref().filter(|name| !name.is_empty());
    let cluster = cluster.map(ClusterName::new).transpose();
    let cluster = cluster.map_err(|why| Failure::Usage(format!("--cluster-name: {why}")))?;
    let cloud = AwsCloud::connect(CloudConfig::from_env());
    let cloud = cloud.map_err(|why| Failure::Usage(why.to_string()))?;
    let in_cluster = std::env::var_os(env::KUBERNETES_SERVICE_HOST).is_some();
    let files = NodeFiles::new(Path::new("/"), &arguments.run_dir, in_cluster);
    let ask = if arguments.no_ec2 { Ask::Nothing } else { Ask::Everything };
    let purpose = Purpose { cluster, subnets, ..Purpose::default() };
    let findings = findings(&cloud, &files, purpose, ask);
    Ok(progress::during("ask the metadata service, EC2 and this node", findings).await)
}

/// What a node's preflight says of it.
pub async fn findings<C: CloudChecks, N: NodeChecks>(
    cloud: &C,
    files: &N,
    purpose: Purpose,
    ask: Ask,
) -> Vec<Finding> {
    let facts = firecamp_preflight::gather(cloud, files, purpose, ask).await;
    judge(&facts).iter().map(of_condition).collect()
}

/// A condition as a finding. Its message says what to do.
fn of_condition(condition: &Condition) -> Finding {
    let level = match condition.weight() {
        Weight::Fine => Level::Fine,
        Weight::Open => Level::Unknown,
        Weight::Warns => Level::Warns,
        Weight::Blocks => Level::Fails,
    };
    let found = (condition.reason.name(), condition.message.clone());
    Finding::new("node", level, condition.kind.name(), found)
}
