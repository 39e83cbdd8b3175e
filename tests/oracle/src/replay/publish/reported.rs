//! An API that returns recorded responses.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use firecamp_controllers::publish::{Event, FetchedNode, ObservedStatus, StatusWriter, Subject};
use firecamp_core::agent::ResourceList;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

type Asked = (&'static str, Value);
type Answer<T> = Result<T, RegistryFailure>;

/// The responses that are left, and the requests so far.
pub(super) struct Reported(Mutex<(VecDeque<Value>, Vec<Asked>)>);

impl Reported {
    pub(super) fn new(answers: Vec<Value>) -> Self {
        Self(Mutex::new((answers.into(), Vec::new())))
    }

    pub(super) fn into_asked(self) -> Vec<Asked> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).1
    }

    /// The next response, whatever the request: requests are part of the effect.
    fn answer<T: DeserializeOwned>(&self, call: &'static str, with: &impl Serialize) -> Answer<T> {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        both.1.push((call, serde_json::to_value(with).expect("arguments have texts for keys")));
        let answer = both.0.pop_front().map(serde_json::from_value);
        let Some(Ok(answer)) = answer else {
            let detail = format!("no response to {call} was recorded here");
            let (kind, effect) = (RegistryKind::Invalid, Effect::None);
            return Err(RegistryFailure { kind, effect, detail });
        };
        answer
    }
}

impl StatusWriter for Reported {
    async fn get_node(&self, node: &NodeName) -> Answer<FetchedNode> {
        self.answer("learn", node)
    }

    async fn create_attachments(&self, it: &NodeAttachments) -> Answer<Version> {
        self.answer("create_attachments", it)
    }

    async fn replace_attachments(&self, it: &NodeAttachments) -> Answer<Version> {
        self.answer("replace_attachments", it)
    }

    async fn observed_status(&self, subject: &Subject) -> Answer<Option<ObservedStatus>> {
        self.answer("reported", subject)
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Answer<()> {
        self.answer("replace_conditions", &(subject, version, conditions))
    }

    /// The recorded call names no resource.
    async fn set_capacity(&self, node: &NodeName, capacity: &ResourceList) -> Answer<()> {
        let all: Vec<u32> = capacity.values().copied().collect();
        match all.as_slice() {
            [one] => self.answer("set_capacity", &(node, one)),
            _ => self.answer("set_capacity", &(node, capacity)),
        }
    }

    async fn post(&self, event: &Event) -> Answer<()> {
        self.answer("post", event)
    }
}
