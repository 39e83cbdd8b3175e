//! What is told by the agent that acts for the whole cluster, and by no other.

use std::collections::BTreeMap;

use firecamp_controllers::leader::Usage;
use firecamp_core::ids::PoolName;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::Pools;

/// Whether this agent holds the Lease, and what it sees of the pools meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stewardship {
    pub(super) acts: Gauge,
    pub(super) total: Family<Pools, Gauge>,
    pub(super) free: Family<Pools, Gauge>,
}

impl Stewardship {
    /// It holds the Lease.
    pub(crate) fn begins(&self) {
        self.acts.set(1);
    }

    /// These are the pools.
    pub(crate) fn sees(&self, pools: &BTreeMap<PoolName, Usage>) {
        self.forgets();
        for (name, usage) in pools {
            let pool = Pools { pool: name.to_string() };
            self.total.get_or_create(&pool).set(i64::from(usage.total));
            self.free.get_or_create(&pool).set(i64::from(usage.free));
        }
    }

    /// Another one may hold it: what this one saw is told no more.
    pub(crate) fn ends(&self) {
        self.acts.set(0);
        self.forgets();
    }

    fn forgets(&self) {
        self.total.clear();
        self.free.clear();
    }
}
