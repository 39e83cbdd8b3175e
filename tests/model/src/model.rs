//! The model: which actions there are in a state, and what they make of it.

use stateright::{Model, Property};

use crate::acts::Act;
use crate::cast::{Cast, FOREIGN, small};
use crate::config::Config;
use crate::heal::Healed;
use crate::machines::{Ask, Machines};
use crate::properties;
use crate::state::{Address, Api, Budget, CALLS, Kernel, PROCS, Phase, Pod, Stolen, World};

/// The model of one configuration.
#[derive(Debug)]
pub struct Small {
    pub(crate) config: Config,
    pub(crate) machines: Machines,
    pub(crate) healed: Healed,
}

impl Small {
    /// The model of a configuration.
    pub fn new(config: Config) -> Self {
        let machines = Machines::new(Cast::new(config.two, config.unassign));
        Self { config, machines, healed: Healed::default() }
    }

    /// How many states of machines and contents of records were met.
    pub fn sizes(&self) -> (usize, usize) {
        self.machines.sizes()
    }

    fn first(&self) -> World {
        let cast = &self.machines.cast;
        let address = |member| Address::new(self.machines.record_number(cast.fresh_record(member)));
        let mut world = World {
            addresses: [address(0), address(1)],
            pods: [Pod::default(); crate::cast::PODS],
            procs: [None; PROCS],
            calls: [None; CALLS],
            budget: self.config.budget,
            gone: 0,
            wrong: 0,
        };
        for member in 0..cast.members() {
            self.schedule(&mut world, member * cast.pods_each(), 0);
        }
        if self.config.warm {
            world.budget = Budget::default();
            while self.round(&mut world) {}
            world.budget = self.config.budget;
        }
        world
    }

    pub(crate) fn act(&self, world: &mut World, act: Act) {
        match act {
            Act::Tick => self.tick(world),
            Act::Step(slot, pick) => self.step(world, slot, pick),
            Act::Lose(slot) => {
                world.budget.lost -= 1;
                self.lose(world, slot);
            }
            Act::Fail(slot) => {
                world.budget.lost -= 1;
                self.fail(world, slot);
            }
            Act::Crash(slot) => {
                world.budget.crash -= 1;
                self.crash(world, slot);
            }
            Act::CrashSent(slot) => {
                world.budget.crash -= 1;
                self.send(world, slot);
                self.crash(world, slot);
            }
            Act::Late(slot) => {
                world.budget.late -= 1;
                self.land_late(world, slot);
            }
            Act::Land(call) => {
                if let Some(landing) = world.calls[call].take() {
                    world.budget.late -= u8::from(landing.left == 0);
                    self.land(world, landing);
                }
            }
            Act::Schedule(..)
            | Act::Delete(_)
            | Act::Force(_)
            | Act::MainEnds(_)
            | Act::Sandbox(_)
            | Act::Reboot(_)
            | Act::NodeLost(_)
            | Act::Errand(..)
            | Act::Theft(..) => self.surround(world, act),
        }
        self.forget(world);
        world.tidy();
    }

    /// Where nobody runs and no pod is to run, a lock's record that nobody can be held to any more
    /// is as good as none: later holders have higher epochs. So is, where no agent looks, an
    /// address that was left in the kernel.
    fn forget(&self, world: &mut World) {
        for node in 0..self.config.nodes {
            let runs = world.procs.iter().flatten().any(|p| self.context(world, *p).node == node);
            let pods = world
                .pods
                .iter()
                .any(|p| p.node == node && (p.api == Api::Running || p.api == Api::Terminating));
            if runs || pods {
                continue;
            }
            for address in &mut world.addresses {
                let kernel = address.kernel_at(node);
                let idle = !kernel.present && kernel.lock.is_none_or(|lock| !lock.held);
                if idle || !self.config.agent {
                    *kernel = Kernel::default();
                }
            }
        }
    }

