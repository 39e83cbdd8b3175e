//! What facts are gathered from, one small trait each.

use std::future::Future;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, InstanceId, SubnetId};
use firecamp_core::interface::Interface;
use firecamp_core::node::{NodeIdentity, TypeLimits};

use crate::facts::{Fact, Facts, NodeFacts, Permission, Purpose, Reading, Right};

/// AWS, as far as a preflight asks it. Every call reads; nothing is changed. One attempt each,
/// bounded in time.
pub trait CloudChecks: Send + Sync {
    /// This instance, from the metadata service alone.
    fn instance(&self) -> impl Future<Output = Result<NodeIdentity, CloudFailure>> + Send;

    /// The network interfaces of the instance: one DescribeNetworkInterfaces for each page.
    fn interfaces(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<Vec<Interface>, CloudFailure>> + Send;

    /// What an instance type allows: one DescribeInstanceTypes. It never changes.
    fn type_limits(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<TypeLimits, CloudFailure>> + Send;

    /// All network interfaces of a subnet that carry the cluster's tag.
    fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> impl Future<Output = Result<Vec<Interface>, CloudFailure>> + Send;

    /// Whether EC2 would do it: one dry run. Only for rights that have one.
    fn permission(
        &self,
        right: Right,
    ) -> impl Future<Output = Result<Permission, CloudFailure>> + Send;

    /// What the clocks said that answers came with so far. Asks nothing.
    fn clocks(&self) -> Vec<Reading>;
}

/// The node's own files. Nothing is changed.
pub trait NodeChecks: Send + Sync {
    /// What they say. A part that cannot be read fails alone.
    fn facts(&self) -> impl Future<Output = NodeFacts> + Send;
}

/// What a preflight may ask of EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: only the metadata service and the node's files.
    Nothing,
    /// Everything: the instance's interfaces, a dry run, and those of each subnet.
    Everything,
}

/// Finds out everything, one after the other. What fails is told as having failed.
pub async fn gather<C: CloudChecks, N: NodeChecks>(
    cloud: &C,
    node: &N,
    purpose: Purpose,
    ask: Ask,
) -> Facts {
    let mut facts = Facts { purpose, node: node.facts().await, ..Facts::default() };
    facts.identity = cloud.instance().await.into();
    if ask == Ask::Everything {
        of_ec2(cloud, &mut facts).await;
    }
    facts.clocks = cloud.clocks();
    facts
}

async fn of_ec2<C: CloudChecks>(cloud: &C, facts: &mut Facts) {
    if let Fact::Known(identity) = &facts.identity {
        let (instance, kind) = (identity.instance.clone(), identity.instance_type.clone());
        facts.interfaces = cloud.interfaces(&instance).await.into();
        facts.limits = cloud.type_limits(&kind).await.into();
    }
    facts.saw_interfaces();
    facts.saw_limits();
    let volumes = cloud.permission(Right::DescribeVolumes).await.into();
    facts.rights.insert(Right::DescribeVolumes, volumes);
    let (Fact::Known(interfaces), Some(cluster)) = (&facts.interfaces, &facts.purpose.cluster)
    else {
        return;
    };
    let subnets = interfaces.iter().map(|one| &one.subnet);
    let wanted =
        |subnet: &&SubnetId| facts.purpose.subnets.as_ref().is_none_or(|all| all.contains(*subnet));
    let subnets: std::collections::BTreeSet<&SubnetId> = subnets.filter(wanted).collect();
    let mut all = Vec::new();
    for subnet in subnets {
        match cloud.peers(subnet, cluster).await {
            Ok(found) => all.extend(found),
            Err(failure) => {
                facts.peers = Fact::Failed(failure);
                return;
            }
        }
    }
    facts.peers = Fact::Known(all);
}

impl Facts {
    /// A listing of the interfaces is itself the proof that it is allowed.
    pub fn saw_interfaces(&mut self) {
        if let Some(seen) = permitted(&self.interfaces) {
            self.rights.insert(Right::DescribeNetworkInterfaces, seen);
        }
    }

    /// As is an answer about the instance's type.
    pub fn saw_limits(&mut self) {
        if let Some(seen) = permitted(&self.limits) {
            self.rights.insert(Right::DescribeInstanceTypes, seen);
        }
    }
}

fn permitted<T>(answer: &Fact<T, CloudFailure>) -> Option<Fact<Permission, CloudFailure>> {
    match answer {
        Fact::NotAsked => None,
        Fact::Failed(failure) => Some(Fact::Failed(failure.clone())),
        Fact::Known(_) => Some(Fact::Known(Permission::Allowed)),
    }
}
