//! What audits are told.

use std::net::Ipv4Addr;

use firecamp_core::time::Moment;

use crate::names::{EniIx, MemberIx, NodeIx};

/// A process that writes to the registry.
#[derive(Debug, Clone, Copy)]
pub struct Author {
    /// The number that its run id ends with.
    pub slot: u32,
    /// Its member.
    pub member: MemberIx,
    /// The epoch that a release fixed at its start.
    pub fixed: Option<u64>,
    /// Until then a call of its without an answer may land.
    pub unsettled_until: Moment,
}

/// A process that sends an EC2 mutation.
#[derive(Debug, Clone, Copy)]
pub struct Calling {
    /// The number that its run id ends with.
    pub slot: u32,
    /// The ENI that it names.
    pub eni: EniIx,
    /// The address.
    pub address: Ipv4Addr,
    /// A mark of its stood in the record.
    pub marked: bool,
    /// By force, though its last look-up showed a stranger.
    pub shown: bool,
}

/// A process whose call changed EC2.
#[derive(Debug, Clone, Copy)]
pub struct Mover {
    /// The number that its run id ends with.
    pub slot: u32,
    /// It has announced an Unassign in the record.
    pub announced: bool,
    /// The call landed after T.
    pub outside: bool,
}

/// A change of EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moving {
    /// The address.
    pub address: Ipv4Addr,
    /// Who had it.
    pub from: Option<EniIx>,
    /// Who has it.
    pub to: Option<EniIx>,
}

/// A kernel write that was permitted.
#[derive(Debug, Clone, Copy)]
pub struct Touch {
    /// The number that the run id of the process ends with.
    pub slot: u32,
    /// The node.
    pub node: NodeIx,
    /// The address.
    pub address: Ipv4Addr,
    /// The epoch that it was made for.
    pub epoch: u64,
    /// It adds, or it removes.
    pub adds: bool,
    /// The epoch that a release fixed at its start.
    pub fixed: Option<u64>,
}
