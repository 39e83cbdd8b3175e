//! Addresses that EC2 has and nobody claims, and what others do with them.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::time::Moment;
use serde::{Deserialize, Serialize};

use super::{At, Deed};
use crate::names::{NodeIx, PodIx};

/// A pod of which nobody knows.
const UNKNOWN: PodIx = PodIx(u16::MAX);

/// How an address is used, or was, on a node, without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Using {
    /// Somebody has configured it in the kernel.
    Kernel,
    /// Somebody has bound a socket to it.
    Socket,
    /// The node's lock says that a pod holds it of which nobody knows.
    Held,
    /// The node's lock says that this pod held it; without one, a pod that is there.
    Left(Option<u16>),
    /// The node's lock cannot be read.
    Torn,
}

impl Using {
    /// The pod that the lock names.
    pub fn pod(self) -> Option<PodIx> {
        match self {
            Self::Held | Self::Left(None) => Some(UNKNOWN),
            Self::Left(Some(pod)) => Some(PodIx(pod)),
            Self::Kernel | Self::Socket | Self::Torn => None,
        }
    }
}

/// What somebody does who knows nothing of FireCamp, or a person who does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Act {
    /// Assigns the address to an ENI of a node, wherever it is.
    Assign(Ipv4Addr, NodeIx, u8),
    /// Moves it to an ENI of another cluster.
    Steal(Ipv4Addr),
    /// Takes it out of EC2.
    Unassign(Ipv4Addr),
    /// Uses it on a node.
    Use(Ipv4Addr, NodeIx, Using),
    /// Uses it there no more.
    Leave(Ipv4Addr, NodeIx),
    /// Makes a claim that asks for it.
    Ask(Ipv4Addr),
    /// Sets the pool's policy: to adopt, or to report.
    Declare(bool),
}

/// An act and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActAt {
    /// Milliseconds since the start.
    pub ms: u32,
    /// What is done then.
    pub act: Act,
}

impl ActAt {
    /// Its time.
    pub fn moment(&self) -> Moment {
        Moment(Duration::from_millis(u64::from(self.ms)))
    }
}

/// A history in which the pool adopts what nobody claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strays {
    /// So much later the script begins.
    pub lead_ms: u32,
    /// Members that start at the beginning all the same, as bits.
    pub early: u8,
    /// What else is done to the cluster, at its own time.
    pub also: Vec<At>,
    /// The pool's reclaim policy is Delete.
    pub reclaim: bool,
    /// Agents die in the middle of adopting.
    pub dies: bool,
    /// What others do.
    pub acts: Vec<ActAt>,
}

/// First starts come before.
const FIRST_MS: u32 = 1_000;

impl Strays {
    /// Puts a script where it belongs in time.
    pub(super) fn lay_out(&self, script: &mut Vec<At>) {
        for at in script.iter_mut().filter(|at| !self.is_early(at)) {
            at.ms = at.ms.saturating_add(self.lead_ms);
        }
        script.extend(self.also.iter().cloned());
        script.sort_by_key(|at| at.ms);
    }

    fn is_early(&self, At { ms, deed }: &At) -> bool {
        let early = |member: u8| self.early & 1_u8.checked_shl(u32::from(member)).unwrap_or(0) != 0;
        matches!(deed, Deed::Start { member, .. } if *ms < FIRST_MS && early(member.0))
    }
}
