//! When the `NodeAttachments` of the node are written: once their status is stable, not too often,
//! and only if it differs from the published one.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::agent::ResourceList;
use firecamp_core::ids::{NodeName, ResourceName, Version};
use firecamp_core::time::Moment;
use firecamp_registry::api::{NodeAttachments, NodeAttachmentsStatus};

use crate::publish::address_status::SETTLE;
use crate::publish::ports::FetchedNode;
use crate::publish::request::{Done, Step};

/// A status that keeps changing is written after this long even though it is not stable.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// The minimum interval between two writes of `NodeAttachments`.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// The node is read again after this long, because others may have changed it.
const REFRESH_EVERY: Duration = Duration::from_mins(5);

/// The publisher's knowledge of the API objects.
#[derive(Debug, Clone, Default)]
struct Known {
    at: Moment,
    uid: Option<String>,
    capacity: BTreeMap<ResourceName, String>,
    version: Option<Version>,
}

/// A status that is to be written: since when it differs from the published one, and since when it
/// is unchanged.
#[derive(Debug, Clone)]
struct Pending {
    since: Moment,
    stands: Moment,
    timestamp: String,
}

/// The published status of the node, and the next one.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttachmentsUpdate {
    known: Option<Known>,
    pub(crate) published: NodeAttachmentsStatus,
    wanted: NodeAttachmentsStatus,
    pending: Option<Pending>,
    written: Option<Moment>,
}

impl AttachmentsUpdate {
    /// Whether the node must be read before anything is written.
    pub(crate) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// The object that is to be published.
    pub(crate) fn object(&self, node: &NodeName) -> NodeAttachments {
        let uid = self.known.as_ref().and_then(|known| known.uid.as_deref());
        NodeAttachments::new(node.as_str(), uid, self.wanted.clone())
    }

    /// The time of a status that is evaluated now. A pending status keeps its time, so that a late
    /// write does not change it.
    pub(crate) fn timestamp(&self, now: &str) -> String {
        self.pending.as_ref().map_or(now, |pending| &pending.timestamp).to_owned()
    }

    /// Sets the status that is to be published, with its time.
    pub(crate) fn want(&mut self, wanted: NodeAttachmentsStatus, now: Moment, timestamp: String) {
        if wanted == self.published {
            self.pending = None;
        } else {
            let new = Pending { since: now, stands: now, timestamp };
            let pending = self.pending.get_or_insert(new);
            if wanted != self.wanted {
                pending.stands = now;
            }
        }
        self.wanted = wanted;
    }

    /// The resources of which the Node has a capacity.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &ResourceName> {
        self.known.iter().flat_map(|known| known.capacity.keys())
    }

    /// The part of the capacity that the Node, if it exists, does not have yet.
    pub(crate) fn unpublished(&self, mut wanted: ResourceList) -> ResourceList {
        let Some(known) = self.known.as_ref().filter(|known| known.uid.is_some()) else {
            return ResourceList::new();
        };
        let current = |name: &ResourceName| known.capacity.get(name)?.parse::<u32>().ok();
        wanted.retain(|name, amount| current(name) != Some(*amount));
        wanted
    }

    /// The capacity was written.
    pub(crate) fn capacity_written(&mut self, capacity: &ResourceList) {
        if let Some(known) = &mut self.known {
            let texts = capacity.iter().map(|(name, amount)| (name.clone(), amount.to_string()));
            known.capacity.extend(texts);
        }
    }

    /// The write that is due. Nothing is written without a Node, because the object would have no
    /// owner and stay for ever.
    pub(crate) fn write(&self, node: &NodeName, now: Moment) -> Option<Step> {
        let known = self.known.as_ref().filter(|known| known.uid.is_some())?;
        let pending = self.pending.as_ref()?;
        let stable = now.since(pending.stands) >= SETTLE || now.since(pending.since) >= MAX_DELAY;
        let spaced = self.written.is_none_or(|at| now.since(at) >= MIN_INTERVAL);
        if !stable || !spaced {
            return None;
        }
        let mut object = Box::new(self.object(node));
        match &known.version {
            None => Some(Step::Create(object)),
            Some(version) => {
                object.metadata.resource_version = Some(version.to_string());
                Some(Step::Update(object))
            }
        }
    }

    /// The read of the node, if it is due.
    pub(crate) fn refresh(&self, now: Moment) -> Option<Step> {
        let known = self.known.as_ref()?;
        (now.since(known.at) >= REFRESH_EVERY).then_some(Step::Get)
    }

    /// The fetched status counts as published, whoever wrote it.
    pub(crate) fn fetched(&mut self, fetched: FetchedNode, now: Moment) {
        let attachments = fetched.attachments.as_ref();
        let version = attachments.and_then(|object| object.metadata.resource_version.as_deref());
        self.known = Some(Known {
            at: now,
            uid: fetched.node,
            capacity: fetched.capacity,
            version: version.and_then(|text| Version::new(text).ok()),
        });
        let published = fetched.attachments.map(|object| object.status).unwrap_or_default();
        if published != self.published {
            // What is wanted was derived from another published status: it is derived again first.
            self.pending = None;
        }
        self.published = published;
    }

    /// The object was written.
    pub(crate) fn written(&mut self, step: &Step, done: Done, now: Moment) {
        let Done::Written(version) = done else { return self.forget() };
        if let Some(known) = &mut self.known {
            known.version = Some(version);
        }
        if let Step::Update(object) = step {
            self.published = object.status.clone();
            self.written = Some(now);
            self.pending = None;
        }
    }

    /// A write may have taken effect: the object is read before anything else is written.
    pub(crate) fn forget(&mut self) {
        self.known = None;
    }
}
