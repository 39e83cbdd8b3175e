//! Metrics of the volumes of this node.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::add;

/// Labels of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Volumes {
    pub(crate) kind: &'static str,
}

/// Labels of problems of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Problems {
    pub(crate) reason: &'static str,
}

/// How many volumes this node has, and their problems.
#[derive(Debug)]
pub(crate) struct VolumeMetrics {
    /// Volumes of this node.
    pub(crate) counts: Family<Volumes, Gauge>,
    /// Problems of volumes.
    pub(crate) problems: Family<Problems, Gauge>,
    /// Age of the oldest problem of volumes.
    pub(crate) ages: Family<Problems, Gauge>,
}

impl VolumeMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            counts: add(registry, "volumes", Family::default()),
            problems: add(registry, "volume_problems", Family::default()),
            ages: add(registry, "volume_problem_age_seconds", Family::default()),
        }
    }
}
