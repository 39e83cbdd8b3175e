//! The events of a node's controller: changes, ticks, and the results of its effects.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::Orphan;
use firecamp_core::failure::{CloudFailure, HostFailure, RegistryFailure};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::machine::Outcome;
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::ports::{KernelTarget, KernelView};
use firecamp_core::time::Moment;
use firecamp_node::kernel::{Change, KernelSnapshot, ObservedLink};
use firecamp_node::preflight::facts::{NodeFacts, Reading, Reservation};
use firecamp_node::volumes::Recheck;
use firecamp_node::volumes::observation::{Attachment, Elsewhere};

use super::{AdoptionResult, Finding, Listing, LostAddress, OperationKind, StepEnd};
use crate::leader::Ec2Observation;

/// What happens to a node's controller.
#[derive(Debug)]
pub enum Event {
    /// A second has passed.
    Tick(Tick),
    /// The kernel reported changes.
    KernelChanged(Vec<Change>),
    /// The registry reported a change.
    RegistryChanged,
    /// This agent, as a candidate or the leader, has read the Lease: what it publishes; none if the
    /// read failed or the Lease does not exist.
    LeaseRead(Option<Ec2Observation>),
    /// The kernel was read. The snapshot is none if that failed; the links are none if that failed
    /// or if they were not asked for.
    KernelRead(Option<KernelSnapshot>, Option<Vec<ObservedLink>>),
    /// The kernel state of targets was read; none is a failed read.
    KernelViewed(Vec<(KernelTarget, Option<KernelView>)>),
    /// A list of the registry.
    Listed(Result<Listing, RegistryFailure>),
    /// A read of the metadata service.
    Identified(Result<NodeIdentity, CloudFailure>),
    /// A query of EC2 has ended, and the clock offsets that are known by now.
    Queried(QueryResult, Vec<Reading>),
    /// Facts from the node's files.
    Files(NodeFacts),
    /// Whether there is an endpoint for pods, or why it cannot listen.
    Endpoint(Result<bool, String>),
    /// Whether the link of an ENI was set up.
    Raised(EniId, Result<bool, HostFailure>),
    /// Whether each of the addresses has a record; an address whose read failed is left out.
    Claimed(BTreeMap<Ipv4Addr, bool>),
    /// Orphans of a query of EC2 that started then, and whether each has a record.
    Orphans(BTreeSet<Orphan>, BTreeMap<Ipv4Addr, bool>, Moment),
    /// The result of an attempt to adopt an orphan.
    AdoptionTried(Orphan, AdoptionResult),
    /// The finding about a misplaced address, and whether it was removed from the kernel.
    LossInvestigated(LostAddress, Finding, Option<Result<bool, HostFailure>>),
    /// A step of an interface that FireCamp makes has ended.
    InterfaceStepEnded(StepEnd),
    /// An operation on the address has ended. Without an outcome it was interrupted.
    OperationEnded(Ipv4Addr, OperationKind, Option<Outcome>),
}

/// What a tick brings from outside.
#[derive(Debug, Clone, Copy)]
pub struct Tick {
    /// A random number, at least zero and less than one.
    pub random: f64,
    /// How soon EC2 should be asked for the volumes again.
    pub volumes: Recheck,
    /// How many volumes the EBS CSI driver offers on this node, if known.
    pub offered_volumes: Option<u32>,
}

/// The result of a query of EC2.
#[derive(Debug)]
pub enum QueryResult {
    /// The interfaces of this instance.
    Interfaces(Result<Vec<Interface>, CloudFailure>),
    /// The volumes of this instance, and where the volumes are that pods here lack.
    Volumes(Result<(Vec<Attachment>, Vec<Elsewhere>), CloudFailure>),
    /// The limits of the instance type.
    TypeLimits(Result<TypeLimits, CloudFailure>),
    /// The CIDR reservations of subnets.
    Reservations(Result<BTreeMap<SubnetId, Vec<Reservation>>, CloudFailure>),
}
