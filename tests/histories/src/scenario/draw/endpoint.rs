//! Pods that ask their node's agent, and agents that die or stand still meanwhile.

use super::Writer;
use crate::names::NodeIx;
use crate::scenario::{At, Disruption, Endpoint};
use crate::seed::SeededRng;

/// The random stream for the endpoint, chosen so that no regression seed before it
/// (seeds/found.txt) gets another history.
pub(super) const KEY: u64 = 40_027;

/// Half of the histories have pods that ask an agent.
pub(super) fn endpoint(rng: &mut SeededRng) -> Endpoint {
    match rng.below(4) {
        0 => Endpoint::Used,
        1 => Endpoint::Mixed,
        2.. => Endpoint::Unused,
    }
}

impl Writer<'_> {
    /// Agents are killed, replaced or frozen while pods start and end.
    pub(super) fn agents_that_serve(&mut self) {
        for number in 0..self.script.len() {
            let At { ms, disruption } = &self.script[number];
            let (ms, target) = (*ms, disruption.target());
            if disruption.changes_pods() && self.rng.once_in(3) {
                self.agent_that_serves(ms, target);
            }
        }
    }

    fn agent_that_serves(&mut self, ms: u32, target: Option<NodeIx>) {
        // The address leaves another node, which only the orchestrator knows.
        let other = self.node();
        let node = target.filter(|_| !self.rng.once_in(3)).unwrap_or(other);
        let later = ms + self.near(12);
        let disruption = match self.rng.below(4) {
            0 | 1 => Disruption::KillAgent { node },
            2 => Disruption::Twin { node, ms: 200 + self.near(12) },
            3.. => Disruption::FreezeAgent { node, ms: self.near(14) },
        };
        self.add(later, disruption);
    }
}
