//! Metrics that only the leader reports.

use std::collections::BTreeMap;

use firecamp_controllers::leader::Usage;
use firecamp_core::ids::PoolName;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::Pools;

/// Whether this agent is the leader, and the usage of the pools while it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeadershipMetrics {
    pub(super) acts: Gauge,
    pub(super) total: Family<Pools, Gauge>,
    pub(super) free: Family<Pools, Gauge>,
}

impl LeadershipMetrics {
    /// This agent became the leader.
    pub(crate) fn begins(&self) {
        self.acts.set(1);
    }

    /// Sets the usage of the pools.
    pub(crate) fn set_pools(&self, pools: &BTreeMap<PoolName, Usage>) {
        self.clear();
        for (name, usage) in pools {
            let pool = Pools { pool: name.to_string() };
            self.total.get_or_create(&pool).set(i64::from(usage.total));
            self.free.get_or_create(&pool).set(i64::from(usage.free));
        }
    }

    /// This agent is no longer the leader: removes the metrics of the pools.
    pub(crate) fn ends(&self) {
        self.acts.set(0);
        self.clear();
    }

    fn clear(&self) {
        self.total.clear();
        self.free.clear();
    }
}
