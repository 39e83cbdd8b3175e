//! The arguments of audits.

use std::net::Ipv4Addr;

use firecamp_core::time::Moment;

use crate::names::{EniIx, MemberIx, NodeIx};

/// A process that writes to the registry.
#[derive(Debug, Clone, Copy)]
pub struct Author {
    /// The number in its run ID.
    pub slot: u32,
    /// Its member.
    pub member: MemberIx,
    /// The epoch that a release fixed at its start.
    pub fixed: Option<u64>,
    /// Until then an unanswered call of this process may land.
    pub pending_until: Moment,
    /// Its last read before this write showed its own pod, on its node and not terminating.
    pub pod_lives: bool,
}

/// A request that an agent serves at its endpoint.
#[derive(Debug, Clone, Copy)]
pub struct ServedRequest {
    /// The number in the run ID.
    pub slot: u32,
    /// It attaches.
    pub attaches: bool,
    /// The API showed the pod of the token.
    pub lives: bool,
    /// The node of that pod.
    pub of: NodeIx,
    /// The node of the agent.
    pub by: NodeIx,
}

/// A process that sends an EC2 mutation.
#[derive(Debug, Clone, Copy)]
pub struct Ec2Mutation {
    /// The number in its run ID.
    pub slot: u32,
    /// The ENI that the call names.
    pub eni: EniIx,
    /// The address.
    pub address: Ipv4Addr,
    /// The record contained a pending mutation of this process.
    pub marked: bool,
    /// The call is forced although the last lookup showed a foreign interface.
    pub shown: bool,
}

/// A process whose call changed EC2.
#[derive(Debug, Clone, Copy)]
pub struct MutationSource {
    /// The number in its run ID.
    pub slot: u32,
    /// It has announced an Unassign in the record.
    pub announced: bool,
    /// The call landed after T.
    pub after_deadline: bool,
}

/// A change of an address in EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressMove {
    /// The address.
    pub address: Ipv4Addr,
    /// The previous ENI.
    pub from: Option<EniIx>,
    /// The new ENI.
    pub to: Option<EniIx>,
}

/// A kernel write that was permitted.
#[derive(Debug, Clone, Copy)]
pub struct KernelWrite {
    /// The number in the run ID of the process.
    pub slot: u32,
    /// The node.
    pub node: NodeIx,
    /// The address.
    pub address: Ipv4Addr,
    /// The epoch of the holder.
    pub epoch: u64,
    /// True if it adds, false if it removes.
    pub adds: bool,
    /// The epoch that a release fixed at its start.
    pub fixed: Option<u64>,
}
