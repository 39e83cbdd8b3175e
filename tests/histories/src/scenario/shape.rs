//! The initial state of a cluster.

use std::time::Duration;

use firecamp_core::record::ReleasePolicy;
use serde::{Deserialize, Serialize};

use crate::names::PodIx;

/// How a stop container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopKind {
    /// As a native sidecar: it fixes its epoch at its start and acts on SIGTERM, after the main
    /// container has ended.
    Sidecar,
    /// As the preStop hook of the main container: it runs before that container's SIGTERM.
    Hook,
}

/// Which pods ask their node's agent instead of changing their address themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Endpoint {
    /// None of them.
    Unused,
    /// Every second one that is created: StatefulSets move to the endpoint and back.
    Mixed,
    /// All of them.
    Used,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// 3 to 5 nodes.
    pub nodes: u8,
    /// 2 to 4 members.
    pub members: u8,
    /// Addresses in the pool: at least one for each member.
    pub pool: u8,
    /// A release takes the address out of EC2.
    pub unassign: bool,
    /// Addresses are assigned to the second ENI of a node, which needs policy routing.
    pub secondary: bool,
    /// How the stop container runs.
    pub stop: StopKind,
    /// The deadline of an init container, in seconds.
    pub deadline_s: u16,
    /// How long an init container waits for a predecessor on its node, in milliseconds.
    pub predecessor_ms: u16,
    /// EC2's limit of IPv4 addresses on one ENI, the primary one included.
    pub eni_limit: u8,
    /// Every node has an agent.
    pub agents: bool,
    /// Agents see the registry through watches, and continue with cached state during an outage.
    pub watches: bool,
    /// Which pods ask their node's agent.
    pub endpoint: Endpoint,
}

impl Shape {
    /// Whether the containers of this pod ask their node's agent.
    pub fn asks_agent(&self, pod: PodIx) -> bool {
        match self.endpoint {
            Endpoint::Unused => false,
            Endpoint::Mixed => pod.0 % 2 == 1,
            Endpoint::Used => true,
        }
    }

    /// The release policy of the pool.
    pub fn policy(&self) -> ReleasePolicy {
        if self.unassign { ReleasePolicy::Unassign } else { ReleasePolicy::Keep }
    }

    /// The slot of the ENI that carries the addresses.
    pub fn slot(&self) -> u8 {
        u8::from(self.secondary)
    }

    /// The deadline of an init container.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(u64::from(self.deadline_s))
    }

    /// How long an init container waits for a predecessor on its node.
    pub fn predecessor_grace(&self) -> Duration {
        Duration::from_millis(u64::from(self.predecessor_ms))
    }
}
