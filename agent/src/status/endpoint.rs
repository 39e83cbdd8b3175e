//! Metrics of the endpoint for pods.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Histograms, add, quick};

/// Labels of a request that ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    request: &'static str,
    reason: &'static str,
}

/// Labels of a duration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kinds {
    request: &'static str,
}

/// What pods asked for at the endpoint.
#[derive(Debug, Clone)]
pub(crate) struct EndpointMetrics {
    requests: Family<Requests, Counter>,
    durations: Histograms<Kinds>,
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Connections that were closed because there were too many.
    pub(crate) refused_connections: Counter,
    /// Failed attempts to listen.
    pub(crate) listen_failures: Counter,
}

impl EndpointMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let durations = Family::new_with_constructor(quick as fn() -> Histogram);
        Self {
            requests: add(registry, "endpoint_requests", Family::default()),
            durations: add(registry, "endpoint_request_duration_seconds", durations),
            connections: add(registry, "endpoint_connections", Gauge::default()),
            refused_connections: add(registry, "endpoint_refused_connections", Counter::default()),
            listen_failures: add(registry, "endpoint_listen_failures", Counter::default()),
        }
    }

    /// An attach or a release ended for this reason.
    pub(crate) fn ended(&self, request: &'static str, reason: &'static str, took: Duration) {
        self.requests.get_or_create(&Requests { request, reason }).inc();
        self.durations.get_or_create(&Kinds { request }).observe(took.as_secs_f64());
    }

    /// A request was refused before it began.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.requests.get_or_create(&Requests { request: "refused", reason }).inc();
    }
}
