//! The steps of the publisher and their results.

use std::net::Ipv4Addr;

use firecamp_core::agent::ResourceList;
use firecamp_core::ids::{Member, Version};
use firecamp_core::record::StaticIp;
use firecamp_registry::api::{Condition, NodeAttachments};

use crate::publish::event::Event;
use crate::publish::ports::FetchedNode;
use crate::publish::volume_ready_condition::VolumeReport;

/// One request to the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Step {
    /// Read the node and its `NodeAttachments`.
    Get,
    /// Create the `NodeAttachments`.
    Create(Box<NodeAttachments>),
    /// Replace the status of the `NodeAttachments`.
    Update(Box<NodeAttachments>),
    /// Update the conditions of a static IP, if its record is still this one.
    UpdateStatus {
        /// The record that the conditions describe.
        record: Box<StaticIp>,
        /// The conditions, without times.
        conditions: Vec<Condition>,
        /// The transition time of a status that changes (RFC 3339).
        timestamp: String,
    },
    /// Update the condition `VolumeReady` of a member's claim.
    UpdateClaimStatus {
        /// The member.
        member: Member,
        /// The report.
        report: VolumeReport,
        /// The transition time of a status that changes (RFC 3339).
        timestamp: String,
    },
    /// Set the node's capacity of these extended resources in one request, so that a slot whose
    /// resource changes is never offered twice.
    UpdateCapacity(ResourceList),
    /// Create an Event.
    EmitEvent(Event),
}

impl Step {
    /// Its name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create(_) => "create",
            Self::Update(_) => "update",
            Self::UpdateStatus { .. } => "update-status",
            Self::UpdateClaimStatus { .. } => "update-claim-status",
            Self::UpdateCapacity(_) => "update-capacity",
            Self::EmitEvent(_) => "event",
        }
    }

    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Get => Target::Get,
            Self::Create(_) | Self::Update(_) => Target::Attachments,
            Self::UpdateStatus { record, .. } => Target::Address(record.address),
            Self::UpdateClaimStatus { member, .. } => Target::Claim(member.clone()),
            Self::UpdateCapacity(_) => Target::UpdateCapacity,
            Self::EmitEvent(_) => Target::Event,
        }
    }
}

/// The result of a successful step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Done {
    /// The node was read.
    FetchedNode(Box<FetchedNode>),
    /// The object was written with this version.
    Written(Version),
    /// The request succeeded.
    Success,
    /// Nothing was written: the status is current, or the record has changed since.
    Nothing,
}

/// What has its own backoff.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The API as a whole.
    Api,
    Get,
    Attachments,
    Address(Ipv4Addr),
    Claim(Member),
    UpdateCapacity,
    Event,
}
