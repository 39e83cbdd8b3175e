//! Draws a scenario from its seed.

mod agents;
mod strays;

use super::{
    At, Container, Deed, Fault, Outage, Scenario, Shape, StopKind, Stripped, Swarm, Theft,
};
use crate::names::{MAX_MEMBERS, MemberIx, NodeIx};
use crate::seed::{Chance, Purpose};

/// One history in so many is calm: budgets are checked there, and anything that goes wrong in it
/// goes wrong by itself.
const CALM: u64 = 16;

/// In one history in so many a member goes back and forth, faster than lags pass: what was true
/// an instant ago is shown where it has become true again.
const BACK_AND_FORTH: u64 = 12;

/// In one history in so many something else on the nodes strips addresses.
const STRIPS: u64 = 6;

/// In one history in so many agents see the registry through watches, and are disturbed.
const WATCHES: u64 = 4;
/// The stream from which that is drawn.
const WATCHES_KEY: u64 = 83;

/// In one history in so many the registry refuses what it should not.
const REFUSALS: u64 = 4;
/// The stream from which that is drawn.
const REFUSALS_KEY: u64 = 125;

pub(super) fn scenario(seed: u64) -> Scenario {
    let mut chance = Chance::new(seed, Purpose::Shape, 0);
    let calm = chance.once_in(CALM);
    let mut shape = shape(&mut chance);
    let mut swarm = if calm { Swarm::default() } else { swarm(&mut chance) };
    // From a stream of its own that leaves every kept seed (seeds/found.txt) alone.
    let mut watches = Chance::new(seed, Purpose::Shape, WATCHES_KEY);
    shape.watches = !calm && watches.once_in(WATCHES);
    if shape.watches {
        swarm = swarm_of(Fault::WATCHES, swarm, &mut watches);
    }
    let mut refusals = Chance::new(seed, Purpose::Shape, REFUSALS_KEY);
    if !calm && refusals.once_in(REFUSALS) {
        let fault = Fault::RegistryRefuses;
        let rate = refusals.below(fault.most()).saturating_add(1);
        swarm = swarm.with(fault, u16::try_from(rate).unwrap_or(u16::MAX));
    }
    let strays = strays::strays(seed, calm || shape.watches, &shape);
    let chance = Chance::new(seed, Purpose::Script, 0);
    let mut writer = Writer { chance, shape: &shape, script: Vec::new(), doomed: 0, on: 0 };
    if !calm {
        writer.on = writer.chance.bits();
    }
    // From a stream of its own, chosen so that no kept seed (seeds/found.txt) has another script.
    let back_and_forth = Chance::new(seed, Purpose::Shape, 4).once_in(BACK_AND_FORTH);
    let heal_at_ms = if back_and_forth { writer.swing() } else { writer.write() };
    // The same: a stream of its own that leaves every kept seed alone.
    let mut strips = Chance::new(seed, Purpose::Shape, 14);
    if !calm && strips.once_in(STRIPS) {
        writer.chance = strips;
        writer.strips(heal_at_ms);
    }
    if shape.watches {
        writer.chance = watches;
        writer.agents(heal_at_ms);
    }
    let mut script = writer.script;
    script.sort_by_key(|at| at.ms);
    Scenario { seed, shape, swarm, script, heal_at_ms, strays }
}

fn shape(chance: &mut Chance) -> Shape {
    let nodes = 3 + chance.small(3);
    // Few members meet each other's steps as well as many do, in less time.
    let members = if chance.once_in(8) { MAX_MEMBERS } else { 2 + chance.small(2) };
    Shape {
        nodes,
        members,
        pool: members + chance.small(2),
        unassign: chance.once_in(3),
        secondary: chance.once_in(3),
        stop: if chance.once_in(4) { StopKind::Hook } else { StopKind::Sidecar },
        deadline_s: if chance.once_in(4) { 20 } else { 120 },
        predecessor_ms: if chance.once_in(4) { 1_500 } else { 300 },
        eni_limit: 6,
        agents: true,
        watches: false,
    }
}

fn swarm(chance: &mut Chance) -> Swarm {
    swarm_of(Fault::usual(), Swarm::default(), chance)
}

fn swarm_of(
    faults: impl IntoIterator<Item = Fault>,
    mut swarm: Swarm,
    chance: &mut Chance,
) -> Swarm {
    for fault in faults {
        // What lands outside A1 may break a promise for moments, so it is seldom on.
        let on = chance.once_in(if fault == Fault::CloudOutside { 8 } else { 2 });
        let rate = chance.below(fault.most()).saturating_add(1);
        if on {
            swarm = swarm.with(fault, u16::try_from(rate).unwrap_or(u16::MAX));
        }
    }
    swarm
}

