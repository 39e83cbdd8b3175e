//! Metrics of the preflight checks of this node.

use firecamp_node::preflight::facts::{Clock, Reading};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::add;

/// Labels of another clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Clocks {
    clock: &'static str,
}

/// What the preflight checks of this node found.
#[derive(Debug)]
pub(crate) struct PreflightMetrics {
    /// Failing blocking conditions.
    pub(crate) blocks: Gauge,
    /// Offset of this node's clock from other clocks.
    clock_skew: Family<Clocks, Gauge>,
}

impl PreflightMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            blocks: add(registry, "preflight_blocking_conditions", Gauge::default()),
            clock_skew: add(registry, "clock_skew_seconds", Family::default()),
        }
    }

    /// Sets the offsets from other clocks.
    pub(crate) fn clocks(&self, readings: &[Reading]) {
        for Reading { clock, ahead } in readings {
            self.clock_skew.get_or_create(&Clocks { clock: name(*clock) }).set(*ahead);
        }
    }
}

/// The value of the label of a clock.
pub(crate) fn name(clock: Clock) -> &'static str {
    match clock {
        Clock::Ec2 => "Ec2",
        Clock::Metadata => "Metadata",
    }
}
