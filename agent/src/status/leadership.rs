//! Metrics that only the leader reports.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use firecamp_controllers::leader::Usage;
use firecamp_core::ids::PoolName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::add;

/// Labels of a pool. Pools are few, and users name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pools {
    pool: String,
}

/// Whether this agent is the leader, and the usage of the pools while it is.
#[derive(Debug, Clone)]
pub(crate) struct LeadershipMetrics {
    acts: Gauge,
    pass: Gauge<f64, AtomicU64>,
    total: Family<Pools, Gauge>,
    free: Family<Pools, Gauge>,
}

impl LeadershipMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            acts: add(registry, "leader", Gauge::default()),
            pass: add(registry, "leader_pass_duration_seconds", Gauge::default()),
            total: add(registry, "pool_addresses", Family::default()),
            free: add(registry, "pool_free_addresses", Family::default()),
        }
    }

    /// This agent became the leader.
    pub(crate) fn begins(&self) {
        self.acts.set(1);
    }

    /// A pass over the cluster has ended.
    pub(crate) fn passed(&self, took: Duration) {
        self.pass.set(took.as_secs_f64());
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
        self.pass.set(0.0);
        self.clear();
    }

    fn clear(&self) {
        self.total.clear();
        self.free.clear();
    }
}
