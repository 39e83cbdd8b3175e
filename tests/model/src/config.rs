//! The configurations: the size of the model, and its faults.

use crate::state::Budget;

/// How a stop container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooks {
    /// As a native sidecar: it reads its epoch at its start and transitions on SIGTERM.
    Sidecar,
    /// As its container's preStop hook: it starts when the pod is deleted.
    PreStop,
}

/// One configuration to explore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Its name.
    pub name: &'static str,
    /// What it covers.
    pub about: &'static str,
    /// Two members, whose addresses may be on one ENI; otherwise one.
    pub two: bool,
    /// Nodes, at most 3.
    pub nodes: u8,
    /// Incarnations of each member's pod.
    pub pods: usize,
    /// How often the kubelet runs the init container of one pod.
    pub inits: u8,
    /// How stop containers run.
    pub hooks: Hooks,
    /// A pod's main container may keep the address open after a forced deletion.
    pub linger: bool,
    /// A file registry, which has no pods.
    pub vouched: bool,
    /// The pool's release policy is Unassign.
    pub unassign: bool,
    /// The number of ticks that Describe may lag.
    pub lag: u8,
    /// IMDS shows every change in order; otherwise its next change shows the state of that moment.
    pub fifo: bool,
    /// Invisible steps are combined with the step before.
    pub eager: bool,
    /// Packets follow the owner at once, and so does IMDS.
    pub instant: bool,
    /// It starts with a pod that is up.
    pub warm: bool,
    /// Replies are lost, but requests are not.
    pub answers: bool,
    /// Time passes only while a process waits for it.
    pub lazy: bool,
    /// Nothing fails, and EC2 calls are counted.
    pub calm: bool,
    /// The nodes' agents run their operations.
    pub agent: bool,
    /// At any time, they evict addresses that are parked on their node.
    pub evicts: bool,
    /// Each node has two agents: the previous pod of the DaemonSet has not terminated yet.
    pub twins: bool,
    /// External callers use a foreign ENI instead of ENIs of this cluster.
    pub foreign: bool,
    /// The faults.
    pub budget: Budget,
    /// Part of `cargo test`; otherwise only of `make model`.
    pub quick: bool,
}

const NO_FAULT: Budget = Budget {
    crash: 0,
    lost: 0,
    force: 0,
    sandbox: 0,
    reboot: 0,
    loss: 0,
    reassert: 0,
    late: 0,
    reassignment: 0,
};

const BASE: Config = Config {
    name: "",
    about: "",
    two: false,
    nodes: 2,
    pods: 2,
    inits: 3,
    hooks: Hooks::Sidecar,
    linger: false,
    vouched: false,
    unassign: false,
    lag: 4,
    fifo: true,
    eager: false,
    instant: false,
    warm: false,
    answers: false,
    lazy: false,
    calm: false,
    agent: false,
    evicts: false,
    twins: false,
    foreign: false,
    budget: NO_FAULT,
    quick: true,
};

/// Settings that keep a model small: invisible steps are combined, and time passes only if needed.
const COARSE: Config = Config { eager: true, lazy: true, lag: 0, ..BASE };

