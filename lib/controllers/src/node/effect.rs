//! The effects of a node's controller.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Operation, Orphan, Snapshot};
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{EniId, InstanceId, Mac, Member, SubnetId, Uid};
use firecamp_core::machine::Outcome;
use firecamp_core::node_identity::Eni;
use firecamp_core::ports::KernelTarget;
use firecamp_core::time::Moment;
use firecamp_node::preflight::{Condition, Verdict};
use firecamp_node::volumes::observation::CloudView;

use super::{AdoptionResult, AgentIdentity, InterfaceStep, LostAddress};
use crate::publish::{Facts, Notice, Shortage};

/// What a node's controller wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Read a snapshot of the kernel, and the links if asked for, before anything else happens.
    ReadKernel {
        /// Read the links as well.
        links: bool,
    },
    /// Read the kernel state of each target, before anything else happens.
    ViewKernel(Vec<KernelTarget>),
    /// Start a task beside the controller.
    Start(Task),
    /// Write the snapshot for the next agent on this node.
    WriteSnapshot(Snapshot),
    /// Report the UID of this cluster to the init containers of this node and to the look-ups of
    /// owners.
    IdentifyCluster(Uid),
    /// Report to the init containers of this node which ENIs FireCamp must not use and, beside the
    /// VPC CNI, which alone it may.
    ListEnis {
        /// What is known of each ENI of the node.
        verdicts: Vec<Verdict>,
        /// Everything that decides has been read since the start. Before, what an earlier agent
        /// excluded stays excluded.
        complete: bool,
        /// Whether the VPC CNI runs on the node, which attaches ENIs of its own; none if unknown.
        vpc_cni: Option<bool>,
        /// The metadata service and the files of the node have been read since the start.
        read: bool,
    },
    /// Report the ENIs that members get only if there is no other, each with the reason.
    AvoidEnis(BTreeMap<EniId, String>),
    /// Pass EC2's view of the volumes on.
    ObserveVolumes(CloudView),
    /// Publish the facts about the node.
    Publish(Facts),
    /// Publish what an operation has done.
    Notify(Notice),
    /// Report to the operator: logs and metrics.
    Report(Report),
}

/// A read or an operation that ends with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// List the registry: the node's records and those of these addresses.
    List(BTreeSet<Ipv4Addr>),
    /// Read the metadata service: everything, or the list of ENIs and what changes of those that
    /// are not among these.
    Identify(Option<BTreeSet<Mac>>),
    /// Read the node's files.
    ReadFiles,
    /// Query the interfaces of this instance.
    QueryInterfaces(InstanceId),
    /// Query the volumes of this instance, and those that its pods lack.
    QueryVolumes(InstanceId),
    /// Query the limits of an instance type.
    QueryTypeLimits(String),
    /// Query the CIDR reservations of these subnets.
    QueryReservations(BTreeSet<SubnetId>),
    /// Read whether the addresses have records.
    QueryClaims(BTreeSet<Ipv4Addr>),
    /// Read whether the orphans of a query of EC2 that started then have records.
    CheckOrphans(BTreeSet<Orphan>, Moment),
    /// Adopt an orphan if nothing forbids it.
    Adopt(Orphan, AgentIdentity),
    /// Investigate a misplaced address; remove it from the kernel if the node is partitioned.
    Investigate(LostAddress),
    /// Set the link of an ENI up, with its own address.
    Raise(Eni),
    /// Perform a step of an interface that FireCamp makes.
    Interface(InterfaceStep),
    /// Execute an operation on the address of a member.
    Execute(Operation, Ipv4Addr, Member),
}

/// What an operator learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The kernel dropped events.
    Overrun,
    /// The state of the addresses.
    Counted(Counts),
    /// Registry and kernel were read and one plan was made.
    Ready,
    /// An operation starts.
    Started(Operation, Ipv4Addr, Member),
    /// An operation has ended.
    Ended(EndedOperation),
    /// A preflight condition has changed.
    Condition(Condition),
    /// The link of an ENI is set up.
    Raising(EniId, Mac),
    /// Whether the link of an ENI was set up.
    Raised(EniId, Result<bool, HostFailure>),
    /// EC2 has an address without a record on an ENI.
    Orphaned {
        /// The address.
        address: Ipv4Addr,
        /// Its ENI.
        eni: EniId,
        /// A lock of this node names it.
        was_ours: bool,
    },
    /// The kernel has an address with FireCamp's protocol number but neither record nor lock.
    Unknown(Ipv4Addr),
    /// The number of addresses without a record.
    Suspects(usize),
    /// A pod waits for a slot, and no parked address may be evicted.
    NotReserved(Shortage),
    /// A pod runs with a pool's label and has no address.
    WithoutAddress(Member),
    /// The result of an attempt to adopt an orphan.
    AdoptionTried(Orphan, AdoptionResult),
    /// The node is partitioned, and another ENI has the address: whether it was removed from the
    /// kernel.
    Withheld {
        /// The address.
        address: Ipv4Addr,
        /// The ENI to which it is attached by record.
        eni: EniId,
        /// The ENI that has it in EC2.
        owner: EniId,
        /// Whether the removal succeeded.
        done: Result<(), HostFailure>,
    },
}

/// How many of the attached addresses are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Attached to this node by record.
    pub attached: usize,
    /// Missing or incomplete in the kernel.
    pub missing: usize,
    /// EC2 shows them elsewhere.
    pub misplaced: usize,
    /// Blocking preflight conditions.
    pub blocks: usize,
    /// Pods that run with a pool's label and have no address.
    pub without_address: usize,
    /// The leader has published no new, or no complete, observation of EC2 for too long.
    pub observation_stale: bool,
}

/// An operation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOperation {
    /// The operation.
    pub operation: Operation,
    /// Its address.
    pub address: Ipv4Addr,
    /// The member of the address.
    pub member: Member,
    /// The outcome; none if it was interrupted.
    pub outcome: Option<Outcome>,
    /// Time since its cause was observed.
    pub took: Duration,
}
