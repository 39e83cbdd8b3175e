//! Draws what nobody claims, from a stream of its own that leaves every other history alone.

use std::net::Ipv4Addr;

use super::Shape;
use crate::names::{NodeIx, OUTSIDE, SPARE, pool_addresses};
use crate::scenario::{Act, ActAt, At, Deed, Strays, Using};
use crate::seed::{Chance, Purpose};

/// In one history in so many the pool adopts what nobody claims. They last ten times as long.
const STRAYS: u64 = 24;
/// The stream from which that is drawn: no kept seed (seeds/found.txt) has strays by it.
const STRAYS_KEY: u64 = 153;

/// What is seen from the beginning is due after the grace period of ten minutes, at one of the
/// looks that are a minute apart: the script comes then.
const LEAD_MS: (u32, u32) = (610_000, 690_000);

struct Writer {
    chance: Chance,
    lead: u32,
    acts: Vec<ActAt>,
}

/// Those of this seed. `apart`: a history that is drawn for something else.
pub(super) fn strays(seed: u64, apart: bool, shape: &Shape) -> Option<Strays> {
    let mut chance = Chance::new(seed, Purpose::Shape, STRAYS_KEY);
    if !chance.once_in(STRAYS) || apart {
        return None;
    }
    let mut writer = Writer { chance, lead: 0, acts: Vec::new() };
    writer.lead = writer.ms(LEAD_MS.0, LEAD_MS.1);
    let mut free: Vec<Ipv4Addr> = pool_addresses(shape.pool).chain(SPARE).collect();
    let count = 2 + writer.chance.below(3);
    for _ in 0..count {
        let pick = usize::from(writer.chance.small(u8::try_from(free.len()).unwrap_or(u8::MAX)));
        let address = free.swap_remove(pick);
        writer.stray(address, shape);
    }
    if writer.chance.once_in(4) {
        let (ms, node) = (writer.ms(1_000, 60_000), writer.node(shape));
        writer.put(ms, Act::Assign(OUTSIDE, node, shape.slot()));
    }
    let twin = writer.chance.once_in(2);
    let also = if twin { vec![writer.twin(shape)] } else { Vec::new() };
    writer.acts.sort_by_key(|at| at.ms);
    Some(Strays {
        lead_ms: writer.lead,
        early: u8::try_from(writer.chance.below(16)).unwrap_or_default(),
        also,
        reclaim: writer.chance.once_in(2),
        dies: writer.chance.once_in(2),
        acts: writer.acts,
    })
}

impl Writer {
    fn put(&mut self, ms: u32, act: Act) {
        self.acts.push(ActAt { ms, act });
    }

    fn ms(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high.saturating_sub(low));
        low + u32::try_from(self.chance.below(span)).unwrap_or_default()
    }

    fn node(&mut self, shape: &Shape) -> NodeIx {
        NodeIx(self.chance.small(shape.nodes))
    }

    /// Just before the look at which what came within the first minute is due: agents that start
    /// with the history look once a minute, and it is the eleventh that has seen it for long
    /// enough.
    fn due(&mut self) -> u32 {
        self.ms(650_000, 661_000)
    }

    /// One address that somebody assigns, and what becomes of it.
    fn stray(&mut self, address: Ipv4Addr, shape: &Shape) {
        let late = self.chance.once_in(4);
        let lead = self.lead;
        let ms = if late { self.ms(lead, lead + 20_000) } else { self.ms(1_000, 60_000) };
        let node = self.node(shape);
        let slot = if self.chance.once_in(6) { 1 - shape.slot() } else { shape.slot() };
        self.put(ms, Act::Assign(address, node, slot));
        match self.chance.below(14) {
            0 => self.used(address, node, Using::Kernel),
            1 => self.used(address, node, Using::Socket),
            2 => self.used(address, node, Using::Held),
            3 => self.used(address, node, Using::Left(Some(u16::MAX))),
            4 => self.used(address, node, Using::Left(None)),
            5 => self.used(address, node, Using::Torn),
            6 => {
                let asked = self.ms(60_000, 650_000);
                self.put(asked, Act::Ask(address));
            }
            7 => {
                let off = self.due();
                let back = off + self.ms(1_000, 90_000);
                self.put(off, Act::Declare(false));
                self.put(back, Act::Declare(true));
            }
            8 | 9 => {
                let stolen = self.due();
                self.put(stolen, Act::Steal(address));
            }
            10 | 11 => {
                let (moved, other) = (self.due(), self.node(shape));
                self.put(moved, Act::Unassign(address));
                let back = moved + self.ms(1, 20_000);
                self.put(back, Act::Assign(address, other, shape.slot()));
            }
            12.. => {}
        }
    }

    fn used(&mut self, address: Ipv4Addr, node: NodeIx, using: Using) {
        let begun = self.ms(60_000, 650_000);
        self.put(begun, Act::Use(address, node, using));
        if self.chance.once_in(4) {
            let left = begun + self.ms(1_000, 300_000);
            self.put(left, Act::Leave(address, node));
        }
    }

    /// Two agents on one node from the beginning on, which look at EC2 almost together.
    fn twin(&mut self, shape: &Shape) -> At {
        let ms = self.ms(1, 60);
        let node = match self.acts.first() {
            Some(ActAt { act: Act::Assign(_, node, _), .. }) => *node,
            Some(_) | None => self.node(shape),
        };
        At { ms, deed: Deed::Twin { node, ms: 900_000 } }
    }
}