    /// What happens around the processes.
    fn surround(&self, world: &mut World, act: Act) {
        match act {
            Act::Schedule(pod, node) => self.schedule(world, pod, node),
            Act::Delete(pod) => self.delete(world, pod),
            Act::Force(pod) => {
                world.budget.force -= 1;
                self.force(world, pod);
            }
            Act::MainEnds(pod) => world.pods[pod].serving = false,
            Act::Sandbox(pod) => {
                world.budget.sandbox -= 1;
                self.sandbox(world, pod);
            }
            Act::Reboot(node) => {
                world.budget.reboot -= 1;
                self.reboot(world, node, false);
            }
            Act::NodeLost(node) => {
                world.budget.loss -= 1;
                self.reboot(world, node, true);
            }
            Act::Errand(node, member, astray) => {
                world.budget.reassert -= u8::from(astray);
                self.errand(world, node, member, astray);
            }
            Act::Theft(member, thief) => {
                world.budget.theft -= 1;
                let address = &mut world.addresses[member];
                address.give(thief, &self.config);
                address.stolen = Stolen::Yes;
            }
            Act::Tick
            | Act::Step(..)
            | Act::Lose(_)
            | Act::Fail(_)
            | Act::Crash(_)
            | Act::CrashSent(_)
            | Act::Late(_)
            | Act::Land(_) => {}
        }
    }

    fn send(&self, world: &mut World, slot: usize) {
        let proc = self.awake(world, world.proc(slot));
        let at = self.context(world, proc);
        if let Some(call) = Self::call(at, self.machines.known(proc.machine).ask) {
            world.in_flight(call);
        }
    }

    fn land_late(&self, world: &mut World, slot: usize) {
        let proc = self.awake(world, world.proc(slot));
        let at = self.context(world, proc);
        if let Some(call) = Self::call(at, self.machines.known(proc.machine).ask) {
            let seen = self.land(world, call);
            world.procs[slot] = Some(proc);
            self.tell(world, slot, seen);
        }
    }

    /// Half of T passes, for everything at once. What may take that long no longer has happened.
    pub(crate) fn tick(&self, world: &mut World) {
        for proc in world.procs.iter_mut().flatten() {
            if let Ask::Pause(ticks) = self.machines.known(proc.machine).ask {
                proc.waited = (proc.waited + 1).min(ticks);
            }
            proc.machine = self.machines.older(proc.machine);
        }
        let late = world.budget.late > 0;
        for slot in &mut world.calls {
            if let Some(call) = slot {
                call.left = call.left.saturating_sub(1);
                if call.left == 0 && !late {
                    *slot = None;
                }
            }
        }
        let shown_by = self.shown_by();
        for address in &mut world.addresses {
            for ttl in &mut address.stale {
                *ttl = ttl.saturating_sub(1);
            }
            if address.owner == FOREIGN {
                address.foreign = (address.foreign + 1).min(shown_by);
            }
            if address.due == 1 {
                address.switch(self.config.fifo);
            }
            address.due = address.due.saturating_sub(1);
        }
    }
}

impl Model for Small {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![self.first()]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        self.all_acts(world, acts);
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = world.clone();
        self.act(&mut next, act);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.config)
    }
}

impl Small {
    /// The number of a pod that is up.
    pub(crate) fn ready(world: &World) -> impl Iterator<Item = (usize, &Pod)> {
        let pods = world.pods.iter().enumerate();
        pods.filter(|(_, pod)| pod.api == Api::Running && pod.phase == Phase::Up)
    }

    /// The last pod of a member, live or not.
    pub(crate) fn latest(&self, world: &World, member: usize) -> Option<u8> {
        let cast = &self.machines.cast;
        let pods = world.pods.iter().enumerate();
        pods.filter(|(n, p)| cast.member_of(*n) == member && p.api != Api::Future)
            .map(|(n, _)| small(n))
            .max()
    }
}
