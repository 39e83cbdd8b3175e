//! The events of the leader's controller: ticks, changes of the cluster, and the results of its
//! effects.

use std::time::Duration;

use firecamp_core::failure::{CloudKind, RegistryFailure};
use firecamp_core::managed_interface::DescribedInterface;
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::Owner;

use super::{
    BoundVolume, Call, ClusterEvent, InterfaceAnswer, NamesResult, ObservedLease, ObservedPod,
    RequestId,
};

/// What happens to the leader's controller.
#[derive(Debug)]
pub enum Event {
    /// The next tick is due. A random number, at least zero and less than one.
    Tick(f64),
    /// The Lease was read.
    LeaseRead(RequestId, Result<Option<ObservedLease>, RegistryFailure>),
    /// The Lease was written.
    LeaseWritten(RequestId, Result<(), RegistryFailure>),
    /// A list or a watch of the running term reports this.
    Cluster(Box<ClusterEvent>),
    /// The running step of the pass has ended.
    StepEnded(StepResult),
    /// A running step of names has ended.
    NamesStepEnded(NamesResult),
}

/// The result of a step of a pass. None if the step failed, took too long or was cancelled.
#[derive(Debug)]
pub enum StepResult {
    /// This instance, from the metadata service.
    Identified(Option<NodeIdentity>),
    /// The interfaces of the cluster; none without an answer of EC2.
    InterfacesListed(Option<Result<Vec<DescribedInterface>, CloudKind>>),
    /// The answer of EC2 about an address; none without an answer.
    OwnerRead(Option<Result<Owner, CloudKind>>),
    /// A pod.
    PodRead(Option<ObservedPod>),
    /// The answer of EC2 about an interface; none without an answer.
    InterfaceQueried(Option<InterfaceAnswer>),
    /// The bound volumes of a pod.
    VolumesRead(Option<Vec<BoundVolume>>),
    /// An operation has ended, well or not, with these calls to EC2.
    Performed(Vec<Ec2Call>),
}

/// A call of an operation to EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ec2Call {
    /// It was sent, at this time since the start of the operation. It may be cancelled before its
    /// answer.
    Sent(Call, Duration),
    /// It has ended, with this failure if any.
    Ended(Call, Option<CloudKind>),
}
