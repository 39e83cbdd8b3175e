//! Checks of this machine as a node: the agent's own preflight.

use std::collections::BTreeMap;
use std::path::Path;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::contract::env;
use firecamp_core::ids::{ClusterName, SubnetId};
use firecamp_host::preflight::NodeFiles;
use firecamp_host::{HostTimeouts, LinuxHost};
use firecamp_kube::{Inventory, NodeSeen};
use firecamp_node::preflight::facts::{Fact, InCluster, KubeNode, Purpose, Range, Snat};
use firecamp_node::preflight::{AccountChecks, Ask, Condition, NodeChecks, Weight, judge};

use super::DoctorArguments;
use super::finding::{Finding, Level};
use crate::failure::Failure;
use crate::look::asked::Asked;
use crate::look::progress;

/// What the VPC CNI's DaemonSet is told about sources.
const EXTERNAL_SNAT: &str = "AWS_VPC_K8S_CNI_EXTERNALSNAT";
const EXCLUDED: &str = "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS";

/// Examines this machine, for the subnets that members have addresses in, with what the cluster
/// says of it.
pub(super) async fn examine(
    arguments: &DoctorArguments,
    subnets: Option<BTreeMap<SubnetId, Vec<Range>>>,
    cluster_says: Option<&Nodes<'_>>,
) -> Result<Vec<Finding>, Failure> {
    let cluster = arguments.cluster_name.as_deref().filter(|name| !name.is_empty());
    let cluster = cluster.map(ClusterName::new).transpose();
    let cluster = cluster.map_err(|why| Failure::Usage(format!("--cluster-name: {why}")))?;
    let cloud = AwsCloud::connect(CloudConfig::from_env());
    let cloud = cloud.map_err(|why| Failure::Usage(why.to_string()))?;
    let in_cluster = std::env::var_os(env::KUBERNETES_SERVICE_HOST).is_some();
    let host = LinuxHost::new(&arguments.run_dir, HostTimeouts::default());
    let files = NodeFiles::new(Path::new("/"), &arguments.run_dir, in_cluster).with_kernel(host);
    let ask = if arguments.no_ec2 { Ask::Nothing } else { Ask::Everything };
    let purpose = Purpose { cluster, subnets, ..Purpose::default() };
    let findings = findings(&cloud, &files, (purpose, ask), cluster_says);
    Ok(progress::during("ask the metadata service, EC2 and this node", findings).await)
}

/// A cluster that can say something of its nodes.
#[derive(Debug)]
pub struct Nodes<'a> {
    /// Where to ask for more.
    pub inventory: &'a Inventory,
    /// Those that it has.
    pub all: &'a Asked<BTreeMap<String, NodeSeen>>,
}

/// What a node's preflight says of it.
pub async fn findings<C: AccountChecks, N: NodeChecks>(
    cloud: &C,
    files: &N,
    (purpose, ask): (Purpose, Ask),
    cluster: Option<&Nodes<'_>>,
) -> Vec<Finding> {
    let mut facts = firecamp_node::preflight::gather(cloud, files, purpose, ask).await;
    if let (Some(cluster), Some(identity)) = (cluster, facts.identity.known()) {
        facts.in_cluster = cluster.say(identity.instance.as_str()).await;
    }
    judge(&facts).iter().map(of_condition).collect()
}

impl Nodes<'_> {
    async fn say(&self, instance: &str) -> InCluster {
        let all = match self.all {
            Asked::Known(all) => all,
            Asked::Unknown(why) => {
                let (node, offered) = (Fact::Failed(why.clone()), Fact::NotAsked);
                return InCluster { node, offered, snat: self.snat().await };
            }
        };
        let own = all.iter().find(|(_, node)| node.instance.as_deref() == Some(instance));
        let offered = match own {
            Some((name, _)) => {
                let offered = self.inventory.offered_volumes(name).await;
                offered.map_err(|why| why.to_string()).into()
            }
            None => Fact::NotAsked,
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
