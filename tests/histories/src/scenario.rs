//! A scenario: what happens to a cluster from outside, as pure data. It says nothing of how the
//! cluster is made, so the same one runs at every level, and it can be cut down by dropping deeds.

mod deed;
mod draw;
mod shape;
mod strays;
mod swarm;

pub use deed::{At, Container, Deed, Outage, Stripped, Theft};
pub use shape::{Shape, StopKind};
pub use strays::{Act, ActAt, Strays, Using};
pub use swarm::{Fault, Swarm};

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::time::Moment;
use serde::{Deserialize, Serialize};

use crate::names::{SPARE, pool_addresses};

/// One scenario. Everything that the script does not say (latencies, lags, jitter, which calls
/// break) comes from the seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// The seed of all chance.
    pub seed: u64,
    /// The cluster.
    pub shape: Shape,
    /// Which calls break, and how often.
    pub swarm: Swarm,
    /// What is done to the cluster in the safety phase, in the order of time.
    pub script: Vec<At>,
    /// When the healing phase begins: faults end, and everything must converge.
    pub heal_at_ms: u32,
    /// Addresses that nobody claims, of a pool that adopts them; none in most histories.
    pub strays: Option<Strays>,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        draw::scenario(seed)
    }

    /// The addresses of the pool.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let spare = self.strays.is_some().then_some(SPARE);
        pool_addresses(self.shape.pool).chain(spare.into_iter().flatten())
    }

    /// As it is played: strays have to be seen for a time before anything comes of them, so that
    /// most of the script is done that much later.
    #[must_use]
    pub fn laid_out(&self) -> Self {
        let mut laid = self.clone();
        if let Some(strays) = &self.strays {
            strays.lay_out(&mut laid.script);
            laid.heal_at_ms = laid.heal_at_ms.saturating_add(strays.lead_ms);
        }
        laid
    }

    /// When the healing phase begins as it is played.
    pub fn heals_at(&self) -> Moment {
        let lead = self.strays.as_ref().map_or(0, |strays| strays.lead_ms);
        Moment(Duration::from_millis(u64::from(self.heal_at_ms.saturating_add(lead))))
    }

    /// The same without strays.
    #[must_use]
    pub fn without_strays(&self) -> Self {
        Self { strays: None, ..self.clone() }
    }

    /// Nothing goes wrong in it: pods start, stop and move in good order.
    pub fn is_calm(&self) -> bool {
        self.swarm.is_calm() && self.script.iter().all(|at| at.deed.is_calm())
    }
}
