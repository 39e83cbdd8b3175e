//! Reads the facts, in their order, and what each answer of EC2 says about permissions.

use std::collections::BTreeSet;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::SubnetId;

use crate::preflight::facts::{Fact, Facts, Permission, Purpose, Right};
use crate::preflight::ports::{AccountChecks, CloudChecks, NodeChecks};

/// Which EC2 checks a preflight runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ec2Checks {
    /// None: the preflight reads only the metadata service and the node's files.
    Skip,
    /// All: the instance's interfaces, volumes and limits, and the interfaces and reservations of
    /// each subnet.
    All,
}

/// Reads all facts, one after the other. A failed read becomes a failed fact.
pub async fn gather<C: AccountChecks, N: NodeChecks>(
    cloud: &C,
    node: &N,
    purpose: Purpose,
    ec2: Ec2Checks,
) -> Facts {
    let mut facts = Facts { purpose, node: node.facts().await, ..Facts::default() };
    facts.identity = cloud.instance().await.into();
    if ec2 == Ec2Checks::All {
        read_ec2(cloud, &mut facts).await;
    }
    facts.clocks = cloud.clocks();
    facts
}

async fn read_ec2<C: AccountChecks>(cloud: &C, facts: &mut Facts) {
    if let Fact::Known(identity) = &facts.identity {
        let (instance, kind) = (identity.instance.clone(), identity.instance_type.clone());
        facts.interfaces = cloud.interfaces(&instance).await.into();
        facts.limits = cloud.type_limits(&kind).await.into();
    }
    facts.record_interface_permission();
    facts.record_type_permission();
    read_volumes(cloud, facts).await;
    for subnet in facts.purpose.subnets.iter().flat_map(|pools| pools.keys()) {
        let found = cloud.reservations(subnet).await.into();
        let seen = permitted(&found).map(|seen| (Right::GetSubnetCidrReservations, seen));
        facts.rights.extend(seen);
        facts.reservations.insert(subnet.clone(), found);
    }
    read_peers(cloud, facts).await;
}

/// A successful listing proves the permission. Without an instance ID only the dry run does.
async fn read_volumes<C: AccountChecks>(cloud: &C, facts: &mut Facts) {
    let allowed = match &facts.identity {
        Fact::Known(identity) => {
            facts.volumes = cloud.volumes(&identity.instance).await.into();
            permitted(&facts.volumes)
        }
        Fact::NotChecked | Fact::Failed(_) => {
            Some(cloud.permission(Right::DescribeVolumes).await.into())
        }
    };
    facts.rights.extend(allowed.map(|allowed| (Right::DescribeVolumes, allowed)));
}

async fn read_peers<C: CloudChecks>(cloud: &C, facts: &mut Facts) {
    let (Fact::Known(interfaces), Some(cluster)) = (&facts.interfaces, &facts.purpose.cluster)
    else {
        return;
    };
    let subnets = interfaces.iter().map(|one| &one.subnet);
    let wanted = |subnet: &&SubnetId| {
        facts.purpose.subnets.as_ref().is_none_or(|all| all.contains_key(*subnet))
    };
    let subnets: BTreeSet<&SubnetId> = subnets.filter(wanted).collect();
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
    /// A listing of the interfaces proves that listing them is allowed.
    pub fn record_interface_permission(&mut self) {
        if let Some(seen) = permitted(&self.interfaces) {
            self.rights.insert(Right::DescribeNetworkInterfaces, seen);
        }
    }

    /// A description of the instance type proves that describing it is allowed.
    pub fn record_type_permission(&mut self) {
        if let Some(seen) = permitted(&self.limits) {
            self.rights.insert(Right::DescribeInstanceTypes, seen);
        }
    }
}

fn permitted<T>(answer: &Fact<T, CloudFailure>) -> Option<Fact<Permission, CloudFailure>> {
    match answer {
        Fact::NotChecked => None,
        Fact::Failed(failure) => Some(Fact::Failed(failure.clone())),
        Fact::Known(_) => Some(Fact::Known(Permission::Allowed)),
    }
}
