//! Draws a scenario from its seed.

mod agents;
mod endpoint;
mod orphans;
mod strips;

use super::{
    At, Container, Disruption, Endpoint, ExternalReassignment, Fault, Outage, Scenario, Shape,
    StopKind, Swarm,
};
use crate::names::{MAX_MEMBERS, MemberIx, NodeIx};
use crate::seed::{Purpose, SeededRng};

/// One history in this many is calm: the audits check budgets there, and the protocol itself causes
/// every failure.
const CALM: u64 = 16;

/// In one history in this many, a member moves back and forth faster than lags pass: stale views
/// become true again.
const BACK_AND_FORTH: u64 = 12;

/// In one history in this many, other programs on the nodes remove addresses.
const STRIPS: u64 = 6;

/// In one history in this many, agents see the registry through watches, which may fail.
const WATCHES: u64 = 4;
/// The random stream for watches.
const WATCHES_KEY: u64 = 83;

/// In one history in this many, the registry refuses valid requests.
const REFUSALS: u64 = 4;
/// The random stream for refusals.
const REFUSALS_KEY: u64 = 125;

pub(super) fn scenario(seed: u64, with_endpoint: bool) -> Scenario {
    let mut rng = SeededRng::new(seed, Purpose::Shape, 0);
    let calm = rng.once_in(CALM);
    let mut shape = shape(&mut rng);
    let mut swarm = if calm { Swarm::default() } else { swarm(&mut rng) };
    // A separate stream, so that the regression seeds (seeds/found.txt) do not change.
    let mut watches = SeededRng::new(seed, Purpose::Shape, WATCHES_KEY);
    shape.watches = !calm && watches.once_in(WATCHES);
    if shape.watches {
        swarm = swarm_of(Fault::WATCHES, swarm, &mut watches);
    }
    let mut refusals = SeededRng::new(seed, Purpose::Shape, REFUSALS_KEY);
    if !calm && refusals.once_in(REFUSALS) {
        let fault = Fault::RegistryRefuses;
        let rate = refusals.below(fault.most()).saturating_add(1);
        swarm = swarm.with(fault, u16::try_from(rate).unwrap_or(u16::MAX));
    }
    let mut endpoint = SeededRng::new(seed, Purpose::Shape, endpoint::KEY);
    if with_endpoint {
        shape.endpoint = endpoint::endpoint(&mut endpoint);
    }
    let orphans = orphans::orphans(seed, calm || shape.watches, &shape);
    let rng = SeededRng::new(seed, Purpose::Script, 0);
    let mut writer = Writer { rng, shape: &shape, script: Vec::new(), doomed: 0, on: 0 };
    if !calm {
        writer.on = writer.rng.bits();
    }
    // A separate stream, chosen so that no regression seed (seeds/found.txt) gets another script.
    let back_and_forth = SeededRng::new(seed, Purpose::Shape, 4).once_in(BACK_AND_FORTH);
    let mut heal_at_ms = if back_and_forth { writer.move_back_and_forth() } else { writer.write() };
    // A separate stream for the same reason.
    let mut strips = SeededRng::new(seed, Purpose::Shape, 14);
    if !calm && strips.once_in(STRIPS) {
        writer.rng = strips;
        writer.strips(heal_at_ms);
    }
    if !calm && shape.endpoint != Endpoint::Unused {
        writer.rng = endpoint;
        writer.agents_that_serve();
    }
    if shape.watches {
        writer.rng = watches;
        heal_at_ms = writer.agents(heal_at_ms);
    }
    let mut script = writer.script;
    script.sort_by_key(|at| at.ms);
    let heal_at_ms = agents::await_agents(&mut script, heal_at_ms);
    Scenario { seed, shape, swarm, script, heal_at_ms, orphans }
}

fn shape(rng: &mut SeededRng) -> Shape {
    let nodes = 3 + rng.small(3);
    // Few members interleave as well as many do, in less time.
    let members = if rng.once_in(8) { MAX_MEMBERS } else { 2 + rng.small(2) };
    Shape {
        nodes,
        members,
        pool: members + rng.small(2),
        unassign: rng.once_in(3),
        secondary: rng.once_in(3),
        stop: if rng.once_in(4) { StopKind::Hook } else { StopKind::Sidecar },
        deadline_s: if rng.once_in(4) { 20 } else { 120 },
        predecessor_ms: if rng.once_in(4) { 1_500 } else { 300 },
        eni_limit: 6,
        agents: true,
        watches: false,
        endpoint: Endpoint::Unused,
    }
}

fn swarm(rng: &mut SeededRng) -> Swarm {
    swarm_of(Fault::usual(), Swarm::default(), rng)
}