/// All configurations.
pub const CONFIGS: &[Config] = &[
    Config {
        name: "move",
        about: "a member's pod is deleted and starts again, here or elsewhere; Describe lags",
        budget: Budget { crash: 1, lost: 1, ..NO_FAULT },
        ..BASE
    },
    Config {
        name: "there-and-back",
        about: "three incarnations on two nodes: IMDS and Describe may show an earlier incarnation",
        pods: 3,
        eager: true,
        lag: 1,
        hooks: Hooks::PreStop,
        ..BASE
    },
    Config {
        name: "calm",
        about: "three incarnations on three nodes without faults: the EC2 calls of an attach",
        nodes: 3,
        pods: 3,
        calm: true,
        ..COARSE
    },
    Config {
        name: "force-delete",
        about: "pods are deleted by force while their containers still run",
        hooks: Hooks::PreStop,
        budget: Budget { crash: 1, lost: 1, force: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "overlap",
        about: "one node: a successor starts while its predecessor still serves",
        nodes: 1,
        linger: true,
        eager: true,
        lag: 0,
        budget: Budget { crash: 1, force: 1, ..NO_FAULT },
        ..BASE
    },
    Config {
        name: "sandbox",
        about: "one pod UID releases and attaches repeatedly, as its sandbox dies",
        nodes: 1,
        pods: 1,
        eager: true,
        budget: Budget { crash: 1, lost: 1, sandbox: 2, ..NO_FAULT },
        ..BASE
    },
    Config {
        name: "vouched",
        about: "a file registry on one machine: the caller vouches for the pod, SIGTERM suffices",
        nodes: 1,
        vouched: true,
        eager: true,
        lag: 0,
        budget: Budget { crash: 1, sandbox: 1, ..NO_FAULT },
        ..BASE
    },
    Config {
        name: "two-addresses",
        about: "two members whose addresses may be on one ENI and in one kernel",
        two: true,
        instant: true,
        budget: Budget { force: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "foreign-reassignment",
        about: "an external caller assigns the address to a foreign ENI, and agents observe it",
        foreign: true,
        agent: true,
        instant: true,
        budget: Budget { reassignment: 2, reassert: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "external-reassignment",
        about: "an external caller moves the address to another ENI of this cluster, or to none",
        agent: true,
        budget: Budget { reassignment: 1, reassert: 2, lost: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "agent-restart",
        about: "an agent dies with the call of a re-assert in flight, and the next one re-asserts",
        agent: true,
        instant: true,
        warm: true,
        hooks: Hooks::PreStop,
        budget: Budget { reassignment: 1, reassert: 2, crash: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "unassign",
        about: "each release unassigns the address in EC2",
        unassign: true,
        lag: 1,
        eager: true,
        budget: Budget { crash: 1, lost: 1, force: 1, ..NO_FAULT },
        ..BASE
    },
    Config {
        name: "evict",
        about: "agents unassign parked addresses while the member starts again",
        agent: true,
        evicts: true,
        instant: true,
        hooks: Hooks::PreStop,
        budget: Budget { crash: 1, lost: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "reboot",
        about: "a node reboots and its pods start again under their UIDs",
        eager: true,
        lag: 0,
        budget: Budget { reboot: 1, lost: 1, ..NO_FAULT },
        ..BASE
    },
    Config {
        name: "node-loss",
        about: "a node is gone for good, and an agent elsewhere finishes its releases",
        agent: true,
        budget: Budget { loss: 1, force: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "agent",
        about: "agents withdraw, and release for pods whose stop container did not",
        agent: true,
        instant: true,
        hooks: Hooks::PreStop,
        budget: Budget { force: 1, crash: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "endpoint",
        about: "an agent runs attach and release, and dies with them and an operation of its own",
        agent: true,
        instant: true,
        warm: true,
        hooks: Hooks::PreStop,
        budget: Budget { force: 1, crash: 2, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "twin-agents",
        about: "two agents on each node, all of which release for a node that is lost",
        agent: true,
        twins: true,
        instant: true,
        warm: true,
        hooks: Hooks::PreStop,
        budget: Budget { force: 1, loss: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "late",
        about: "outside assumption A1: a call takes effect at any time after T; it still heals",
        agent: true,
        instant: true,
        hooks: Hooks::PreStop,
        budget: Budget { force: 1, late: 1, lost: 1, reassert: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "three-incarnations",
        about: "three nodes and three incarnations from the very first attach",
        nodes: 3,
        pods: 3,
        instant: true,
        quick: false,
        hooks: Hooks::PreStop,
        budget: Budget { crash: 1, lost: 1, force: 1, ..NO_FAULT },
        ..COARSE
    },
    Config {
        name: "everything",
        about: "three nodes, three incarnations, two crashes, two lost answers, two forced deletions",
        nodes: 3,
        pods: 3,
        instant: true,
        warm: true,
        quick: false,
        hooks: Hooks::PreStop,
        budget: Budget { crash: 2, lost: 2, force: 2, ..NO_FAULT },
        ..COARSE
    },
];

impl Default for Config {
    fn default() -> Self {
        BASE
    }
}

impl Config {
    /// The same configuration with another value in one field; none without such a field.
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
            "vouched" => self.vouched = on,
            "unassign" => self.unassign = on,
            "lag" => self.lag = number,
            "fifo" => self.fifo = on,
            "eager" => self.eager = on,
            "instant" => self.instant = on,
            "warm" => self.warm = on,
            "answers" => self.answers = on,
            "lazy" => self.lazy = on,
            "calm" => self.calm = on,
            "agent" => self.agent = on,
            "evicts" => self.evicts = on,
            "twins" => self.twins = on,
            "foreign" => self.foreign = on,
            "crash" => self.budget.crash = number,
            "lost" => self.budget.lost = number,
            "force" => self.budget.force = number,
            "sandbox" => self.budget.sandbox = number,
            "reboot" => self.budget.reboot = number,
            "loss" => self.budget.loss = number,
            "reassert" => self.budget.reassert = number,
            "late" => self.budget.late = number,
            "reassignment" => self.budget.reassignment = number,
            _ => return None,
        }
        Some(self)
    }
}

/// The configuration of that name.
pub fn named(name: &str) -> Option<Config> {
    CONFIGS.iter().copied().find(|config| config.name == name)
}
