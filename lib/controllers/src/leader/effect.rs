//! The effects of the leader's controller.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, SubnetId};

use super::{
    Ec2Observation, Facts, InterfaceQuery, LeaseWrite, NamesStep, Operation, RequestId, Usage,
};

/// What the leader's controller wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Read the Lease beside the controller.
    ReadLease(RequestId),
    /// Write the Lease beside the controller.
    WriteLease(RequestId, LeaseWrite),
    /// A term begins: list and watch the cluster.
    BeginTerm,
    /// The term is over: stop watching, and end the running step of the pass. A read ends at once,
    /// an operation between two of its own steps.
    EndTerm,
    /// Start a step of the pass beside the controller. One runs at a time.
    Start(PassStep),
    /// Start a step of names beside the controller and the pass. One change and one
    /// look-up run at a time.
    StartNames(NamesStep),
    /// Drop the running operation: the process ends.
    DropOperation,
    /// Report to the operator: logs and metrics.
    Report(Report),
}

/// A step of a pass, which ends with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassStep {
    /// Read the metadata service.
    Identify,
    /// List the interfaces of the cluster in EC2.
    ListInterfaces,
    /// Look up in EC2 which ENI of the subnet has the address.
    ReadOwner(Ipv4Addr, SubnetId),
    /// Read the pod of a member.
    ReadPod(Member),
    /// Look up in EC2 an interface that FireCamp made, or its instance.
    QueryInterface(Box<InterfaceQuery>),
    /// Read the volumes to which these claims of a member's pod are bound.
    ReadVolumes(Member, Vec<String>),
    /// Perform an operation: read its objects again, then act.
    Perform(Box<Operation>, Box<Facts>),
}

/// What an operator learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Whether the Lease could be read, and what it publishes; none if it does not exist.
    LeaseRead(Result<Option<Ec2Observation>, RegistryFailure>),
    /// A write to acquire or renew the Lease failed.
    LeaseNotWritten(RegistryFailure),
    /// The write that releases the Lease failed.
    LeaseNotReleased(RegistryFailure),
    /// The process ends before the Lease is released.
    LeaseNotReleasedInTime,
    /// This agent became the leader.
    TermBegun,
    /// This agent is no longer the leader.
    TermEnded,
    /// The leader releases the Lease because EC2 does not answer it.
    Ec2Unreachable,
    /// The usage of the pools.
    Pools(BTreeMap<PoolName, Usage>),
    /// The pass takes too long to start this operation.
    PassOverdue(Box<Operation>),
    /// A pass over the whole cluster has ended, and took this long.
    PassEnded(Duration),
}