fn swarm_of(
    faults: impl IntoIterator<Item = Fault>,
    mut swarm: Swarm,
    rng: &mut SeededRng,
) -> Swarm {
    for fault in faults {
        // Calls that land outside A1 may violate an invariant for moments, so this fault is rarely
        // on.
        let on = rng.once_in(if fault == Fault::CloudAfterDeadline { 8 } else { 2 });
        let rate = rng.below(fault.most()).saturating_add(1);
        if on {
            swarm = swarm.with(fault, u16::try_from(rate).unwrap_or(u16::MAX));
        }
    }
    swarm
}

/// Kinds of disruptions that a script may contain; the index is a bit.
#[derive(Debug, Clone, Copy)]
enum DisruptionKind {
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
    ExternalReassignment,
    Fill,
    Outage,
    Orphan,
    FreezeAndSupersede,
}

impl DisruptionKind {
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
        Self::ExternalReassignment,
        Self::Fill,
        Self::Outage,
        Self::Orphan,
        Self::FreezeAndSupersede,
    ];

    fn bit(self) -> u64 {
        1 << (self as u64)
    }
}

struct Writer<'a> {
    rng: SeededRng,
    shape: &'a Shape,
    script: Vec<At>,
    /// Terminated nodes: the others must be enough.
    doomed: u8,
    /// The kinds that are on, as bits.
    on: u64,
}

