//! The Kubernetes API as the publisher needs it.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::Ipv4Addr;

use firecamp_core::agent::ResourceList;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, NodeName, ResourceName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};

use crate::publish::event::Event;

/// What the publisher reads about the node before it writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FetchedNode {
    /// The UID of the Node; none if it does not exist.
    pub node: Option<String>,
    /// Its current capacity of each extended resource of pools.
    pub capacity: BTreeMap<ResourceName, String>,
    /// Its `NodeAttachments`, with the version in its metadata; none if there is none.
    pub attachments: Option<NodeAttachments>,
}

/// An object, beside the node, whose conditions the publisher writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Subject {
    /// A static IP.
    StaticIp(Ipv4Addr),
    /// The claim of a member.
    Claim(Member),
}

/// What the publisher reads of a subject before it writes the status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedStatus {
    /// Its version.
    pub version: Version,
    /// The generation of its spec.
    pub generation: Option<u64>,
    /// The epoch of its spec; zero for a claim.
    pub epoch: u64,
    /// The node that its attachment names; none for a claim.
    pub node: Option<String>,
    /// The conditions of its status.
    pub conditions: Vec<Condition>,
}

/// The Kubernetes API. Each call is one attempt, bounded in time; the failure of a write tells
/// whether the write may have taken effect.
pub trait StatusWriter: Send + Sync {
    /// The node and its `NodeAttachments`.
    fn get_node(
        &self,
        node: &NodeName,
    ) -> impl Future<Output = Result<FetchedNode, RegistryFailure>> + Send;

    /// Creates the `NodeAttachments` of a node that has none, without its status.
    fn create_attachments(
        &self,
        object: &NodeAttachments,
    ) -> impl Future<Output = Result<Version, RegistryFailure>> + Send;

    /// Replaces the status if the object still has the version in its metadata.
    fn replace_attachments(
        &self,
        object: &NodeAttachments,
    ) -> impl Future<Output = Result<Version, RegistryFailure>> + Send;

    /// The status of a subject; none if it does not exist.
    fn observed_status(
        &self,
        subject: &Subject,
    ) -> impl Future<Output = Result<Option<ObservedStatus>, RegistryFailure>> + Send;

    /// Replaces the conditions if the subject still has this version.
    fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> impl Future<Output = Result<(), RegistryFailure>> + Send;

    /// Sets the node's capacity of these extended resources, all or none. The kubelet makes it
    /// allocatable.
    fn set_capacity(
        &self,
        node: &NodeName,
        capacity: &ResourceList,
    ) -> impl Future<Output = Result<(), RegistryFailure>> + Send;

    /// Creates an Event. One that exists already counts as created.
    fn post(&self, event: &Event) -> impl Future<Output = Result<(), RegistryFailure>> + Send;
}
