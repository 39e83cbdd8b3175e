//! Other programs that remove addresses.

use super::Writer;
use crate::scenario::{Disruption, Stripped};

impl Writer<'_> {
    /// Other programs on the nodes remove addresses of ours, a few times.
    pub(super) fn strips(&mut self, until: u32) {
        for _ in 0..3 {
            let (member, ms) = (self.member(), self.ms(1_500, until));
            let what = if self.shape.secondary && self.rng.once_in(3) {
                Stripped::Routing
            } else {
                Stripped::Everything
            };
            let zombie = self.rng.once_in(3);
            if zombie {
                // Force-deleted, so that for a moment two nodes have the address.
                let (node, notice_ms) = (self.node(), self.ms(5_000, 20_000));
                self.add(ms, Disruption::Force { member, node, notice_ms, grace_ms: 2_000 });
            }
            let after = if zombie { self.ms(200, 3_000) } else { 0 };
            self.add(ms + after, Disruption::Strip { member, zombie, what });
        }
    }
}
