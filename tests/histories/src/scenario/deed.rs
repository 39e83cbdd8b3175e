//! What is done to a cluster.

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

/// How a stranger takes an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Theft {
    /// Moves it to an ENI of its own, by force.
    Steal,
    /// Takes it out of EC2.
    Unassign,
    /// Creates an ENI whose primary address it is; possible only while nobody has it.
    Settle,
}

/// What of an address something else on a node removes from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stripped {
    /// Address, rule and routes.
    Everything,
    /// Rule and routes.
    Routing,
}

/// A system that goes away for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outage {
    /// The registry; with it the pods cannot be read or changed.
    Api,
    /// EC2.
    Ec2,
    /// The metadata service of one node.
    Metadata(NodeIx),
}

/// One thing that is done to the cluster. A deed for which there is no object at its time (a kill
/// of a process that does not run) does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Deed {
    /// The member is wanted on this node: its pod is created as soon as there is none.
    Start {
        /// The member.
        member: MemberIx,
        /// The node.
        node: NodeIx,
    },
    /// The member is not wanted any more: its pod is deleted.
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
    /// The pod is removed from the API at once, its containers live on until their kubelet
    /// notices; the successor starts on this node. After a long time the pod is a zombie.
    Force {
        /// The member.
        member: MemberIx,
        /// The node.
        node: NodeIx,
        /// How long its kubelet does not notice.
        notice_ms: u32,
        /// What the kubelet then gives it.
        grace_ms: u16,
    },
    /// The sandbox of a pod dies: SIGTERM for all, then init again with the same UID (F111).
    Sandbox {
        /// The member.
        member: MemberIx,
        /// Of a pod that was forced out of the API, not of the live one.
        zombie: bool,
    },
    /// `kill -9`.
    Kill {
        /// The member.
        member: MemberIx,
        /// Of a pod that was forced out of the API, not of the live one.
        zombie: bool,
        /// Which container.
        container: Container,
    },
    /// The runtime loses track of the stop container: its kubelet starts another one, and the
    /// process lives on and gets its SIGTERM much later.
    Orphan {
        /// The member.
        member: MemberIx,
        /// So much later.
        ms: u32,
    },
    /// A process is stopped and goes on later.
    Freeze {
        /// The member.
        member: MemberIx,
        /// Of a pod that was forced out of the API, not of the live one.
        zombie: bool,
        /// Which container.
        container: Container,
        /// For so many milliseconds.
        ms: u32,
    },
    /// Power loss. The instance and its ENIs stay; the node boots after a while, or not before
    /// the healing phase.
    Power {
        /// The node.
        node: NodeIx,
        /// When it boots; none: not before the healing phase.
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
    /// The agent's process is stopped and goes on later.
    FreezeAgent {
        /// The node.
        node: NodeIx,
        /// For so many milliseconds.
        ms: u32,
    },
    /// A stranger takes the address of a member in EC2.
    Thief {
        /// The member.
        member: MemberIx,
        /// How.
        theft: Theft,
    },
    /// Strangers fill the ENI of a node up to its limit.
    Fill {
        /// The node.
        node: NodeIx,
        /// For so many milliseconds.
        ms: u32,
    },
    /// A system goes away.
    Outage {
        /// Which system.
        system: Outage,
        /// For so many milliseconds.
        ms: u32,
    },
    /// Something else on the node of a member removes its address from the kernel.
    Strip {
        /// The member.
        member: MemberIx,
        /// On the node of a pod that was forced out of the API, not of the live one.
        zombie: bool,
        /// How much of it.
        what: Stripped,
    },
    /// The next agent of a node starts before the last one has died.
    Twin {
        /// The node.
        node: NodeIx,
        /// The last one dies so much later.
        ms: u32,
    },
    /// All agents hold the Lease, and take nodes that are off for gone.
    Leases {
        /// For so many milliseconds.
        ms: u32,
    },
}

impl Deed {
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
            Self::Thief { .. } => 11,
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
        const NAMES: [&str; Deed::KINDS] = [
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
            "thief",
            "fill",
            "outage",
            "orphan",
            "strip",
            "twin",
            "leases",
        ];
        NAMES.get(kind).copied().unwrap_or("unknown")
    }

    /// What a cluster in good order does to itself.
    pub fn is_calm(&self) -> bool {
        matches!(self, Self::Start { .. } | Self::Stop { .. } | Self::Move { .. })
    }
}

/// A deed and its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct At {
    /// Milliseconds since the start.
    pub ms: u32,
    /// What is done then.
    pub deed: Deed,
}

impl At {
    /// Its time.
    pub fn moment(&self) -> Moment {
        Moment(Duration::from_millis(u64::from(self.ms)))
    }
}
