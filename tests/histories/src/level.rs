//! The interface between the orchestrator, which decides what happens to pods and nodes, and a
//! level, which runs the processes and the outside systems.
//!
//! The orchestrator is the same at every level. It gets the time, the processes that ended and the
//! script, and gives [`Order`]s. A level carries them out immediately, in order, and without
//! calling back. A process ends by [`Orchestrator::ended`](crate::cluster::Orchestrator::ended),
//! never before the order that caused it has returned.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::ports::SocketUse;
use firecamp_core::time::Moment;

use crate::cluster::ApiPod;
use crate::names::{EniIx, MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::{ExternalReassignment, Outage, StopKind, Stripped};

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// An init container.
    Init,
    /// A stop container, with the remaining grace period, used if it cannot read that from the API.
    Stop(StopKind, Duration),
    /// The agent of the node. It has no pod and no member.
    Agent,
}

/// A process that starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spawn {
    /// Its ID, unique in this history; its run ID is derived from it.
    pub process: ProcessId,
    /// What it runs.
    pub role: Role,
    /// Its node.
    pub node: NodeIx,
    /// Its member.
    pub member: MemberIx,
    /// Its pod.
    pub pod: PodIx,
}

/// A change of a node's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Power {
    /// The kernel state and `/run` are lost, and so is unsynced data of mounted volumes. Other
    /// orders have killed all processes. The instance and its ENIs stay.
    Lost,
    /// The node boots: the kernel is empty, the metadata service answers.
    Back,
    /// The instance is terminated, its ENIs are deleted, their addresses return to the subnet.
    Terminated,
}

/// An order to a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Start a process.
    Spawn(Spawn),
    /// SIGTERM to a running process.
    Signal(ProcessId),
    /// SIGKILL: it does nothing more, and its end is not reported. Calls that it has sent may still
    /// take effect.
    Kill(ProcessId),
    /// SIGSTOP.
    Freeze(ProcessId),
    /// SIGCONT.
    Thaw(ProcessId),
    /// The API server shows this pod of a member from now on.
    Pod(MemberIx, Option<ApiPod>),
    /// These sockets use an address on a node from now on.
    Sockets(NodeIx, Ipv4Addr, SocketUse),
    /// The volume of a member is unmounted from a node that lost its power.
    LosePower(MemberIx),
    /// A change of a node's power.
    Node(NodeIx, Power),
    /// A foreign actor changes an address in EC2, if that is possible.
    Steal(Ipv4Addr, ExternalReassignment),
    /// Another program on a node removes an address of ours from its kernel.
    Strip(NodeIx, Ipv4Addr, Stripped),
    /// Foreign addresses fill the ENI that carries members' addresses on this node, or leave it.
    Fill(NodeIx, bool),
    /// An outage begins (true) or ends.
    Outage(Outage, bool),
    /// Each agent has a Lease of its own (true), or all share one again.
    Leases(bool),
    /// A pod is ready on an address: its init container succeeded and nothing has asked it to stop.
    Ready(PodIx, Ready),
    /// It is no longer ready.
    Unready(PodIx),
    /// The healing phase begins: no more injected faults; foreign actors return all addresses.
    Heal,
}

/// A pod that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ready {
    /// Its member.
    pub member: MemberIx,
    /// Its node.
    pub node: NodeIx,
    /// Its address.
    pub address: Ipv4Addr,
    /// The epoch that its init container acquired.
    pub epoch: u64,
    /// The ENI that carries the address.
    pub eni: EniIx,
}

/// Runs the processes and the outside systems of a history.
pub trait Level {
    /// Carries out an order.
    fn order(&mut self, now: Moment, order: Order);
}
