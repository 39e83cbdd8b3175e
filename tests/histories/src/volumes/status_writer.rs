//! An API with faults.

use firecamp_controllers::publish::{Event, FetchedNode, ObservedStatus, StatusWriter, Subject};
use firecamp_core::agent::ResourceList;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};
use firecamp_testkit::sim::SimStatusWriter;

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It succeeds.
    Well,
    /// It fails without effect.
    Fails,
    /// It takes effect, and the answer is lost.
    Lost,
    /// A concurrent write causes a conflict.
    Conflicts,
    /// It is refused.
    Refused,
}

/// An API for one step.
#[derive(Debug)]
pub struct Shaky<'a> {
    /// The wrapped API.
    pub status_writer: &'a SimStatusWriter,
    /// The result of its calls.
    pub how: How,
}

impl Shaky<'_> {
    async fn call<T>(
        &self,
        write: bool,
        call: impl Future<Output = Result<T, RegistryFailure>>,
    ) -> Result<T, RegistryFailure> {
        let (kind, effect) = match self.how {
            How::Lost if write => {
                // It takes effect all the same.
                drop(call.await);
                (RegistryKind::Unavailable, Effect::Unknown)
            }
            How::Fails => (RegistryKind::Unavailable, Effect::None),
            How::Conflicts if write => (RegistryKind::Conflict, Effect::None),
            How::Refused if write => (RegistryKind::Refused, Effect::None),
            How::Well | How::Lost | How::Conflicts | How::Refused => return call.await,
        };
        Err(RegistryFailure { kind, effect, detail: format!("{:?}", self.how) })
    }
}

impl StatusWriter for Shaky<'_> {
    async fn get_node(&self, node: &NodeName) -> Result<FetchedNode, RegistryFailure> {
        self.call(false, self.status_writer.get_node(node)).await
    }

    async fn create_attachments(&self, it: &NodeAttachments) -> Result<Version, RegistryFailure> {
        self.call(true, self.status_writer.create_attachments(it)).await
    }

    async fn replace_attachments(&self, it: &NodeAttachments) -> Result<Version, RegistryFailure> {
        self.call(true, self.status_writer.replace_attachments(it)).await
    }

    async fn observed_status(
        &self,
        subject: &Subject,
    ) -> Result<Option<ObservedStatus>, RegistryFailure> {
        self.call(false, self.status_writer.observed_status(subject)).await
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        self.call(true, self.status_writer.replace_conditions(subject, version, conditions)).await
    }

    async fn set_capacity(
        &self,
        node: &NodeName,
        capacity: &ResourceList,
    ) -> Result<(), RegistryFailure> {
        self.call(true, self.status_writer.set_capacity(node, capacity)).await
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        self.call(true, self.status_writer.post(event)).await
    }
}