impl Writer<'_> {
    /// Writes the script and returns the time of its end.
    fn write(&mut self) -> u32 {
        for number in 0..self.shape.members {
            let member = MemberIx(number);
            let (node, ms) = (self.node(), self.ms(0, 1_000));
            self.add(ms, Disruption::Start { member, node });
        }
        let mut ms = 2_000 + self.ms(0, 3_000);
        let rounds = 2 + self.rng.below(2);
        for _ in 0..rounds {
            self.round(ms);
            let pause = if self.rng.once_in(3) { 20_000 } else { 6_000 };
            ms += 1_000 + self.ms(0, pause);
        }
        ms + 4_000 + self.ms(0, 10_000)
    }

    /// One member between two nodes, every few seconds.
    fn move_back_and_forth(&mut self) -> u32 {
        for number in 0..self.shape.members {
            let (member, node) = (MemberIx(number), NodeIx(number % 2));
            let ms = self.ms(0, 500);
            self.add(ms, Disruption::Start { member, node });
        }
        let member = self.member();
        let mut ms = 1_500 + self.ms(0, 1_500);
        for round in 0..5 {
            let node = NodeIx(round % 2);
            let disruption = if self.has(DisruptionKind::Force) && self.rng.once_in(3) {
                Disruption::Force { member, node, notice_ms: self.near(11), grace_ms: 2_000 }
            } else {
                Disruption::Move { member, node, grace_s: 30 }
            };
            self.add(ms, disruption);
            ms += 600 + self.ms(0, 4_000);
        }
        ms + 4_000 + self.ms(0, 10_000)
    }

    fn add(&mut self, ms: u32, disruption: Disruption) {
        self.script.push(At { ms, disruption });
    }

    fn ms(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high.saturating_sub(low));
        low + u32::try_from(self.rng.below(span)).unwrap_or_default()
    }

    /// From 1 to 2^bits milliseconds, each order of magnitude with the same probability, for close
    /// races.
    fn near(&mut self, bits: u64) -> u32 {
        let high = 1_u32 << self.rng.below(bits + 1);
        self.ms(high / 2, high)
    }

    fn node(&mut self) -> NodeIx {
        NodeIx(self.rng.small(self.shape.nodes))
    }

    fn member(&mut self) -> MemberIx {
        MemberIx(self.rng.small(self.shape.members))
    }

    fn grace(&mut self) -> u8 {
        if self.rng.once_in(4) { 1 + self.rng.small(3) } else { 30 }
    }

    fn has(&self, kind: DisruptionKind) -> bool {
        self.on & kind.bit() != 0
    }

    /// One event in a member's life, and its disruptions.
    fn round(&mut self, ms: u32) {
        let member = self.member();
        self.lifecycle(ms, member);
        if self.on == 0 {
            return;
        }
        let disturbed = self.rng.below(3);
        for _ in 0..disturbed {
            let pick = self.rng.small(16);
            let kind = DisruptionKind::ALL[usize::from(pick)];
            if self.has(kind) {
                let later = ms + self.near(13);
                self.disturb(later, member, kind);
            }
        }
        if self.rng.once_in(4) {
            // Another move before the first one has completed.
            let again = ms + self.near(13);
            self.lifecycle(again, member);
        }
    }

    fn lifecycle(&mut self, ms: u32, member: MemberIx) {
        if self.has(DisruptionKind::FreezeAndSupersede) && self.rng.once_in(4) {
            return self.freeze_and_supersede(ms, member);
        }
        let (node, grace_s) = (self.node(), self.grace());
        if self.has(DisruptionKind::Force) && self.rng.once_in(3) {
            let zombie = self.has(DisruptionKind::Zombie) && self.rng.once_in(2);
            let notice_ms = if zombie { self.ms(2_000, 30_000) } else { self.near(11) };
            let given = if self.rng.once_in(2) { 2_000 } else { 30_000 };
            self.add(ms, Disruption::Force { member, node, notice_ms, grace_ms: given });
            return;
        }
        match self.rng.below(4) {
            0 => {
                self.add(ms, Disruption::Stop { member, grace_s });
                if !self.rng.once_in(3) {
                    let back = ms + self.near(14);
                    self.add(back, Disruption::Start { member, node });
                }
            }
            1 | 2 | 3.. => self.add(ms, Disruption::Move { member, node, grace_s }),
        }
    }

    /// An init container is frozen, its pod is force-deleted, and it resumes when the successor
    /// runs.
    fn freeze_and_supersede(&mut self, ms: u32, member: MemberIx) {
        let (first, second) = (self.node(), self.node());
        self.add(ms, Disruption::Move { member, node: first, grace_s: 30 });
        let frozen = ms + self.ms(150, 1_400);
        let freeze = Disruption::Freeze {
            member,
            zombie: false,
            container: Container::Init,
            ms: 300 + self.near(13),
        };
        self.add(frozen, freeze);
        let notice_ms = self.ms(5_000, 30_000);
        let forced = frozen + self.near(9);
        self.add(forced, Disruption::Force { member, node: second, notice_ms, grace_ms: 2_000 });
    }

    /// A stop container is orphaned, its pod's sandbox dies and init runs again with the same UID;
    /// then the orphan learns of the end of the pod.
    fn orphan(&mut self, ms: u32, member: MemberIx) {
        let reported = 1_500 + self.near(12);
        self.add(ms, Disruption::Orphan { member, ms: reported });
        let dies = ms + self.near(10);
        self.add(dies, Disruption::Sandbox { member, zombie: false });
        let (moved, node) = (ms + reported - self.ms(10, 900), self.node());
        self.add(moved, Disruption::Move { member, node, grace_s: 30 });
    }

    fn disturb(&mut self, ms: u32, member: MemberIx, kind: DisruptionKind) {
        let zombie = self.rng.once_in(3);
        let kill = |container| Disruption::Kill { member, zombie, container };
        let disruption = match kind {
            DisruptionKind::Force | DisruptionKind::Zombie => {
                let (node, notice_ms) = (self.node(), self.ms(1_000, 20_000));
                Disruption::Force { member, node, notice_ms, grace_ms: 2_000 }
            }
            DisruptionKind::Sandbox => Disruption::Sandbox { member, zombie },
            DisruptionKind::Orphan => return self.orphan(ms, member),
            DisruptionKind::FreezeAndSupersede => return self.freeze_and_supersede(ms, member),
            DisruptionKind::KillInit => kill(Container::Init),
            DisruptionKind::KillStop => kill(Container::Stop),
            DisruptionKind::KillMain => kill(Container::Main),
            DisruptionKind::FreezeInit | DisruptionKind::FreezeStop => {
                let init = matches!(kind, DisruptionKind::FreezeInit);
                let container = if init { Container::Init } else { Container::Stop };
                Disruption::Freeze { member, zombie, container, ms: self.near(15) }
            }
            DisruptionKind::Power => {
                let stays = self.rng.once_in(3);
                let back_ms = if stays { None } else { Some(500 + self.near(14)) };
                Disruption::Power { node: self.node(), back_ms }
            }
            DisruptionKind::Terminate if self.doomed + 2 < self.shape.nodes => {
                self.doomed += 1;
                Disruption::Terminate { node: self.node() }
            }
            DisruptionKind::Terminate | DisruptionKind::Agent => {
                let node = self.node();
                if zombie {
                    Disruption::FreezeAgent { node, ms: self.near(15) }
                } else {
                    Disruption::KillAgent { node }
                }
            }
            DisruptionKind::ExternalReassignment => {
                let reassignment = match self.rng.below(3) {
                    0 => ExternalReassignment::Steal,
                    1 => ExternalReassignment::Unassign,
                    2.. => ExternalReassignment::Settle,
                };
                Disruption::ExternalReassignment { member, reassignment }
            }
            DisruptionKind::Fill => {
                Disruption::Fill { node: self.node(), ms: 1_000 + self.near(14) }
            }
            DisruptionKind::Outage => {
                let system = match self.rng.below(3) {
                    0 => Outage::Api,
                    1 => Outage::Ec2,
                    2.. => Outage::Metadata(self.node()),
                };
                Disruption::Outage { system, ms: 200 + self.near(14) }
            }
        };
        self.add(ms, disruption);
    }
}
