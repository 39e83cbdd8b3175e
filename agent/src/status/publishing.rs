//! The status that the agent publishes, and metrics of publishing it.

use std::sync::{Mutex, PoisonError};

use firecamp_registry::api::NodeAttachments;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::add;

/// Labels of a request to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Requests {
    pub(crate) request: &'static str,
}

/// Labels of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reasons {
    pub(crate) reason: &'static str,
}

/// The status that would be published now, and the requests that publish it.
#[derive(Debug)]
pub(crate) struct PublishMetrics {
    wanted: Mutex<Option<NodeAttachments>>,
    /// Addresses with a lasting problem.
    pub(crate) failing: Gauge,
    /// Free slots for addresses.
    free_slots: Gauge,
    /// The node's capacity of the pools' extended resources, of all together.
    pub(crate) capacity: Gauge,
    /// Requests to publish something.
    pub(crate) requests: Family<Requests, Counter>,
    /// Failed requests to publish.
    pub(crate) failures: Family<Requests, Counter>,
    /// Emitted Events.
    pub(crate) events: Family<Reasons, Counter>,
}

impl PublishMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            wanted: Mutex::default(),
            failing: add(registry, "failing_addresses", Gauge::default()),
            free_slots: add(registry, "free_slots", Gauge::default()),
            capacity: add(registry, "capacity_slots", Gauge::default()),
            requests: add(registry, "publish_requests", Family::default()),
            failures: add(registry, "publish_failures", Family::default()),
            events: add(registry, "events", Family::default()),
        }
    }

    /// Sets the status that would be published now.
    pub(crate) fn would_publish(&self, object: NodeAttachments) {
        self.failing.set(i64::from(object.status.addresses_failing));
        // While the slots are unknown, the last value stays, like the capacity.
        if let Some(slots) = object.status.slots {
            self.free_slots.set(i64::from(slots.free));
        }
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(object);
    }

    /// The status that would be published now; none before the first observation.
    pub(super) fn wanted(&self) -> Option<NodeAttachments> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
