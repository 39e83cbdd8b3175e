//! Checks of this machine: the agent's preflight.

use std::collections::BTreeMap;
use std::path::Path;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::contract::env;
use firecamp_core::ids::{ClusterName, SubnetId};
use firecamp_host::preflight::NodeFiles;
use firecamp_host::{HostTimeouts, LinuxHost};
use firecamp_kube::{Inventory, ObservedNode};
use firecamp_node::preflight::facts::{Fact, InCluster, KubeNode, Purpose, Range, Snat};
use firecamp_node::preflight::{AccountChecks, Condition, Ec2Checks, NodeChecks, Severity, judge};

use super::DoctorArguments;
use super::finding::{Finding, Level};
use crate::common::known_or_unknown::Answer;
use crate::common::progress;
use crate::failure::Failure;

/// Variables of the VPC CNI's DaemonSet that configure SNAT.
const EXTERNAL_SNAT: &str = "AWS_VPC_K8S_CNI_EXTERNALSNAT";
const EXCLUDED: &str = "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS";

/// Checks this machine for the subnets of the members' addresses, with what the cluster reports
/// about it.
pub(super) async fn examine(
    arguments: &DoctorArguments,
    subnets: Option<BTreeMap<SubnetId, Vec<Range>>>,
    nodes: Option<&Nodes<'_>>,
) -> Result<Vec<Finding>, Failure> {
    let cluster = arguments.cluster_name.as_deref().filter(|name| !name.is_empty());
    let cluster = cluster.map(ClusterName::new).transpose();
    let cluster = cluster.map_err(|why| Failure::Usage(format!("--cluster-name: {why}")))?;
    let cloud = AwsCloud::connect(CloudConfig::from_env());
    let cloud = cloud.map_err(|why| Failure::Usage(why.to_string()))?;
    let in_cluster = std::env::var_os(env::KUBERNETES_SERVICE_HOST).is_some();
    let host = LinuxHost::new(&arguments.run_dir, HostTimeouts::default());
    let files = NodeFiles::new(Path::new("/"), &arguments.run_dir, in_cluster).with_kernel(host);
    let ask = if arguments.no_ec2 { Ec2Checks::Skip } else { Ec2Checks::All };
    let purpose = Purpose { cluster, subnets, ..Purpose::default() };
    let findings = findings(&cloud, &files, (purpose, ask), nodes);
    Ok(progress::during("query the metadata service, EC2 and this node", findings).await)
}

/// The nodes of a cluster.
#[derive(Debug)]
pub struct Nodes<'a> {
    /// Reads further objects.
    pub inventory: &'a Inventory,
    /// All nodes.
    pub all: &'a Answer<BTreeMap<String, ObservedNode>>,
}

/// The findings of a node's preflight.
pub async fn findings<C: AccountChecks, N: NodeChecks>(
    cloud: &C,
    files: &N,
    (purpose, ask): (Purpose, Ec2Checks),
    cluster: Option<&Nodes<'_>>,
) -> Vec<Finding> {
    let mut facts = firecamp_node::preflight::gather(cloud, files, purpose, ask).await;
    if let (Some(cluster), Some(identity)) = (cluster, facts.identity.known()) {
        facts.in_cluster = cluster.facts(identity.instance.as_str()).await;
    }
    judge(&facts).iter().map(of_condition).collect()
}

impl Nodes<'_> {
    async fn facts(&self, instance: &str) -> InCluster {
        let all = match self.all {
            Answer::Known(all) => all,
            Answer::Unknown(why) => {
                let (node, offered) = (Fact::Failed(why.clone()), Fact::NotChecked);
                return InCluster { node, offered, snat: self.snat().await };
            }
        };
        let own = all.iter().find(|(_, node)| node.instance.as_deref() == Some(instance));
        let offered = match own {
            Some((name, _)) => {
                let offered = self.inventory.offered_volumes(name).await;
                offered.map_err(|why| why.to_string()).into()
            }
            None => Fact::NotChecked,
        };
        let node = own.map(|(name, node)| KubeNode {
            name: name.clone(),
            internal: node.internal.clone(),
            fixed: node.fixed,
        });
        InCluster { node: Fact::Known(node), offered, snat: self.snat().await }
    }

    async fn snat(&self) -> Fact<Option<Snat>> {
        let set = self.inventory.vpc_cni().await.map_err(|why| why.to_string());
        let snat = |set: BTreeMap<String, String>| Snat {
            external: set.get(EXTERNAL_SNAT).is_some_and(|value| value == "true"),
            excluded: set.get(EXCLUDED).cloned().unwrap_or_default(),
        };
        Fact::from(set.map(|set| set.map(snat)))
    }
}

/// A condition as a finding. Its message contains the advice.
fn of_condition(condition: &Condition) -> Finding {
    let level = match condition.severity() {
        Severity::Ok => Level::Ok,
        Severity::Unknown => Level::Unknown,
        Severity::Warning => Level::Warning,
        Severity::Blocking => Level::Failed,
    };
    let found = (condition.reason.name(), condition.message.clone());
    Finding::new("node", level, condition.kind.name(), found)
}
