//! A scenario: what happens to a cluster from outside, as pure data. It says nothing of how the
//! cluster is made, so the same one runs at every level, and it can be cut down by dropping deeds.

mod deed;
mod draw;
mod shape;
mod swarm;

pub use deed::{At, Container, Deed, Outage, Stripped, Theft};
pub use shape::{Shape, StopKind};
pub use swarm::{Fault, Swarm};

use serde::{Deserialize, Serialize};

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
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        draw::scenario(seed)
    }

    /// Nothing goes wrong in it: pods start, stop and move in good order.
    pub fn is_calm(&self) -> bool {
        self.swarm.is_calm() && self.script.iter().all(|at| at.deed.is_calm())
    }
}
