//! Draws orphans, from a separate stream that leaves all other histories unchanged.

use std::net::Ipv4Addr;

use super::Shape;
use crate::names::{NodeIx, OUTSIDE, SPARE, pool_addresses};
use crate::scenario::{Act, ActAt, At, Disruption, Orphans, Using};
use crate::seed::{Purpose, SeededRng};

/// In one history in this many the pool adopts orphans. These last ten times as long.
const ORPHANS: u64 = 24;
/// The random stream for orphans: it gives no orphans to any regression seed (seeds/found.txt).
const ORPHANS_KEY: u64 = 153;

/// An address that is there from the beginning is due after the grace period of ten minutes, with
/// one of the queries that are one or two minutes apart: the script runs around that time.
const LEAD_MS: (u32, u32) = (640_000, 750_000);

struct Writer {
    rng: SeededRng,
    lead: u32,
    acts: Vec<ActAt>,
}

/// The orphans of this seed. `apart` is true for a history with another special purpose.
pub(super) fn orphans(seed: u64, apart: bool, shape: &Shape) -> Option<Orphans> {
    let mut rng = SeededRng::new(seed, Purpose::Shape, ORPHANS_KEY);
    if !rng.once_in(ORPHANS) || apart {
        return None;
    }
    let mut writer = Writer { rng, lead: 0, acts: Vec::new() };
    writer.lead = writer.ms(LEAD_MS.0, LEAD_MS.1);
    let mut free: Vec<Ipv4Addr> = pool_addresses(shape.pool).chain(SPARE).collect();
    let count = 2 + writer.rng.below(3);
    for _ in 0..count {
        let pick = usize::from(writer.rng.small(u8::try_from(free.len()).unwrap_or(u8::MAX)));
        let address = free.swap_remove(pick);
        writer.orphan(address, shape);
    }
    if writer.rng.once_in(4) {
        let (ms, node) = (writer.ms(1_000, 60_000), writer.node(shape));
        writer.add(ms, Act::Assign(OUTSIDE, node, shape.slot()));
    }
    let twin = writer.rng.once_in(2);
    let also = if twin { vec![writer.twin(shape)] } else { Vec::new() };
    writer.acts.sort_by_key(|at| at.ms);
    Some(Orphans {
        lead_ms: writer.lead,
        early: u8::try_from(writer.rng.below(16)).unwrap_or_default(),
        also,
        reclaim: writer.rng.once_in(2),
        dies: writer.rng.once_in(2),
        acts: writer.acts,
    })
}

impl Writer {
    fn add(&mut self, ms: u32, act: Act) {
        self.acts.push(ActAt { ms, act, meanwhile: false });
    }

    /// The same after the records of due addresses are read.
    fn meanwhile(&mut self, ms: u32, act: Act) {
        self.acts.push(ActAt { ms, act, meanwhile: true });
    }

    fn ms(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high.saturating_sub(low));
        low + u32::try_from(self.rng.below(span)).unwrap_or_default()
    }

    fn node(&mut self, shape: &Shape) -> NodeIx {
        NodeIx(self.rng.small(shape.nodes))
    }

    /// While an address is adopted.
    fn due(&mut self) -> u32 {
        self.ms(0, 60)
    }

    /// One address that another actor assigns, and what happens to it.
    fn orphan(&mut self, address: Ipv4Addr, shape: &Shape) {
        let late = self.rng.once_in(4);
        let lead = self.lead;
        let ms = if late { self.ms(lead, lead + 20_000) } else { self.ms(1_000, 60_000) };
        let node = self.node(shape);
        let slot = if self.rng.once_in(6) { 1 - shape.slot() } else { shape.slot() };
        self.add(ms, Act::Assign(address, node, slot));
        match self.rng.below(14) {
            0 => self.used(address, node, Using::Kernel),
            1 => self.used(address, node, Using::Socket),
            2 => self.used(address, node, Using::Held),
            3 => self.used(address, node, Using::Left(Some(u16::MAX))),
            4 => {
                // Later, so that the pod still exists.
                let at = self.due();
                self.meanwhile(at, Act::Use(address, node, Using::Left(None)));
            }
            5 => self.used(address, node, Using::Torn),
            6 => {
                let at = self.ms(60_000, 650_000);
                self.add(at, Act::Ask(address));
            }
            7 => {
                let off = self.due();
                let back = off + self.ms(1_000, 90_000);
                self.meanwhile(off, Act::Declare(false));
                self.meanwhile(back, Act::Declare(true));
            }
            8 | 9 => {
                let reassigned_externally = self.due();
                self.meanwhile(reassigned_externally, Act::Steal(address));
            }
            10 | 11 => {
                let (moved, other) = (self.due(), self.node(shape));
                self.meanwhile(moved, Act::Unassign(address));
                let back = moved + self.ms(1, 20_000);
                self.meanwhile(back, Act::Assign(address, other, shape.slot()));
            }
            12.. => {}
        }
    }

    fn used(&mut self, address: Ipv4Addr, node: NodeIx, using: Using) {
        let from = self.ms(60_000, 650_000);
        self.add(from, Act::Use(address, node, using));
        if self.rng.once_in(4) {
            let left = from + self.ms(1_000, 300_000);
            self.add(left, Act::Leave(address, node));
        }
    }

    /// Two agents on one node from the beginning, which read EC2 almost at the same time.
    fn twin(&mut self, shape: &Shape) -> At {
        let ms = self.ms(1, 60);
        let node = match self.acts.first() {
            Some(ActAt { act: Act::Assign(_, node, _), .. }) => *node,
            Some(_) | None => self.node(shape),
        };
        At { ms, disruption: Disruption::Twin { node, ms: 900_000 } }
    }
}
