//! What is published, broken on purpose.

use firecamp_controllers::publish::{Board, Event, Learned, Reported, Subject};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};

use crate::sim::script::{Op, Script};

/// Any board, broken where the script says so.
#[derive(Debug, Clone)]
pub struct FaultyBoard<B> {
    inner: B,
    script: Script,
}

impl<B> FaultyBoard<B> {
    /// Wraps a board.
    pub fn new(inner: B, script: Script) -> Self {
        Self { inner, script }
    }
}

fn broken(op: Op) -> impl Fn(bool) -> RegistryFailure {
    move |unknown| RegistryFailure {
        kind: RegistryKind::Unavailable,
        effect: if unknown { Effect::Unknown } else { Effect::None },
        detail: format!("{op:?} broken by the script"),
    }
}

impl<B: Board> Board for FaultyBoard<B> {
    async fn learn(&self, node: &NodeName) -> Result<Learned, RegistryFailure> {
        self.script.around(Op::Learn, || self.inner.learn(node), broken(Op::Learn)).await
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

    async fn reported(&self, subject: &Subject) -> Result<Option<Reported>, RegistryFailure> {
        let op = Op::ReadConditions;
        self.script.around(op, || self.inner.reported(subject), broken(op)).await
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

    async fn set_capacity(&self, node: &NodeName, capacity: u32) -> Result<(), RegistryFailure> {
        let op = Op::SetCapacity;
        self.script.around(op, || self.inner.set_capacity(node, capacity), broken(op)).await
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        self.script.around(Op::Post, || self.inner.post(event), broken(Op::Post)).await
    }
}
