//! Requests to EC2: how many, and how long they took.

use std::time::Duration;

use firecamp_core::failure::CloudKind;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::{Call, Calls, result};
use super::quick;

/// Of all requests, whoever of the agent makes them.
#[derive(Debug, Clone)]
pub(crate) struct Ec2Calls {
    pub(super) ended: Family<Calls, Counter>,
    pub(super) took: Family<Calls, Histogram, fn() -> Histogram>,
}

impl Default for Ec2Calls {
    /// None so far. What alerts look for is there from the beginning: nobody sees a counter rise
    /// that begins with one. So are the histograms that every agent will have, so that it does not
    /// grow by them later.
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
    /// A request has ended like this.
    pub(crate) fn ended(&self, how: Calls, took: Duration) {
        self.ended.get_or_create(&how).inc();
        self.took.get_or_create(&how).observe(took.as_secs_f64());
    }
}
