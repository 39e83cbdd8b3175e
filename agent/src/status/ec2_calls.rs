//! Metrics of requests to EC2: counts and durations.

use std::time::Duration;

use firecamp_core::failure::CloudKind;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::{Call, Calls, result};
use super::quick;

/// Counts and durations of all requests of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Ec2Calls {
    pub(super) ended: Family<Calls, Counter>,
    pub(super) took: Family<Calls, Histogram, fn() -> Histogram>,
}

impl Default for Ec2Calls {
    /// The counters that alerts use exist from the start: `increase` misses the first increment of
    /// a new counter. The common histograms also exist, so that memory does not grow later.
    fn default() -> Self {
        let ended = Family::<Calls, Counter>::default();
        for call in Call::ALL {
            for kind in [CloudKind::Throttled, CloudKind::Auth] {
                drop(ended.get_or_create(&Calls { call, result: result(Some(kind)) }));
            }
        }
        let took: Family<Calls, Histogram, fn() -> Histogram> = Family::new_with_constructor(quick);
        for call in Call::ALL {
            drop(took.get_or_create(&Calls { call, result: result(None) }));
        }
        Self { ended, took }
    }
}

impl Ec2Calls {
    /// A request has ended with this result.
    pub(crate) fn ended(&self, how: Calls, took: Duration) {
        self.ended.get_or_create(&how).inc();
        self.took.get_or_create(&how).observe(took.as_secs_f64());
    }
}
