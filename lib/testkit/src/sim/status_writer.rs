//! The status that agents publish, in memory: versions, statuses and Events as in an API server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use firecamp_controllers::publish::{Event, FetchedNode, ObservedStatus, StatusWriter, Subject};
use firecamp_core::agent::ResourceList;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName, ResourceName, Version};
use firecamp_core::record::StaticIp;
use firecamp_registry::api::{Condition, NodeAttachments, NodeAttachmentsStatus};

/// An API in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimStatusWriter {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    node: FetchedNode,
    subjects: BTreeMap<Subject, ObservedStatus>,
    posted: Posted,
    events: Vec<Event>,
    refuses_events: bool,
}

/// The number of API requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Posted {
    /// Reads.
    pub reads: u32,
    /// Writes of `NodeAttachments`.
    pub attachments: u32,
    /// Writes of conditions.
    pub conditions: u32,
    /// Writes of the capacity.
    pub capacity: u32,
    /// Events.
    pub events: u32,
}

impl Posted {
    /// All writes.
    pub fn writes(&self) -> u32 {
        self.attachments + self.conditions + self.capacity + self.events
    }
}

fn refused(kind: RegistryKind, what: &str) -> RegistryFailure {
    RegistryFailure { kind, effect: Effect::None, detail: what.to_owned() }
}

impl State {
    fn next(&mut self) -> Version {
        self.version += 1;
        version(self.version)
    }
}

fn version(number: u64) -> Version {
    Version::new(&number.to_string()).unwrap_or_else(|never| unreachable!("{never}"))
}

impl SimStatusWriter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the Node.
    pub fn add_node(&self, uid: &str) {
        self.state().node.node = Some(uid.to_owned());
    }

    /// Creates or replaces the spec of a static IP, from its record.
    pub fn set_static_ip(&self, record: &StaticIp) {
        let node = record.attachment.as_ref().map(|a| a.node.to_string());
        self.set_spec(Subject::StaticIp(record.address), (record.epoch.0, node));
    }

    /// Creates or replaces the spec of a claim.
    pub fn set_claim(&self, member: &Member) {
        self.set_spec(Subject::Claim(member.clone()), (0, None));
    }

    fn set_spec(&self, subject: Subject, (epoch, node): (u64, Option<String>)) {
        let mut state = self.state();
        let version = state.next();
        let before = state.subjects.remove(&subject);
        let generation = before.as_ref().and_then(|before| before.generation).unwrap_or_default();
        let conditions = before.map(|before| before.conditions).unwrap_or_default();
        let generation = Some(generation + 1);
        state
            .subjects
            .insert(subject, ObservedStatus { version, generation, epoch, node, conditions });
    }

    /// Deletes the Node.
    pub fn remove_node(&self) {
        self.state().node.node = None;
    }

    /// Another writer replaces the conditions of a subject.
    pub fn set_conditions(&self, subject: &Subject, conditions: Vec<Condition>) {
        let mut state = self.state();
        let version = state.next();
        if let Some(there) = state.subjects.get_mut(subject) {
            there.version = version;
            there.conditions = conditions;
        }
    }

    /// From now on Events are refused.
    pub fn refuse_events(&self) {
        self.state().refuses_events = true;
    }

    /// Another writer changes the node's capacity of a resource.
    pub fn change_capacity(&self, resource: &ResourceName, capacity: &str) {
        self.state().node.capacity.insert(resource.clone(), capacity.to_owned());
    }

    /// Another writer deletes the published attachments.
    pub fn delete_attachments(&self) {
        self.state().node.attachments = None;
    }

    /// The published attachments of the node.
    pub fn attachments(&self) -> Option<NodeAttachments> {
        self.state().node.attachments.clone()
    }

    /// The node's capacity of the default resource.
    pub fn capacity(&self) -> Option<String> {
        self.capacities().remove(&ResourceName::default())
    }

    /// The node's capacity of each resource.
    pub fn capacities(&self) -> BTreeMap<ResourceName, String> {
        self.state().node.capacity.clone()
    }

    /// The conditions of a subject.
    pub fn conditions(&self, subject: &Subject) -> Vec<Condition> {
        self.state().subjects.get(subject).map(|one| one.conditions.clone()).unwrap_or_default()
    }

    /// The Events.
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// The number of requests so far.
    pub fn posted(&self) -> Posted {
        self.state().posted
    }
}

impl StatusWriter for SimStatusWriter {
    async fn get_node(&self, _node: &NodeName) -> Result<FetchedNode, RegistryFailure> {
        let mut state = self.state();
        state.posted.reads += 2;
        Ok(state.node.clone())
    }

    async fn create_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        let mut state = self.state();
        state.posted.attachments += 1;
        if state.node.attachments.is_some() {
            return Err(refused(RegistryKind::AlreadyExists, "the object already exists"));
        }
        let version = state.next();
        let mut object = object.clone();
        // A create ignores the status.
        object.status = NodeAttachmentsStatus::default();
        object.metadata.resource_version = Some(version.to_string());
        state.node.attachments = Some(object);
        Ok(version)
    }

    async fn replace_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        let mut state = self.state();
        state.posted.attachments += 1;
        let Some(there) = &state.node.attachments else {
            return Err(refused(RegistryKind::NotFound, "the object does not exist"));
        };
        if there.metadata.resource_version != object.metadata.resource_version {
            return Err(refused(RegistryKind::Conflict, "the object has been modified"));
        }
        let version = state.next();
        let mut object = object.clone();
        object.metadata.resource_version = Some(version.to_string());
        state.node.attachments = Some(object);
        Ok(version)
    }

    async fn observed_status(
        &self,
        subject: &Subject,
    ) -> Result<Option<ObservedStatus>, RegistryFailure> {
        let mut state = self.state();
        state.posted.reads += 1;
        Ok(state.subjects.get(subject).cloned())
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        let mut state = self.state();
        state.posted.conditions += 1;
        let next = state.next();
        let Some(there) = state.subjects.get_mut(subject) else {
            return Err(refused(RegistryKind::NotFound, "the object does not exist"));
        };
        if there.version != *version {
            return Err(refused(RegistryKind::Conflict, "the object has been modified"));
        }
        there.version = next;
        there.conditions = conditions.to_vec();
        Ok(())
    }

    async fn set_capacity(
        &self,
        _node: &NodeName,
        capacity: &ResourceList,
    ) -> Result<(), RegistryFailure> {
        let mut state = self.state();
        state.posted.capacity += 1;
        if state.node.node.is_none() {
            return Err(refused(RegistryKind::NotFound, "the node does not exist"));
        }
        let texts = capacity.iter().map(|(name, amount)| (name.clone(), amount.to_string()));
        state.node.capacity.extend(texts);
        Ok(())
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        let mut state = self.state();
        state.posted.events += 1;
        if state.refuses_events {
            return Err(refused(RegistryKind::Refused, "writing Events is forbidden"));
        }
        state.events.push(event.clone());
        Ok(())
    }
}
