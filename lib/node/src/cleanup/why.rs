//! Why something stays.

use std::fmt;

use firecamp_core::contract::exit::Cleaned;
use firecamp_core::ids::PodUid;
use firecamp_core::outside::SocketUse;

/// Why something of ours stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The node's agent keeps it, or will collect it.
    AgentRuns,
    /// Sockets use the address.
    Sockets(SocketUse),
    /// A pod that lives on this node holds the address.
    Pod(PodUid, String),
    /// A rule that stays looks the route's table up.
    Table(u32),
    /// It should have gone, and somebody has acted on it meanwhile, or has refused it.
    Changed,
    /// Nobody could read the sockets of the address.
    SocketsNotRead(String),
    /// Whether the pod that holds it lives is not known.
    PodNotKnown(PodUid, String),
    /// Neither the node's lock nor the registry says whose it is.
    HolderNotKnown(String),
    /// No lock of this node is its, and each address that is put there has one.
    NoLock,
    /// The lock has only a piece of a record.
    TornRecord,
    /// Another version wrote the lock's record.
    OtherVersion(String),
    /// This version makes nothing of this shape.
    OtherShape,
}

impl Why {
    /// One stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AgentRuns => "AgentRuns",
            Self::Sockets(_) => "SocketsInUse",
            Self::Pod(..) => "PodLives",
            Self::Table(_) => "TableInUse",
            Self::Changed => "Changed",
            Self::SocketsNotRead(_) => "SocketsNotRead",
            Self::PodNotKnown(..) => "PodNotKnown",
            Self::HolderNotKnown(_) => "HolderNotKnown",
            Self::NoLock => "NoLock",
            Self::TornRecord => "TornRecord",
            Self::OtherVersion(_) => "OtherVersion",
            Self::OtherShape => "OtherShape",
        }
    }

    /// How a clean-up ends that leaves something for this.
    pub fn end(&self) -> Cleaned {
        match self {
            Self::AgentRuns | Self::Sockets(_) | Self::Pod(..) | Self::Table(_) => Cleaned::InUse,
            Self::Changed
            | Self::SocketsNotRead(_)
            | Self::PodNotKnown(..)
            | Self::HolderNotKnown(_)
            | Self::NoLock
            | Self::TornRecord
            | Self::OtherVersion(_)
            | Self::OtherShape => Cleaned::NotKnown,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentRuns => {
                write!(f, "an agent runs on this node, and keeps or collects it: remove it first")
            }
            Self::Sockets(used) => write!(f, "it is used by {used}"),
            Self::Pod(uid, name) => write!(f, "pod {name} ({uid}) lives on this node"),
            Self::Table(table) => write!(f, "a rule that stays looks up table {table}"),
            Self::Changed => write!(f, "it changed since it was looked at: run it again"),
            Self::SocketsNotRead(why) => write!(f, "its sockets cannot be read: {why}"),
            Self::PodNotKnown(uid, why) => {
                write!(f, "pod {uid} holds it, and whether that lives is not known: {why}")
            }
            Self::HolderNotKnown(why) => {
                write!(
                    f,
                    "this node's lock does not know who holds it, nor does the registry: {why}"
                )
            }
            Self::NoLock => write!(
                f,
                "it has no lock in the directory of locks: give the one that the members use \
                 (--run-dir)"
            ),
            Self::TornRecord => write!(f, "the lock's record of who holds it is torn"),
            Self::OtherVersion(why) => write!(f, "another version of FireCamp holds it: {why}"),
            Self::OtherShape => write!(f, "this version of FireCamp makes nothing like it"),
        }
    }
}
