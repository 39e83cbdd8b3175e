//! A status writer with injected faults.

use firecamp_controllers::publish::{Event, FetchedNode, ObservedStatus, StatusWriter, Subject};
use firecamp_core::agent::ResourceList;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};

use crate::sim::script::{Op, Script};

/// Wraps any status writer and injects the faults of a script.
#[derive(Debug, Clone)]
pub struct FaultyStatusWriter<B> {
    inner: B,
    script: Script,
}

impl<B> FaultyStatusWriter<B> {
    /// Wraps a status writer.
    pub fn new(inner: B, script: Script) -> Self {
        Self { inner, script }
    }
}

fn broken(op: Op) -> impl Fn(bool) -> RegistryFailure {
    move |unknown| RegistryFailure {
        kind: RegistryKind::Unavailable,
        effect: if unknown { Effect::Unknown } else { Effect::None },
        detail: format!("{op:?}: fault injected by the script"),
    }
}

impl<B: StatusWriter> StatusWriter for FaultyStatusWriter<B> {
    async fn get_node(&self, node: &NodeName) -> Result<FetchedNode, RegistryFailure> {
        self.script.around(Op::Get, || self.inner.get_node(node), broken(Op::Get)).await
    }

    async fn create_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        let op = Op::CreateAttachments;
        self.script.around(op, || self.inner.create_attachments(object), broken(op)).await
    }

    async fn replace_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        let op = Op::ReplaceAttachments;
        self.script.around(op, || self.inner.replace_attachments(object), broken(op)).await
    }

    async fn observed_status(
        &self,
        subject: &Subject,
    ) -> Result<Option<ObservedStatus>, RegistryFailure> {
        let op = Op::ReadConditions;
        self.script.around(op, || self.inner.observed_status(subject), broken(op)).await
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        let op = Op::ReplaceConditions;
        let call = || self.inner.replace_conditions(subject, version, conditions);
        self.script.around(op, call, broken(op)).await
    }

    async fn set_capacity(
        &self,
        node: &NodeName,
        capacity: &ResourceList,
    ) -> Result<(), RegistryFailure> {
        let op = Op::SetCapacity;
        self.script.around(op, || self.inner.set_capacity(node, capacity), broken(op)).await
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        self.script.around(Op::Post, || self.inner.post(event), broken(Op::Post)).await
    }
}
