//! An API whose calls are recorded.

use std::sync::{Mutex, PoisonError};

use firecamp_controllers::publish::{Event, FetchedNode, ObservedStatus, StatusWriter, Subject};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{NodeName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};
use serde::Serialize;
use serde_json::Value;

/// A call with its arguments, and its answer.
type Exchange = ((&'static str, Value), Value);

/// An API that records its calls and answers.
pub(super) struct RecordingStatusWriter<'a, B> {
    status_writer: &'a B,
    exchanges: Mutex<Vec<Exchange>>,
}

fn json(what: &impl Serialize) -> Value {
    serde_json::to_value(what).expect("recorded maps have string keys")
}

impl<'a, B> RecordingStatusWriter<'a, B> {
    pub(super) fn of(status_writer: &'a B) -> Self {
        Self { status_writer, exchanges: Mutex::default() }
    }

    /// The calls, and the answers.
    pub(super) fn into_parts(self) -> (Vec<(&'static str, Value)>, Vec<Value>) {
        self.exchanges.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().unzip()
    }

    fn record<T: Serialize>(
        &self,
        call: &'static str,
        with: &impl Serialize,
        answer: Result<T, RegistryFailure>,
    ) -> Result<T, RegistryFailure> {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.push(((call, json(with)), json(&answer)));
        answer
    }
}

impl<B: StatusWriter> StatusWriter for RecordingStatusWriter<'_, B> {
    async fn get_node(&self, node: &NodeName) -> Result<FetchedNode, RegistryFailure> {
        self.record("learn", node, self.status_writer.get_node(node).await)
    }

    async fn create_attachments(&self, it: &NodeAttachments) -> Result<Version, RegistryFailure> {
        self.record("create_attachments", it, self.status_writer.create_attachments(it).await)
    }

    async fn replace_attachments(&self, it: &NodeAttachments) -> Result<Version, RegistryFailure> {
        self.record("replace_attachments", it, self.status_writer.replace_attachments(it).await)
    }

    async fn observed_status(
        &self,
        subject: &Subject,
    ) -> Result<Option<ObservedStatus>, RegistryFailure> {
        self.record("reported", subject, self.status_writer.observed_status(subject).await)
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        let answer = self.status_writer.replace_conditions(subject, version, conditions).await;
        self.record("replace_conditions", &(subject, version, conditions), answer)
    }

    async fn set_capacity(&self, node: &NodeName, capacity: u32) -> Result<(), RegistryFailure> {
        let answer = self.status_writer.set_capacity(node, capacity).await;
        self.record("set_capacity", &(node, capacity), answer)
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        self.record("post", event, self.status_writer.post(event).await)
    }
}
