//! An API that breaks one call as it is told to.

use firecamp_controllers::publish::{Board, Event, Learned, Reported, Subject};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};
use firecamp_testkit::sim::SimBoard;

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Well.
    Well,
    /// It fails without effect.
    Fails,
    /// It has its effect, and the answer is lost.
    Lost,
    /// Somebody has written in between.
    Conflicts,
    /// It is refused.
    Refused,
}

/// An API for one step.
#[derive(Debug)]
pub struct Shaky<'a> {
    /// What it stands for.
    pub board: &'a SimBoard,
    /// How its calls go.
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
                // It has its effect all the same.
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

impl Board for Shaky<'_> {
    async fn learn(&self, node: &NodeName) -> Result<Learned, RegistryFailure> {
        self.call(false, self.board.learn(node)).await
    }

    async fn create_attachments(&self, it: &NodeAttachments) -> Result<Version, RegistryFailure> {
        self.call(true, self.board.create_attachments(it)).await
    }

    async fn replace_attachments(&self, it: &NodeAttachments) -> Result<Version, RegistryFailure> {
        self.call(true, self.board.replace_attachments(it)).await
    }

    async fn reported(&self, subject: &Subject) -> Result<Option<Reported>, RegistryFailure> {
        self.call(false, self.board.reported(subject)).await
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        self.call(true, self.board.replace_conditions(subject, version, conditions)).await
    }

    async fn set_capacity(&self, node: &NodeName, capacity: u32) -> Result<(), RegistryFailure> {
        self.call(true, self.board.set_capacity(node, capacity)).await
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        self.call(true, self.board.post(event)).await
    }
}
