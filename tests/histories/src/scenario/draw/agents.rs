//! Disruptions of agents: two agents on one node, a Lease that all agents hold, an unavailable
//! registry.

use super::Writer;
use crate::names::MemberIx;
use crate::scenario::{At, Disruption, Outage, Stripped};

/// Agents notice an external reassignment within this time, or soon after it.
const NOTICED_MS: u32 = 55_000;
/// They mend it within this time.
const MENDED_MS: u32 = 20_000;

/// Every agent that holds a Lease of its own has become the leader within this time: it checks the
/// Lease every 6 to 9 s.
const LEADS_MS: u32 = 10_000;
/// The leader releases within this time: its grace period of 12 s and two passes.
const RELEASED_MS: u32 = 18_000;

/// Agents query EC2 at most once a minute: what follows an external reassignment waits until they
/// notice it, and the faults last until they have acted. Returns when the faults end.
pub(super) fn await_agents(script: &mut [At], heal_at_ms: u32) -> u32 {
    let external = |at: &&At| matches!(at.disruption, Disruption::ExternalReassignment { .. });
    let Some(ms) = script.iter().find(external).map(|at| at.ms) else { return heal_at_ms };
    for at in script.iter_mut().filter(|at| at.ms > ms) {
        at.ms += NOTICED_MS;
    }
    heal_at_ms + NOTICED_MS + MENDED_MS
}

impl Writer<'_> {
    /// Disruptions that affect only agents. Returns until when the faults last.
    pub(super) fn agents(&mut self, until: u32) -> u32 {
        let mut heal_at_ms = until;
        for _ in 0..2 {
            let (node, ms) = (self.node(), self.ms(1_500, until));
            let dies = 500 + self.near(14);
            self.add(ms, Disruption::Twin { node, ms: dies });
        }
        if self.rng.once_in(2) {
            heal_at_ms = heal_at_ms.max(self.leases(until));
        }
        if self.rng.once_in(2) {
            // Addresses are removed during an outage of the registry.
            let (member, ms, out) = (self.member(), self.ms(2_000, until), self.near(13));
            self.add(ms, Disruption::Outage { system: Outage::Api, ms: 3_000 + out });
            let after = ms + self.near(11);
            let (zombie, what) = (false, Stripped::Everything);
            self.add(after, Disruption::Strip { member, zombie, what });
        }
        heal_at_ms
    }

    /// All agents hold a Lease while a node is off and its pods are force-deleted. Returns until
    /// when the faults last at least.
    fn leases(&mut self, until: u32) -> u32 {
        let (node, ms) = (self.node(), self.ms(2_000, until));
        let held = LEADS_MS + RELEASED_MS + 4_000 + self.near(14);
        self.add(ms, Disruption::Leases { ms: held });
        let off = ms + LEADS_MS;
        let back_ms = Some(RELEASED_MS + 8_000 + self.near(14));
        self.add(off, Disruption::Power { node, back_ms });
        for number in 0..self.shape.members {
            let (member, next) = (MemberIx(number), self.node());
            let forced = off + self.near(12);
            let disruption =
                Disruption::Force { member, node: next, notice_ms: 20_000, grace_ms: 2_000 };
            self.add(forced, disruption);
            if self.rng.once_in(2) {
                // There is no successor, so an agent has to release.
                self.add(forced + 5, Disruption::Stop { member, grace_s: 1 });
            }
        }
        ms + held
    }
}
