//! A scenario: what happens to a cluster from outside, as plain data. It does not depend on how the
//! cluster is simulated. Therefore the same scenario runs at every level, and dropping disruptions
//! shrinks it.

mod disruption;
mod draw;
mod orphans;
mod shape;
mod swarm;

pub use disruption::{At, Container, Disruption, ExternalReassignment, Outage, Stripped};
pub use orphans::{Act, ActAt, Orphans, Using};
pub use shape::{Endpoint, Shape, StopKind};
pub use swarm::{Fault, Swarm};

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::time::Moment;
use serde::{Deserialize, Serialize};

use crate::names::{SPARE, pool_addresses};

/// One scenario. Everything that the script does not contain (latencies, lags, jitter, which calls
/// fail) derives from the seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// The seed of all random streams.
    pub seed: u64,
    /// The cluster.
    pub shape: Shape,
    /// Which calls fail, and how often.
    pub swarm: Swarm,
    /// The disruptions of the safety phase, ordered by time.
    pub script: Vec<At>,
    /// When the healing phase begins: faults end, and everything must converge.
    pub heal_at_ms: u32,
    /// Orphaned addresses in a pool that adopts them; none in most histories.
    pub orphans: Option<Orphans>,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        draw::scenario(seed, true)
    }

    /// The same without the endpoint: each container does its work itself.
    pub fn draw_direct(seed: u64) -> Self {
        draw::scenario(seed, false)
    }

    /// The addresses of the pool.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let spare = self.orphans.is_some().then_some(SPARE);
        pool_addresses(self.shape.pool).chain(spare.into_iter().flatten())
    }

    /// The scenario as it runs: orphans must be observed for some time before agents act on them,
    /// so most of the script is delayed by that time.
    #[must_use]
    pub fn laid_out(&self) -> Self {
        let mut laid = self.clone();
        if let Some(orphans) = &self.orphans {
            orphans.lay_out(&mut laid.script);
            laid.heal_at_ms = laid.heal_at_ms.saturating_add(orphans.lead_ms);
        }
        laid
    }

    /// When the healing phase begins in the scenario as it runs.
    pub fn heals_at(&self) -> Moment {
        let lead = self.orphans.as_ref().map_or(0, |orphans| orphans.lead_ms);
        Moment(Duration::from_millis(u64::from(self.heal_at_ms.saturating_add(lead))))
    }

    /// The same without orphans and without endpoint, as it runs on the wire.
    #[must_use]
    pub fn for_wire(&self) -> Self {
        let shape = Shape { endpoint: Endpoint::Unused, ..self.shape.clone() };
        Self { orphans: None, shape, ..self.clone() }
    }

    /// Nothing goes wrong: pods start, stop and move in an orderly way.
    pub fn is_calm(&self) -> bool {
        self.swarm.is_calm() && self.script.iter().all(|at| at.disruption.is_calm())
    }
}