/// Disturbances that a script may have, as bits of what is on.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Force,
    Zombie,
    Sandbox,
    KillInit,
    KillStop,
    KillMain,
    FreezeInit,
    FreezeStop,
    Power,
    Terminate,
    Agent,
    Thief,
    Fill,
    Outage,
    Orphan,
    Overtake,
}

impl Trouble {
    const ALL: [Self; 16] = [
        Self::Force,
        Self::Zombie,
        Self::Sandbox,
        Self::KillInit,
        Self::KillStop,
        Self::KillMain,
        Self::FreezeInit,
        Self::FreezeStop,
        Self::Power,
        Self::Terminate,
        Self::Agent,
        Self::Thief,
        Self::Fill,
        Self::Outage,
        Self::Orphan,
        Self::Overtake,
    ];

    fn bit(self) -> u64 {
        1 << (self as u64)
    }
}

struct Writer<'a> {
    chance: Chance,
    shape: &'a Shape,
    script: Vec<At>,
    /// Nodes that are terminated: the others must suffice.
    doomed: u8,
    /// The troubles that are on, as bits.
    on: u64,
}

impl Writer<'_> {
    /// Writes the script and gives the time of its end.
    fn write(&mut self) -> u32 {
        for number in 0..self.shape.members {
            let member = MemberIx(number);
            let (node, ms) = (self.node(), self.ms(0, 1_000));
            self.put(ms, Deed::Start { member, node });
        }
        let mut ms = 2_000 + self.ms(0, 3_000);
        let rounds = 2 + self.chance.below(2);
        for _ in 0..rounds {
            self.round(ms);
            let pause = if self.chance.once_in(3) { 20_000 } else { 6_000 };
            ms += 1_000 + self.ms(0, pause);
        }
        ms + 4_000 + self.ms(0, 10_000)
    }

    /// One member between two nodes, every few seconds.
    fn swing(&mut self) -> u32 {
        for number in 0..self.shape.members {
            let (member, node) = (MemberIx(number), NodeIx(number % 2));
            let ms = self.ms(0, 500);
            self.put(ms, Deed::Start { member, node });
        }
        let member = self.member();
        let mut ms = 1_500 + self.ms(0, 1_500);
        for round in 0..5 {
            let node = NodeIx(round % 2);
            let deed = if self.has(Trouble::Force) && self.chance.once_in(3) {
                Deed::Force { member, node, notice_ms: self.near(11), grace_ms: 2_000 }
            } else {
                Deed::Move { member, node, grace_s: 30 }
            };
            self.put(ms, deed);
            ms += 600 + self.ms(0, 4_000);
        }
        ms + 4_000 + self.ms(0, 10_000)
    }

    /// Something else on the nodes removes what is ours, a few times.
    fn strips(&mut self, until: u32) {
        for _ in 0..3 {
            let (member, ms) = (self.member(), self.ms(1_500, until));
            let what = if self.shape.secondary && self.chance.once_in(3) {
                Stripped::Routing
            } else {
                Stripped::Everything
            };
            let zombie = self.chance.once_in(3);
            if zombie {
                // Forced out, so that for a moment two nodes have the address.
                let (node, notice_ms) = (self.node(), self.ms(5_000, 20_000));
                self.put(ms, Deed::Force { member, node, notice_ms, grace_ms: 2_000 });
            }
            let after = if zombie { self.ms(200, 3_000) } else { 0 };
            self.put(ms + after, Deed::Strip { member, zombie, what });
        }
    }

    fn put(&mut self, ms: u32, deed: Deed) {
        self.script.push(At { ms, deed });
    }

    fn ms(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high.saturating_sub(low));
        low + u32::try_from(self.chance.below(span)).unwrap_or_default()
    }

    /// From one to 2^bits milliseconds, each order of magnitude as often: close encounters.
    fn near(&mut self, bits: u64) -> u32 {
        let high = 1_u32 << self.chance.below(bits + 1);
        self.ms(high / 2, high)
    }

    fn node(&mut self) -> NodeIx {
        NodeIx(self.chance.small(self.shape.nodes))
    }

    fn member(&mut self) -> MemberIx {
        MemberIx(self.chance.small(self.shape.members))
    }

    fn grace(&mut self) -> u8 {
        if self.chance.once_in(4) { 1 + self.chance.small(3) } else { 30 }
    }

    fn has(&self, trouble: Trouble) -> bool {
        self.on & trouble.bit() != 0
    }

    /// One thing that a cluster does, and what disturbs it.
    fn round(&mut self, ms: u32) {
        let member = self.member();
        self.lifecycle(ms, member);
        if self.on == 0 {
            return;
        }
        let disturbed = self.chance.below(3);
        for _ in 0..disturbed {
            let pick = self.chance.small(16);
            let trouble = Trouble::ALL[usize::from(pick)];
            if self.has(trouble) {
                let later = ms + self.near(13);
                self.disturb(later, member, trouble);
            }
        }
        if self.chance.once_in(4) {
            // A second one on top of the first: another move before the first is through.
            let again = ms + self.near(13);
            self.lifecycle(again, member);
        }
    }

    fn lifecycle(&mut self, ms: u32, member: MemberIx) {
        if self.has(Trouble::Overtake) && self.chance.once_in(4) {
            return self.overtake(ms, member);
        }
        let (node, grace_s) = (self.node(), self.grace());
        if self.has(Trouble::Force) && self.chance.once_in(3) {
            let zombie = self.has(Trouble::Zombie) && self.chance.once_in(2);
            let notice_ms = if zombie { self.ms(2_000, 30_000) } else { self.near(11) };
            let given = if self.chance.once_in(2) { 2_000 } else { 30_000 };
            self.put(ms, Deed::Force { member, node, notice_ms, grace_ms: given });
            return;
        }
        match self.chance.below(4) {
            0 => {
                self.put(ms, Deed::Stop { member, grace_s });
                if !self.chance.once_in(3) {
                    let back = ms + self.near(14);
                    self.put(back, Deed::Start { member, node });
                }
            }
            1 | 2 | 3.. => self.put(ms, Deed::Move { member, node, grace_s }),
        }
    }

    /// An init container is stopped on its way, its pod is forced out, and it goes on when the
    /// successor runs.
    fn overtake(&mut self, ms: u32, member: MemberIx) {
        let (first, second) = (self.node(), self.node());
        self.put(ms, Deed::Move { member, node: first, grace_s: 30 });
        let frozen = ms + self.ms(150, 1_400);
        let freeze = Deed::Freeze {
            member,
            zombie: false,
            container: Container::Init,
            ms: 300 + self.near(13),
        };
        self.put(frozen, freeze);
        let notice_ms = self.ms(5_000, 30_000);
        let forced = frozen + self.near(9);
        self.put(forced, Deed::Force { member, node: second, notice_ms, grace_ms: 2_000 });
    }

    /// A stop container is orphaned, its pod's sandbox dies and init runs again with the same UID,
    /// and the orphan hears of the end of the pod.
    fn orphan(&mut self, ms: u32, member: MemberIx) {
        let told = 1_500 + self.near(12);
        self.put(ms, Deed::Orphan { member, ms: told });
        let dies = ms + self.near(10);
        self.put(dies, Deed::Sandbox { member, zombie: false });
        let (moved, node) = (ms + told - self.ms(10, 900), self.node());
        self.put(moved, Deed::Move { member, node, grace_s: 30 });
    }

    fn disturb(&mut self, ms: u32, member: MemberIx, trouble: Trouble) {
        let zombie = self.chance.once_in(3);
        let kill = |container| Deed::Kill { member, zombie, container };
        let deed = match trouble {
            Trouble::Force | Trouble::Zombie => {
                let (node, notice_ms) = (self.node(), self.ms(1_000, 20_000));
                Deed::Force { member, node, notice_ms, grace_ms: 2_000 }
            }
            Trouble::Sandbox => Deed::Sandbox { member, zombie },
            Trouble::Orphan => return self.orphan(ms, member),
            Trouble::Overtake => return self.overtake(ms, member),
            Trouble::KillInit => kill(Container::Init),
            Trouble::KillStop => kill(Container::Stop),
            Trouble::KillMain => kill(Container::Main),
            Trouble::FreezeInit | Trouble::FreezeStop => {
                let init = matches!(trouble, Trouble::FreezeInit);
                let container = if init { Container::Init } else { Container::Stop };
                Deed::Freeze { member, zombie, container, ms: self.near(15) }
            }
            Trouble::Power => {
                let stays = self.chance.once_in(3);
                let back_ms = if stays { None } else { Some(500 + self.near(14)) };
                Deed::Power { node: self.node(), back_ms }
            }
            Trouble::Terminate if self.doomed + 2 < self.shape.nodes => {
                self.doomed += 1;
                Deed::Terminate { node: self.node() }
            }
            Trouble::Terminate | Trouble::Agent => {
                let node = self.node();
                if zombie {
                    Deed::FreezeAgent { node, ms: self.near(15) }
                } else {
                    Deed::KillAgent { node }
                }
            }
            Trouble::Thief => {
                let theft = match self.chance.below(3) {
                    0 => Theft::Steal,
                    1 => Theft::Unassign,
                    2.. => Theft::Settle,
                };
                Deed::Thief { member, theft }
            }
            Trouble::Fill => Deed::Fill { node: self.node(), ms: 1_000 + self.near(14) },
            Trouble::Outage => {
                let system = match self.chance.below(3) {
                    0 => Outage::Api,
                    1 => Outage::Ec2,
                    2.. => Outage::Metadata(self.node()),
                };
                Deed::Outage { system, ms: 200 + self.near(14) }
            }
        };
        self.put(ms, deed);
    }
}
