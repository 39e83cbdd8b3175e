//! The API, as far as it is written to here.

use std::future::Future;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, NodeName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};

use crate::publish::event::Event;

/// What is read of the node before anything is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Learned {
    /// The UID of the Node; none if it does not exist.
    pub node: Option<String>,
    /// Its capacity of the extended resource, as it stands there.
    pub capacity: Option<String>,
    /// Its `NodeAttachments`, with the version in its metadata; none if there is none.
    pub attachments: Option<NodeAttachments>,
}

/// Of what conditions are said, beside the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Subject {
    /// A static IP.
    StaticIp(Ipv4Addr),
    /// The claim of a member.
    Claim(Member),
}

/// What is read of a subject before its status is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reported {
    /// The version.
    pub version: Version,
    /// The generation of its spec.
    pub generation: Option<u64>,
    /// The epoch of its spec; of a claim zero.
    pub epoch: u64,
    /// The node that its attachment names; of a claim none.
    pub node: Option<String>,
    /// The conditions of its status.
    pub conditions: Vec<Condition>,
}

/// The API. One attempt each, bounded in time; a failed write says whether it may have had its
/// effect.
pub trait Board: Send + Sync {
    /// The node and its `NodeAttachments`.
    fn learn(
        &self,
        node: &NodeName,
    ) -> impl Future<Output = Result<Learned, RegistryFailure>> + Send;

    /// Creates the `NodeAttachments` of a node that has none, without its status.
    fn create_attachments(
        &self,
        object: &NodeAttachments,
    ) -> impl Future<Output = Result<Version, RegistryFailure>> + Send;

    /// Replaces the status of the version that the object's metadata names.
    fn replace_attachments(
        &self,
        object: &NodeAttachments,
    ) -> impl Future<Output = Result<Version, RegistryFailure>> + Send;

    /// What is said of a subject, or none if it does not exist.
    fn reported(
        &self,
        subject: &Subject,
    ) -> impl Future<Output = Result<Option<Reported>, RegistryFailure>> + Send;

    /// Replaces the conditions of this version of it.
    fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> impl Future<Output = Result<(), RegistryFailure>> + Send;

    /// Sets the node's capacity of the extended resource. The kubelet makes it allocatable.
    fn set_capacity(
        &self,
        node: &NodeName,
        capacity: u32,
    ) -> impl Future<Output = Result<(), RegistryFailure>> + Send;

    /// Writes an Event. One that is there already was written.
    fn post(&self, event: &Event) -> impl Future<Output = Result<(), RegistryFailure>> + Send;
}
