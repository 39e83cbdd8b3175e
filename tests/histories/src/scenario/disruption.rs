//! Disruptions of a cluster.

use std::time::Duration;

use firecamp_core::time::Moment;
use serde::{Deserialize, Serialize};

use crate::names::{MemberIx, NodeIx};

/// A container of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Container {
    /// The init container.
    Init,
    /// The stop container: the sidecar, or the hook while it runs.
    Stop,
    /// The member's own server.
    Main,
}

/// How a foreign actor changes an address in EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExternalReassignment {
    /// It moves the address to its own ENI, by force.
    Steal,
    /// It unassigns the address.
    Unassign,
    /// It creates an ENI with the address as its primary one; possible only while no ENI has it.
    Settle,
}

/// What another program on a node removes from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stripped {
    /// Address, rule and routes.
    Everything,
    /// Rule and routes.
    Routing,
}

/// A system that is unavailable for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outage {
    /// The registry; pods cannot be read or changed either.
    Api,
    /// EC2.
    Ec2,
    /// The metadata service of one node.
    Metadata(NodeIx),
}

/// One disruption. If its object does not exist at that time (such as a process to kill), it has no
/// effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Disruption {
    /// The member is wanted on this node: its pod is created as soon as there is none.
    Start {
        /// The member.
        member: MemberIx,
        /// The node.
        node: NodeIx,
    },
    /// The member is no longer wanted: its pod is deleted.
    Stop {
        /// The member.
        member: MemberIx,
        /// The grace period in seconds.
        grace_s: u8,
    },
    /// The member is wanted on this node: its pod is deleted, and the next one starts there.
    Move {
        /// The member.
        member: MemberIx,
        /// The node.
        node: NodeIx,
        /// The grace period in seconds.
        grace_s: u8,
    },
    /// The pod is force-deleted: it leaves the API at once, and its containers run until their
    /// kubelet notices. The successor starts on this node. After a long time the pod is a zombie.
    Force {
        /// The member.
        member: MemberIx,
        /// The node.
        node: NodeIx,
        /// How long until its kubelet notices.
        notice_ms: u32,
        /// The grace period that the kubelet then grants.
        grace_ms: u16,
    },
    /// The sandbox of a pod dies: SIGTERM for all, then init again with the same UID (F111).
    Sandbox {
        /// The member.
        member: MemberIx,
        /// Of a pod that was force-deleted, not of the live one.
        zombie: bool,
    },
    /// `kill -9`.
    Kill {
        /// The member.
        member: MemberIx,
        /// Of a pod that was force-deleted, not of the live one.
        zombie: bool,
        /// Which container.
        container: Container,
    },
    /// The runtime loses track of the stop container: its kubelet starts another one. The process
    /// keeps running and gets its SIGTERM much later.
    Orphan {
        /// The member.
        member: MemberIx,
        /// The delay of the SIGTERM.
        ms: u32,
    },
    /// A process is frozen and resumes later.
    Freeze {
        /// The member.
        member: MemberIx,
        /// Of a pod that was force-deleted, not of the live one.
        zombie: bool,
        /// Which container.
        container: Container,
        /// For this many milliseconds.
        ms: u32,
    },
    /// Power loss. The instance and its ENIs stay; the node boots after a while, or in the healing
    /// phase.
    Power {
        /// The node.
        node: NodeIx,
        /// When it boots; none: in the healing phase.
        back_ms: Option<u32>,
    },
    /// The instance is terminated and its ENIs are deleted; the node never returns.
    Terminate {
        /// The node.
        node: NodeIx,
    },
    /// The agent's process is killed; it starts again.
    KillAgent {
        /// The node.
        node: NodeIx,
    },
    /// The agent's process is frozen and resumes later.
    FreezeAgent {
        /// The node.
        node: NodeIx,
        /// For this many milliseconds.
        ms: u32,
    },
    /// A foreign actor changes the address of a member in EC2.
    ExternalReassignment {
        /// The member.
        member: MemberIx,
        /// How.
        reassignment: ExternalReassignment,
    },
    /// Foreign addresses fill the ENI of a node up to its limit.
    Fill {
        /// The node.
        node: NodeIx,
        /// For this many milliseconds.
        ms: u32,
    },
    /// A system is unavailable.
    Outage {
        /// Which system.
        system: Outage,
        /// For this many milliseconds.
        ms: u32,
    },
    /// Another program on the node of a member removes its address from the kernel.
    Strip {
        /// The member.
        member: MemberIx,
        /// On the node of a pod that was force-deleted, not of the live one.
        zombie: bool,
        /// What it removes.
        what: Stripped,
    },
    /// The next agent of a node starts before the previous one has died.
    Twin {
        /// The node.
        node: NodeIx,
        /// How long both run.
        ms: u32,
    },
    /// Each agent has a Lease of its own, so all become leaders, and nodes that are off are out of
    /// service.
    Leases {
        /// For this many milliseconds.
        ms: u32,
    },
}

impl Disruption {
    /// The number of kinds.
    pub const KINDS: usize = 18;

    /// Its kind, as an index.
    pub fn kind(&self) -> usize {
        match self {
            Self::Start { .. } => 0,
            Self::Stop { .. } => 1,
            Self::Move { .. } => 2,
            Self::Force { .. } => 3,
            Self::Sandbox { .. } => 4,
            Self::Kill { .. } => 5,
            Self::Freeze { .. } => 6,
            Self::Power { .. } => 7,
            Self::Terminate { .. } => 8,
            Self::KillAgent { .. } => 9,
            Self::FreezeAgent { .. } => 10,
            Self::ExternalReassignment { .. } => 11,
            Self::Fill { .. } => 12,
            Self::Outage { .. } => 13,
            Self::Orphan { .. } => 14,
            Self::Strip { .. } => 15,
            Self::Twin { .. } => 16,
            Self::Leases { .. } => 17,
        }
    }

    /// The name of a kind.
    pub fn kind_name(kind: usize) -> &'static str {
        const NAMES: [&str; Disruption::KINDS] = [
            "start",
            "stop",
            "move",
            "force",
            "sandbox",
            "kill",
            "freeze",
            "power",
            "terminate",
            "kill-agent",
            "freeze-agent",
            "external-reassignment",
            "fill",
            "outage",
            "orphan",
            "strip",
            "twin",
            "leases",
        ];
        NAMES.get(kind).copied().unwrap_or("unknown")
    }

    /// It starts or ends pods.
    pub fn changes_pods(&self) -> bool {
        self.is_calm() || matches!(self, Self::Force { .. })
    }

    /// The node on which it lets a pod start.
    pub fn target(&self) -> Option<NodeIx> {
        if let Self::Start { node, .. } | Self::Move { node, .. } | Self::Force { node, .. } = self
        {
            return Some(*node);
        }
        None
    }

    /// An orderly start, stop or move.
    pub fn is_calm(&self) -> bool {
        matches!(self, Self::Start { .. } | Self::Stop { .. } | Self::Move { .. })
    }
}

/// A disruption and its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct At {
    /// Milliseconds since the start.
    pub ms: u32,
    /// The disruption.
    pub disruption: Disruption,
}

impl At {
    /// Its time.
    pub fn moment(&self) -> Moment {
        Moment(Duration::from_millis(u64::from(self.ms)))
    }
}
