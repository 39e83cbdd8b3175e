//! The sources of facts, one small trait each.

use std::future::Future;

use firecamp_core::failure::{CloudFailure, HostFailure};
use firecamp_core::ids::{ClusterName, InstanceId, SubnetId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};

use crate::preflight::facts::{
    AttachedVolumes, Chain, ForeignRule, NodeFacts, Permission, Reading, Reservation, Right,
};

/// The AWS calls of a preflight. All only read; each makes one attempt, bounded in time.
pub trait CloudChecks: Send + Sync {
    /// This instance, from the metadata service.
    fn instance(&self) -> impl Future<Output = Result<NodeIdentity, CloudFailure>> + Send;

    /// The network interfaces of the instance: one DescribeNetworkInterfaces per page.
    fn interfaces(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<Vec<Interface>, CloudFailure>> + Send;

    /// The limits of an instance type, which never change: one DescribeInstanceTypes.
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

    /// The CIDR reservations of a subnet: one GetSubnetCidrReservations per page.
    fn reservations(
        &self,
        subnet: &SubnetId,
    ) -> impl Future<Output = Result<Vec<Reservation>, CloudFailure>> + Send;

    /// Whether EC2 allows the action: one dry run. Only for actions that have one.
    fn permission(
        &self,
        right: Right,
    ) -> impl Future<Output = Result<Permission, CloudFailure>> + Send;

    /// The skew against the clocks of the responses so far. Sends nothing.
    fn clocks(&self) -> Vec<Reading>;
}

/// Calls that exceed an agent's budget: only `firecamp doctor` makes them. They also only read.
pub trait AccountChecks: CloudChecks {
    /// The volumes that are attached to the instance or are being attached: one DescribeVolumes
    /// per page.
    fn volumes(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<AttachedVolumes, CloudFailure>> + Send;
}

/// The node's own files, read only.
pub trait NodeChecks: Send + Sync {
    /// The facts. A part that cannot be read fails alone.
    fn facts(&self) -> impl Future<Output = NodeFacts> + Send;
}

/// The network configuration of other programs in this network namespace, read only.
pub trait KernelChecks: Send + Sync {
    /// The routing rules of other programs: all of them, or a failure.
    fn foreign_rules(&self) -> impl Future<Output = Result<Vec<ForeignRule>, HostFailure>> + Send;

    /// The chains of nf_tables that apply SNAT: all of them, or a failure.
    fn source_nat(&self) -> impl Future<Output = Result<Vec<Chain>, HostFailure>> + Send;
}
