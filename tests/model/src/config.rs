//! The configurations: which world, and which faults.

use crate::state::Budget;

/// How a stop container is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooks {
    /// As a native sidecar: it fixes its epoch at its start and acts on SIGTERM.
    Sidecar,
    /// As its container's preStop hook: it begins when the pod is deleted.
    PreStop,
}

/// One world to explore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Two members, whose addresses may be on one ENI; or one.
    pub two: bool,
    /// Nodes, at most 3.
    pub nodes: u8,
    /// Incarnations of each member's pod.
    pub pods: usize,
    /// Runs of one pod's init container that the kubelet starts before it gives up for good.
    pub inits: u8,
    /// How stop containers are run.
    pub hooks: Hooks,
    /// A pod's main container may keep the address open after its pod was deleted by force.
    pub linger: bool,
    /// The pool says Unassign.
    pub unassign: bool,
    /// Ticks that Describe may lag.
    pub lag: u8,
    /// IMDS shows every change, in order; else what it shows next is the truth of that moment.
    pub fifo: bool,
    /// Invisible steps are taken along with the one before.
    pub eager: bool,
    /// Time passes only where somebody waits for it.
    pub lazy: bool,
    /// Calls land within T of what authorised them, or never (assumption A1).
    pub a1: bool,
    /// The node's agents do their duties.
    pub agent: bool,
    /// Outsiders are of this cluster, or foreign.
    pub foreign: bool,
    /// The faults.
    pub budget: Budget,
    /// Part of `cargo test`; else of `make model` alone.
    pub quick: bool,
}

const NO_FAULT: Budget =
    Budget { crash: 0, lost: 0, force: 0, sandbox: 0, reboot: 0, late: 0, theft: 0 };

const BASE: Config = Config {
    name: "",
    about: "",
    two: false,
    nodes: 2,
    pods: 2,
    inits: 3,
    hooks: Hooks::Sidecar,
    linger: false,
    unassign: false,
    lag: 4,
    fifo: false,
    eager: false,
    lazy: false,
    a1: true,
    agent: false,
    foreign: false,
    budget: NO_FAULT,
    quick: true,
};

/// All of them.
pub const CONFIGS: &[Config] = &[
    Config {
        name: "move",
        about: "a member is deleted and comes back, here or elsewhere; one crash, one lost answer",
        budget: Budget { crash: 1, lost: 1, ..NO_FAULT },
        ..BASE
    },
    Config {
        name: "force-delete",
        about: "pods are deleted by force while their containers live on",
        eager: true,
        lag: 0,
        budget: Budget { crash: 1, force: 1, ..NO_FAULT },
        ..BASE
    },
];

impl Default for Config {
    fn default() -> Self {
        BASE
    }
}

impl Config {
    /// The same with another value in one field; none if there is no such field.
    #[must_use]
    pub fn with(mut self, field: &str, number: u8) -> Option<Self> {
        let on = number > 0;
        match field {
            "two" => self.two = on,
            "nodes" => self.nodes = number,
            "pods" => self.pods = usize::from(number),
            "inits" => self.inits = number,
            "hooks" => self.hooks = if on { Hooks::PreStop } else { Hooks::Sidecar },
            "linger" => self.linger = on,
            "unassign" => self.unassign = on,
            "lag" => self.lag = number,
            "fifo" => self.fifo = on,
            "eager" => self.eager = on,
            "lazy" => self.lazy = on,
            "a1" => self.a1 = on,
            "agent" => self.agent = on,
            "foreign" => self.foreign = on,
            "crash" => self.budget.crash = number,
            "lost" => self.budget.lost = number,
            "force" => self.budget.force = number,
            "sandbox" => self.budget.sandbox = number,
            "reboot" => self.budget.reboot = number,
            "late" => self.budget.late = number,
            "theft" => self.budget.theft = number,
            _ => return None,
        }
        Some(self)
    }
}

/// The configuration of that name.
pub fn named(name: &str) -> Option<Config> {
    CONFIGS.iter().copied().find(|config| config.name == name)
}
