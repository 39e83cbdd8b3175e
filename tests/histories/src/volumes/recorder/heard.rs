//! An API and what was said with it.

use std::sync::{Mutex, PoisonError};

use firecamp_controllers::publish::{Board, Event, Learned, Reported, Subject};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{NodeName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};
use serde::Serialize;
use serde_json::Value;

/// A call with its arguments, and its answer.
type Exchange = ((&'static str, Value), Value);

/// An API whose calls and answers are kept.
pub(super) struct Heard<'a, B> {
    board: &'a B,
    said: Mutex<Vec<Exchange>>,
}

fn json(what: &impl Serialize) -> Value {
    serde_json::to_value(what).expect("what is said with an API has texts for keys")
}

impl<'a, B> Heard<'a, B> {
    pub(super) fn of(board: &'a B) -> Self {
        Self { board, said: Mutex::default() }
    }

    /// The calls, and the answers.
    pub(super) fn into_parts(self) -> (Vec<(&'static str, Value)>, Vec<Value>) {
        self.said.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().unzip()
    }

    fn keep<T: Serialize>(
        &self,
        call: &'static str,
        with: &impl Serialize,
        answer: Result<T, RegistryFailure>,
    ) -> Result<T, RegistryFailure> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push(((call, json(with)), json(&answer)));
        answer
    }
}

impl<B: Board> Board for Heard<'_, B> {
    async fn learn(&self, node: &NodeName) -> Result<Learned, RegistryFailure> {
        self.keep("learn", node, self.board.learn(node).await)
    }

    async fn create_attachments(&self, it: &NodeAttachments) -> Result<Version, RegistryFailure> {
        self.keep("create_attachments", it, self.board.create_attachments(it).await)
    }

    async fn replace_attachments(&self, it: &NodeAttachments) -> Result<Version, RegistryFailure> {
        self.keep("replace_attachments", it, self.board.replace_attachments(it).await)
    }

    async fn reported(&self, subject: &Subject) -> Result<Option<Reported>, RegistryFailure> {
        self.keep("reported", subject, self.board.reported(subject).await)
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        let answer = self.board.replace_conditions(subject, version, conditions).await;
        self.keep("replace_conditions", &(subject, version, conditions), answer)
    }

    async fn set_capacity(&self, node: &NodeName, capacity: u32) -> Result<(), RegistryFailure> {
        let answer = self.board.set_capacity(node, capacity).await;
        self.keep("set_capacity", &(node, capacity), answer)
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        self.keep("post", event, self.board.post(event).await)
    }
}
