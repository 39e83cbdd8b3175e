//! Healing: from any state, with no more faults and everybody getting his turn, the member's pod
//! comes up and everything agrees.

use ahash::RandomState;
use dashmap::DashSet;

use crate::cast::{FOREIGN, NOBODY, NODES, OWNERS};
use crate::config::Config;
use crate::machines::Ask;
use crate::model::Small;
use crate::state::{Api, Budget, PROCS, Phase, World};

/// Rounds of half of T each within which everything must be well.
const ROUNDS: usize = 24;
/// Steps of one process in one round: more means that it runs in a circle.
const STEPS: usize = 200;

/// States from which healing is known to succeed, by fingerprint.
#[derive(Debug)]
pub(crate) struct Healed {
    known: DashSet<u64, RandomState>,
    hasher: RandomState,
}

impl Default for Healed {
    fn default() -> Self {
        Self { known: DashSet::default(), hasher: RandomState::with_seeds(1, 2, 3, 4) }
    }
}

impl Healed {
    fn learn(&self, way: &[u64]) {
        for mark in way {
            self.known.insert(*mark);
        }
    }
}

impl Small {
    /// The same state, but that no fault comes any more.
    fn calm(&self, world: &World) -> World {
        let mut world = world.clone();
        world.budget = Budget::default();
        for address in &mut world.addresses {
            address.stale = [0; OWNERS];
            if address.owner == FOREIGN {
                address.give(NOBODY, &Config { lag: 0, ..self.config });
            }
        }
        world
    }

    /// What a healing that fails comes to, round by round.
    pub(crate) fn rounds(&self, world: &World) -> Vec<World> {
        let mut world = self.calm(world);
        let mut rounds = Vec::new();
        while rounds.len() < ROUNDS && self.round(&mut world) {
            rounds.push(world.clone());
        }
        rounds
    }

    /// Whether the state heals. Every state on the way that is known to heal ends the question.
    pub(crate) fn heals(&self, world: &World) -> bool {
        let mut world = self.calm(world);
        let mut way = Vec::new();
        for _ in 0..ROUNDS {
            let mark = self.healed.hasher.hash_one(&world);
            if self.healed.known.contains(&mark) {
                self.healed.learn(&way);
                return true;
            }
            way.push(mark);
            if !self.round(&mut world) {
                let well = self.is_well(&world);
                if well {
                    self.healed.learn(&way);
                }
                return well;
            }
        }
        false
    }

    /// Everybody goes as far as he can, then a tick passes. False if there was nothing to do.
    pub(crate) fn round(&self, world: &mut World) -> bool {
        let mut busy = self.kubelets(world);
        busy |= self.config.agent && self.agents(world);
        for slot in 0..PROCS {
            busy |= self.turn(world, slot);
        }
        world.tidy();
        let waiting = world.procs.iter().flatten().any(|proc| {
            let ask = self.machines.known(proc.machine).ask;
            matches!(ask, Ask::Pause(_) | Ask::BackOff)
        });
        let pending = world.calls.iter().any(Option::is_some);
        let switching = world.addresses.iter().any(|a| a.due > 0);
        if busy || waiting || pending || switching {
            self.tick(world);
            world.tidy();
            return true;
        }
        false
    }

    /// One process goes on until it waits.
    fn turn(&self, world: &mut World, slot: usize) -> bool {
        let mut busy = false;
        for step in 0..STEPS {
            let Some(proc) = world.procs[slot] else { return busy };
            let waits = self.machines.known(proc.machine).ask;
            if matches!(waits, Ask::Pause(_) | Ask::BackOff) && step > 0 {
                return true;
            }
            let ask = self.asks(world, proc);
            let mut picks = [None; 2];
            self.picks(world, proc, |pick| picks = [picks[0].or(Some(pick)), Some(pick)]);
            let at = self.context(world, proc);
            let pick = match (ask, picks) {
                (_, [None, _]) => return busy,
                (Ask::Owner | Ask::Await, _) => world.addresses[at.member].owner,
                (_, [_, last]) => last.unwrap_or_default(),
            };
            self.step(world, slot, pick);
            busy = true;
        }
        true
    }

    /// Failed init containers are started again; members without a pod get their next.
    fn kubelets(&self, world: &mut World) -> bool {
        let mut busy = false;
        for pod in 0..world.pods.len() {
            let it = world.pods[pod];
            if it.api == Api::Gone && it.serving {
                world.pods[pod].serving = false;
                busy = true;
            }
            let lost = world.gone & (1 << it.node) != 0;
            if lost && (it.api == Api::Running || it.api == Api::Terminating) {
                world.pods[pod].api = Api::Gone;
                busy = true;
            } else if it.api == Api::Running && it.phase == Phase::Stuck {
                self.restart(world, pod);
                busy = true;
            }
        }
        for member in 0..self.machines.cast.members() {
            if let Some(pod) = self.next_pod(world, member, usize::MAX) {
                let last =
                    self.latest(world, member).map_or(0, |pod| world.pods[usize::from(pod)].node);
                let others = (1..=self.config.nodes).map(|n| (last + n) % self.config.nodes);
                let up = others.into_iter().find(|n| world.gone & (1 << n) == 0);
                self.schedule(world, pod, up.unwrap_or_default());
                busy = true;
            }
        }
        busy
    }

    /// Agents begin what they have to do; what EC2 shows is the truth by now.
    fn agents(&self, world: &mut World) -> bool {
        let mut busy = false;
        for member in 0..self.machines.cast.members() {
            let gone = world.gone;
            for node in (0..self.config.nodes).filter(|node| gone & (1 << node) == 0) {
                let astray = world.addresses[member].owner != node;
                let due = !self.is_busy(world, node, member)
                    && self.duty(world, node, member, astray).is_some();
                if due {
                    self.errand(world, node, member, astray);
                    busy = true;
                }
            }
        }
        busy
    }

    fn is_well(&self, world: &World) -> bool {
        (0..self.machines.cast.members()).all(|member| {
            let up = Self::ready(world).find(|(n, _)| self.machines.cast.member_of(*n) == member);
            up.is_some_and(|(pod, it)| {
                let kernel = world.addresses[member].kernel;
                let left = |node: usize| node != usize::from(it.node) && kernel[node].present;
                let clean = !self.config.agent || !(0..NODES).any(left);
                clean && self.agrees(world, pod)
            })
        })
    }
}
