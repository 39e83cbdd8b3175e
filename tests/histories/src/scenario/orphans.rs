//! Orphaned addresses: EC2 has them, and no record or claim names them. Other actors use and change
//! them.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::time::Moment;
use serde::{Deserialize, Serialize};

use super::{At, Disruption};
use crate::names::{NodeIx, PodIx};

/// A pod that is not in the API.
const UNKNOWN: PodIx = PodIx(u16::MAX);

/// How a node uses, or used, an address without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Using {
    /// It is configured in the kernel.
    Kernel,
    /// A socket is bound to it.
    Socket,
    /// The node-local lock says that a pod that is not in the API holds it.
    Held,
    /// The node-local lock says that this pod held it; none: a pod that exists.
    Left(Option<u16>),
    /// The node-local lock cannot be read.
    Torn,
}

impl Using {
    /// The pod in the lock.
    pub fn pod(self) -> Option<PodIx> {
        match self {
            Self::Held | Self::Left(None) => Some(UNKNOWN),
            Self::Left(Some(pod)) => Some(PodIx(pod)),
            Self::Kernel | Self::Socket | Self::Torn => None,
        }
    }
}

/// An act of a foreign actor, or of a user.
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
    /// Stops using it there.
    Leave(Ipv4Addr, NodeIx),
    /// Creates a claim that requests it.
    Ask(Ipv4Addr),
    /// Sets the pool's orphan policy: adopt (true) or report.
    Declare(bool),
}

/// An act and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActAt {
    /// Milliseconds since the start, or since the first adoption of the history was due.
    pub ms: u32,
    /// The act.
    pub act: Act,
    /// It happens while an agent adopts.
    pub meanwhile: bool,
}

impl ActAt {
    /// Its time if it counts from this moment.
    pub fn after(&self, from: Moment) -> Moment {
        from.plus(Duration::from_millis(u64::from(self.ms)))
    }
}

/// A history with orphans and a pool that adopts them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphans {
    /// The delay of the script.
    pub lead_ms: u32,
    /// Members that start at the beginning nevertheless, as bits.
    pub early: u8,
    /// Other disruptions of the cluster, at their own times.
    pub also: Vec<At>,
    /// The pool's reclaim policy is Delete.
    pub reclaim: bool,
    /// Agents die in the middle of adopting.
    pub dies: bool,
    /// The acts of others.
    pub acts: Vec<ActAt>,
}

/// First starts come before.
const FIRST_MS: u32 = 1_000;

impl Orphans {
    /// Delays the script.
    pub(super) fn lay_out(&self, script: &mut Vec<At>) {
        for at in script.iter_mut().filter(|at| !self.is_early(at)) {
            at.ms = at.ms.saturating_add(self.lead_ms);
        }
        script.extend(self.also.iter().cloned());
        script.sort_by_key(|at| at.ms);
    }

    fn is_early(&self, At { ms, disruption }: &At) -> bool {
        let early = |member: u8| self.early & 1_u8.checked_shl(u32::from(member)).unwrap_or(0) != 0;
        matches!(disruption, Disruption::Start { member, .. } if *ms < FIRST_MS && early(member.0))
    }
}
