//! What disturbs agents: two of them on one node, a Lease that all hold, a registry that is away.

use super::Writer;
use crate::names::MemberIx;
use crate::scenario::{Deed, Outage, Stripped};

impl Writer<'_> {
    /// What disturbs agents and nobody else.
    pub(super) fn agents(&mut self, until: u32) {
        for _ in 0..2 {
            let (node, ms) = (self.node(), self.ms(1_500, until));
            let dies = 500 + self.near(14);
            self.put(ms, Deed::Twin { node, ms: dies });
        }
        if self.chance.once_in(2) {
            self.leases(until);
        }
        if self.chance.once_in(2) {
            // What is stripped while the registry is away.
            let (member, ms, out) = (self.member(), self.ms(2_000, until), self.near(13));
            self.put(ms, Deed::Outage { system: Outage::Api, ms: 3_000 + out });
            let after = ms + self.near(11);
            let (zombie, what) = (false, Stripped::Everything);
            self.put(after, Deed::Strip { member, zombie, what });
        }
    }

    /// Everybody holds the Lease while a node is off and its pods are forced out.
    fn leases(&mut self, until: u32) {
        let (node, ms) = (self.node(), self.ms(2_000, until));
        let held = 4_000 + self.near(14);
        self.put(ms, Deed::Leases { ms: held });
        let back_ms = Some(8_000 + self.near(14));
        self.put(ms, Deed::Power { node, back_ms });
        for number in 0..self.shape.members {
            let (member, next) = (MemberIx(number), self.node());
            let forced = ms + self.near(12);
            let deed = Deed::Force { member, node: next, notice_ms: 20_000, grace_ms: 2_000 };
            self.put(forced, deed);
            if self.chance.once_in(2) {
                // Nobody takes over, so that somebody has to release.
                self.put(forced + 5, Deed::Stop { member, grace_s: 1 });
            }
        }
    }
}
