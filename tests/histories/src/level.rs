//! Where a history runs: the seam between the director, which decides what happens to pods and
//! nodes, and whatever runs the processes and the outside systems.
//!
//! The director is the same at every level. It is told the time, what ended and what the script
//! says, and it gives [`Order`]s. A level carries them out: at once, in this order, and without
//! calling back. What ends, ends by [`Director::ended`](crate::cluster::Director::ended), never
//! before the order that caused it has returned.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::outside::SocketUse;
use firecamp_core::time::Moment;

use crate::cluster::ApiPod;
use crate::names::{EniIx, MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::{Outage, StopKind, Stripped, Theft};

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// An init container.
    Init,
    /// A stop container. Left of the grace period when it has to act, if nobody else can tell.
    Stop(StopKind, Duration),
    /// The agent of the node. It has no pod and no member.
    Agent,
}

/// A process that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spawn {
    /// Its id, never used before in this history; its run id is made from it.
    pub process: ProcessId,
    /// What it runs.
    pub role: Role,
    /// The node that it runs on.
    pub node: NodeIx,
    /// Its member.
    pub member: MemberIx,
    /// Its pod.
    pub pod: PodIx,
}

/// What happens to a node's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Power {
    /// Kernel and `/run` are gone, and what was not synced to a volume that is mounted there. All
    /// processes have been killed by orders of their own. The instance and its ENIs stay.
    Lost,
    /// It boots: the kernel is empty, the metadata service answers.
    Back,
    /// The instance is terminated, its ENIs are deleted, their addresses return to the subnet.
    Terminated,
}

/// What a level is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Begin a process.
    Spawn(Spawn),
    /// SIGTERM to a process that runs.
    Signal(ProcessId),
    /// SIGKILL: it does nothing more, and its end is not reported. Calls that it has sent may
    /// still take effect.
    Kill(ProcessId),
    /// SIGSTOP.
    Freeze(ProcessId),
    /// SIGCONT.
    Thaw(ProcessId),
    /// The pod of a member as the API server shows it from now on.
    Pod(MemberIx, Option<ApiPod>),
    /// Which sockets use an address on a node from now on.
    Sockets(NodeIx, Ipv4Addr, SocketUse),
    /// The volume of a member is unmounted from a node whose power is lost.
    LosePower(MemberIx),
    /// A node's power.
    Node(NodeIx, Power),
    /// A stranger acts on an address in EC2, if that is possible.
    Steal(Ipv4Addr, Theft),
    /// Something else on a node removes an address of ours from its kernel.
    Strip(NodeIx, Ipv4Addr, Stripped),
    /// Strangers fill the ENI that carries addresses on this node up to its limit, or leave it.
    Fill(NodeIx, bool),
    /// A system goes away, or is back.
    Outage(Outage, bool),
    /// All agents hold the Lease, or only one does again.
    Leases(bool),
    /// A pod is ready on an address: its init container succeeded and nobody told it to stop.
    Ready(PodIx, Ready),
    /// It is not ready any more.
    Unready(PodIx),
    /// The healing phase begins: no call breaks any more, strangers give back what they took.
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
    /// The epoch that its init container took.
    pub epoch: u64,
    /// The ENI that carries the address.
    pub eni: EniIx,
}

/// Where a history runs.
pub trait Level {
    /// Carries out an order.
    fn order(&mut self, now: Moment, order: Order);
}
