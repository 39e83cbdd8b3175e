//! Why an object stays.

use std::fmt;

use firecamp_core::contract::exit::Cleaned;
use firecamp_core::ids::PodUid;
use firecamp_core::ports::SocketUse;

/// Why an object of FireCamp stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The node's agent maintains it or will remove it.
    AgentRuns,
    /// Sockets use the address.
    Sockets(SocketUse),
    /// A pod that lives on this node holds the address.
    Pod(PodUid, String),
    /// A rule that stays looks the route's table up.
    Table(u32),
    /// Another object stays, for which it may be needed.
    Needed,
    /// It changed before its removal, or its removal was rejected.
    Changed,
    /// The sockets of the address could not be read.
    SocketsNotRead(String),
    /// Whether the pod that holds it is alive is unknown.
    PodNotKnown(PodUid, String),
    /// Neither the node's lock nor the registry shows its holder.
    HolderNotKnown(String),
    /// It has no lock, although FireCamp creates one for each address.
    NoLock,
    /// The record of its lock is truncated.
    TornRecord,
    /// Another version wrote the lock's record.
    OtherVersion(String),
    /// This version creates no such object.
    OtherShape,
}

impl Why {
    /// The public, stable name of the reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AgentRuns => "AgentRuns",
            Self::Sockets(_) => "SocketsInUse",
            Self::Pod(..) => "PodLives",
            Self::Table(_) => "TableInUse",
            Self::Needed => "Needed",
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

    /// The result of a clean-up that keeps an object for this reason.
    pub fn end(&self) -> Cleaned {
        match self {
            Self::AgentRuns | Self::Sockets(_) | Self::Pod(..) | Self::Table(_) | Self::Needed => {
                Cleaned::InUse
            }
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
                write!(f, "an agent runs on this node and maintains it: remove the agent first")
            }
            Self::Sockets(used) => write!(f, "it is used by {used}"),
            Self::Pod(uid, name) => write!(f, "pod {name} ({uid}) on this node holds it"),
            Self::Table(table) => write!(f, "a remaining rule looks up table {table}"),
            Self::Needed => write!(f, "another object stays, for which it may be needed"),
            Self::Changed => write!(f, "it changed during the clean-up: run the clean-up again"),
            Self::SocketsNotRead(why) => write!(f, "failed to read its sockets: {why}"),
            Self::PodNotKnown(uid, why) => {
                write!(f, "pod {uid} holds it, and whether the pod is alive is unknown: {why}")
            }
            Self::HolderNotKnown(why) => {
                write!(f, "neither this node's lock nor the registry shows its holder: {why}")
            }
            Self::NoLock => write!(
                f,
                "it has no lock in the lock directory: set --run-dir to the directory that the \
                 members use"
            ),
            Self::TornRecord => write!(f, "the record of its lock is truncated"),
            Self::OtherVersion(why) => write!(f, "another version of FireCamp holds it: {why}"),
            Self::OtherShape => write!(f, "this version of FireCamp creates no such object"),
        }
    }
}
