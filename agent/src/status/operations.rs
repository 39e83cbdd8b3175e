//! Metrics of the operations of the agent.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Histograms, add, quick};

/// Labels of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Operations {
    pub(crate) kind: &'static str,
}

/// How many operations started and failed, and how long they took.
#[derive(Debug)]
pub(crate) struct OperationMetrics {
    /// Started operations.
    pub(crate) started: Family<Operations, Counter>,
    /// Failed operations.
    pub(crate) failed: Family<Operations, Counter>,
    /// Durations of operations.
    pub(crate) durations: Histograms<Operations>,
    /// Time from a kernel event to the restoration of the address.
    pub(crate) restored: Histogram,
}

impl OperationMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let durations = Family::new_with_constructor(quick as fn() -> Histogram);
        Self {
            started: add(registry, "operations", Family::default()),
            failed: add(registry, "operation_failures", Family::default()),
            durations: add(registry, "operation_duration_seconds", durations),
            restored: add(registry, "restore_duration_seconds", quick()),
        }
    }
}
