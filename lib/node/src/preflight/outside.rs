//! What facts are gathered from, one small trait each.

use std::future::Future;

use firecamp_core::failure::{CloudFailure, HostFailure};
use firecamp_core::ids::{ClusterName, InstanceId, SubnetId};
use firecamp_core::interface::Interface;
use firecamp_core::node::{NodeIdentity, TypeLimits};

use crate::preflight::facts::{
    Chain, Fact, Facts, ForeignRule, NodeFacts, Permission, Purpose, Reading, Reservation, Right,
};

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

/// What an agent has no calls left for: only a person's preflight asks it. As the other reads.
pub trait AccountChecks: CloudChecks {
    /// The CIDR reservations of a subnet: one GetSubnetCidrReservations for each page.
    fn reservations(
        &self,
        subnet: &SubnetId,
    ) -> impl Future<Output = Result<Vec<Reservation>, CloudFailure>> + Send;

    /// How many volumes are attached to the instance, or are about to be: one DescribeVolumes
    /// for each page.
    fn volumes(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<u32, CloudFailure>> + Send;
}

/// The node's own files. Nothing is changed.
pub trait NodeChecks: Send + Sync {
    /// What they say. A part that cannot be read fails alone.
    fn facts(&self) -> impl Future<Output = NodeFacts> + Send;
}

/// What others have in the kernel's network, in the namespace of this process. Nothing is changed.
pub trait KernelChecks: Send + Sync {
    /// The routing rules of everybody else: all of them, or a failure.
    fn foreign_rules(&self) -> impl Future<Output = Result<Vec<ForeignRule>, HostFailure>> + Send;

    /// The chains of nf_tables that rewrite source addresses: all of them, or a failure.
    fn source_nat(&self) -> impl Future<Output = Result<Vec<Chain>, HostFailure>> + Send;
}

/// What a preflight may ask of EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: only the metadata service and the node's files.
    Nothing,
    /// Everything: the instance's interfaces, volumes and limits, and of each subnet the
    /// interfaces and the reservations.
    Everything,
}

/// Finds out everything, one after the other. What fails is told as having failed.
pub async fn gather<C: AccountChecks, N: NodeChecks>(
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

async fn of_ec2<C: AccountChecks>(cloud: &C, facts: &mut Facts) {
    if let Fact::Known(identity) = &facts.identity {
        let (instance, kind) = (identity.instance.clone(), identity.instance_type.clone());
        facts.interfaces = cloud.interfaces(&instance).await.into();
        facts.limits = cloud.type_limits(&kind).await.into();
    }
    facts.saw_interfaces();
    facts.saw_limits();
    of_volumes(cloud, facts).await;
    for subnet in facts.purpose.subnets.iter().flat_map(|pools| pools.keys()) {
        let found = cloud.reservations(subnet).await.into();
        let seen = permitted(&found).map(|seen| (Right::GetSubnetCidrReservations, seen));
        facts.rights.extend(seen);
        facts.reservations.insert(subnet.clone(), found);
    }
    peers(cloud, facts).await;
}

/// That they could be listed proves that it is allowed; of no instance nothing can be listed.
async fn of_volumes<C: AccountChecks>(cloud: &C, facts: &mut Facts) {
    let allowed = match &facts.identity {
        Fact::Known(identity) => {
            facts.volumes = cloud.volumes(&identity.instance).await.into();
            permitted(&facts.volumes)
        }
        Fact::NotAsked | Fact::Failed(_) => {
            Some(cloud.permission(Right::DescribeVolumes).await.into())
        }
    };
    facts.rights.extend(allowed.map(|allowed| (Right::DescribeVolumes, allowed)));
}

async fn peers<C: CloudChecks>(cloud: &C, facts: &mut Facts) {
    let (Fact::Known(interfaces), Some(cluster)) = (&facts.interfaces, &facts.purpose.cluster)
    else {
        return;
    };
    let subnets = interfaces.iter().map(|one| &one.subnet);
    let wanted = |subnet: &&SubnetId| {
        facts.purpose.subnets.as_ref().is_none_or(|all| all.contains_key(*subnet))
    };
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
