//! What there is to do, and what it came to.

use std::net::Ipv4Addr;

use firecamp_core::ids::{Member, Version};
use firecamp_core::record::StaticIp;
use firecamp_registry::api::{Condition, NodeAttachments};

use crate::publish::claim::Saying;
use crate::publish::event::Event;
use crate::publish::outside::Learned;

/// One thing to do in the API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Step {
    /// Read the node and its `NodeAttachments`.
    Learn,
    /// Create the `NodeAttachments`.
    Create(Box<NodeAttachments>),
    /// Replace the status of the `NodeAttachments`.
    Replace(Box<NodeAttachments>),
    /// Say something of a static IP, if its record is still this one.
    Say {
        /// The record that it is said of.
        record: Box<StaticIp>,
        /// What is said, without times.
        conditions: Vec<Condition>,
        /// The time, if a status changes by it.
        wall: String,
    },
    /// Say of a member's claim whether its pod has its volumes.
    SayOfClaim {
        /// The member.
        member: Member,
        /// What is said.
        saying: Saying,
        /// The time, if a status changes by it.
        wall: String,
    },
    /// Set the node's capacity.
    Capacity(u32),
    /// Write an Event.
    Tell(Event),
}

impl Step {
    /// Its name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Learn => "learn",
            Self::Create(_) => "create",
            Self::Replace(_) => "replace",
            Self::Say { .. } => "say",
            Self::SayOfClaim { .. } => "say-of-claim",
            Self::Capacity(_) => "capacity",
            Self::Tell(_) => "tell",
        }
    }

    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Learn => Target::Learn,
            Self::Create(_) | Self::Replace(_) => Target::Attachments,
            Self::Say { record, .. } => Target::Address(record.address),
            Self::SayOfClaim { member, .. } => Target::Claim(member.clone()),
            Self::Capacity(_) => Target::Capacity,
            Self::Tell(_) => Target::Event,
        }
    }
}

/// What a step that went well came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Done {
    /// What was read.
    Learned(Box<Learned>),
    /// The version that was written.
    Written(Version),
    /// It was written.
    Well,
    /// There was nothing to write: it stands there already, or the record has moved on.
    Nothing,
}

/// What fails and is tried again on its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The API as a whole.
    Api,
    Learn,
    Attachments,
    Address(Ipv4Addr),
    Claim(Member),
    Capacity,
    Event,
}
