//! The orchestrator: pods, kubelets, controllers and the script, as one state machine that knows
//! nothing of the protocol. It decides when a process starts, receives SIGTERM, is killed or
//! frozen; a [`Level`] carries that out.
//!
//! A driver repeats: take the earlier of [`Orchestrator::next`] and the level's next event; then
//! call [`Orchestrator::wake`], or advance the level and pass processes that ended to
//! [`Orchestrator::ended`].

mod crash;
mod disruptions;
mod ending;
mod heal;
mod kubelet;
mod pod;
mod timers;

pub use pod::ApiPod;

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::machine::Outcome;
use firecamp_core::ports::SocketUse;
use firecamp_core::time::Moment;

use crate::crash_injection::{CrashKind, Recovery};
use crate::level::{Level, Order, Power, Role, Spawn};
use crate::names::{MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::{Disruption, Scenario};
use crate::seed::{Purpose, SeededRng};

use self::pod::{Phase, Pod};
use self::timers::{Timer, Timers};

/// How a process ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ended {
    /// Its machine reached an outcome.
    Outcome(Outcome),
    /// SIGTERM interrupted it.
    Interrupted,
    /// It was killed or frozen at the chosen boundary, and this recovery follows.
    Crashed(CrashKind, Recovery),
}

/// The current time and the level: what every transition needs.
pub(crate) struct Context<'a> {
    pub(crate) now: Moment,
    pub(crate) level: &'a mut dyn Level,
}

impl Context<'_> {
    fn order(&mut self, order: Order) {
        self.level.order(self.now, order);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeState {
    Up,
    Off,
    Dead,
}

#[derive(Debug, Clone)]
struct Node {
    state: NodeState,
    agent: Option<ProcessId>,
}

#[derive(Debug, Clone, Default)]
struct Member {
    /// The node where it is wanted.
    wanted: Option<NodeIx>,
    /// The pod that the API shows.
    pod: Option<PodIx>,
    /// The address that it attached last.
    address: Option<Ipv4Addr>,
}

/// The owner of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Pod(PodIx),
    Agent(NodeIx),
}

/// The orchestrator.
#[derive(Debug, Clone)]
pub struct Orchestrator {
    scenario: Scenario,
    pods: Vec<Pod>,
    members: Vec<Member>,
    nodes: Vec<Node>,
    owners: Vec<Owner>,
    timers: Timers,
    rng: SeededRng,
    api_back: Moment,
    healing: bool,
    /// Number of init containers that have succeeded.
    lives: u32,
    /// Every member has been restarted once more.
    repeated: bool,
    frozen: Vec<ProcessId>,
    /// Processes that their kubelet has lost track of, and their nodes.
    orphans: Vec<(ProcessId, NodeIx)>,
    /// Agents that are about to die while their successor runs already, and their nodes.
    twins: Vec<(ProcessId, NodeIx)>,
    done: [u32; Disruption::KINDS],
    crashed_at: Moment,
}

impl Orchestrator {
    /// An idle cluster, before its script begins.
    pub fn new(scenario: &Scenario) -> Self {
        let scenario = scenario.laid_out();
        let mut timers = Timers::default();
        for (number, at) in scenario.script.iter().enumerate() {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            timers.set(at.moment(), Timer::Disruption(number));
        }
        let heal = Moment(Duration::from_millis(u64::from(scenario.heal_at_ms)));
        timers.set(heal, Timer::Heal);
        if scenario.shape.agents {
            for number in 0..scenario.shape.nodes {
                timers.set(Moment::default(), Timer::StartAgent(NodeIx(number)));
            }
        }
        let node = Node { state: NodeState::Up, agent: None };
        Self {
            pods: Vec::with_capacity(16),
            members: vec![Member::default(); usize::from(scenario.shape.members)],
            nodes: vec![node; usize::from(scenario.shape.nodes)],
            owners: Vec::with_capacity(64),
            timers,
            rng: SeededRng::new(scenario.seed, Purpose::Kubelet, 0),
            api_back: Moment::default(),
            healing: false,
            lives: 0,
            repeated: false,
            frozen: Vec::new(),
            orphans: Vec::new(),
            twins: Vec::new(),
            done: [0; Disruption::KINDS],
            crashed_at: Moment::default(),
            scenario,
        }
    }

    /// When [`Orchestrator::wake`] has to be called next; none if no timer is set.
    pub fn next(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Fires all timers that are due.
    pub fn wake(&mut self, now: Moment, level: &mut dyn Level) {
        let mut ctx = Context { now, level };
        while let Some(timer) = self.timers.due(now) {
            self.fire(timer, &mut ctx);
        }
    }

    /// A process has ended by itself.
    pub fn ended(&mut self, now: Moment, process: ProcessId, ended: &Ended, level: &mut dyn Level) {
        let mut ctx = Context { now, level };
        if let Ended::Crashed(how, recovery) = ended {
            return self.crashed(process, (*how, *recovery), &mut ctx);
        }
        match self.owners.get(process.at()).copied() {
            Some(Owner::Pod(pod)) => self.pod_process_ended(pod, process, ended, &mut ctx),
            Some(Owner::Agent(node)) => {
                self.nodes[node.at()].agent = None;
                self.after(&ctx, (500, 2_000), Timer::StartAgent(node));
            }
            None => {}
        }
    }

    /// Whether the healing phase has begun.
    pub fn is_healing(&self) -> bool {
        self.healing
    }

    /// Whether every wanted member is ready and served, and everything else has ended.
    pub fn is_settled(&self) -> bool {
        let settled = |member: &Member| match (member.wanted, member.pod) {
            (Some(_), Some(pod)) => self.pods[pod.at()].is_serving(),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let over = |pod: &Pod| pod.phase == Phase::Over || pod.is_serving();
        // An agent that was killed starts again, and has not completed a pass yet.
        let watched = |node: &Node| node.state != NodeState::Up || node.agent.is_some();
        let watched = !self.scenario.shape.agents || self.nodes.iter().all(watched);
        watched && self.members.iter().all(settled) && self.pods.iter().all(over)
    }

    /// For each kind of disruption: how often it had an effect.
    pub fn done(&self) -> &[u32; Disruption::KINDS] {
        &self.done
    }

    /// The state of each member's pod, as text.
    pub fn describe(&self) -> String {
        let line = |(number, member): (usize, &Member)| {
            let pod = member.pod.map(|pod| &self.pods[pod.at()]);
            let state = pod.map(|pod| (pod.node, pod.phase, pod.api, pod.ready, pod.main));
            format!("member {number}, wanted on {:?}: {state:?}", member.wanted)
        };
        self.members.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }

    fn fire(&mut self, timer: Timer, ctx: &mut Context<'_>) {
        if timer.needs_api() && ctx.now < self.api_back {
            let later = self.api_back.plus(self.rng.millis(1, 200));
            return self.timers.set(later, timer);
        }
        match timer {
            Timer::Disruption(number) => self.disruption(usize::from(number), ctx),
            Timer::Heal => self.heal(ctx),
            Timer::Create(member) => self.create(member, ctx),
            Timer::StartInit(pod, of) if self.is_current(pod, of) => self.start_init(pod, ctx),
            Timer::StartMain(pod, of) if self.is_current(pod, of) => self.start_main(pod, ctx),
            Timer::StartSidecar(pod, of) if self.is_current(pod, of) => {
                self.start_sidecar(pod, ctx);
            }
            Timer::MainEnds(pod, of) if self.is_current(pod, of) => self.main_ended(pod, ctx),
            Timer::GraceOver(pod, of) if self.is_current(pod, of) => self.grace_over(pod, ctx),
            Timer::KillSidecar(pod, of) if self.is_current(pod, of) => self.kill_sidecar(pod, ctx),
            Timer::Report(pod, of) if self.is_current(pod, of) => self.report(pod, ctx),
            Timer::StartInit(..)
            | Timer::StartMain(..)
            | Timer::StartSidecar(..)
            | Timer::MainEnds(..)
            | Timer::GraceOver(..)
            | Timer::KillSidecar(..)
            | Timer::Report(..) => {}
            Timer::Notice(pod) => self.notice(pod, ctx),
            Timer::Collect(pod) => self.leave_api(pod, ctx),
            Timer::Thaw(process) => ctx.order(Order::Thaw(process)),
            Timer::ReportOrphan(process) => ctx.order(Order::Signal(process)),
            Timer::Boot(node) => self.boot(node, ctx),
            Timer::StartAgent(node) => self.start_agent(node, ctx),
            Timer::Unfill(node) => ctx.order(Order::Fill(node, false)),
            Timer::OutageEnds(system) => ctx.order(Order::Outage(system, false)),
            Timer::KillTwin(process) => ctx.order(Order::Kill(process)),
            Timer::LeasesEnd => ctx.order(Order::Leases(false)),
        }
    }

    /// Whether a timer belongs to the current generation of this pod.
    fn is_current(&self, pod: PodIx, of: u16) -> bool {
        self.pods[pod.at()].generation == of
    }

    /// Sets a timer after a random number of milliseconds.
    fn after(&mut self, ctx: &Context<'_>, (low, high): (u64, u64), timer: Timer) {
        let at = ctx.now.plus(self.rng.millis(low, high));
        self.timers.set(at, timer);
    }

    fn spawn(&mut self, owner: Owner, role: Role, ctx: &mut Context<'_>) -> ProcessId {
        let process = ProcessId(u32::try_from(self.owners.len()).unwrap_or(u32::MAX));
        self.owners.push(owner);
        let (node, member, pod) = match owner {
            Owner::Pod(ix) => {
                let pod = &self.pods[ix.at()];
                (pod.node, pod.member, ix)
            }
            Owner::Agent(node) => (node, MemberIx::default(), PodIx::default()),
        };
        ctx.order(Order::Spawn(Spawn { process, role, node, member, pod }));
        process
    }

    /// Counts the sockets that the main containers of a node have on an address.
    fn count_sockets(&self, node: NodeIx, address: Ipv4Addr, ctx: &mut Context<'_>) {
        let serves = |pod: &&Pod| pod.node == node && pod.serves(address);
        let (listeners, connections) = self
            .pods
            .iter()
            .filter(serves)
            .fold((0, 0), |(all, busy), pod| (all + 1, busy + u32::from(pod.busy)));
        let used = SocketUse { listeners, connections, datagrams: 0 };
        ctx.order(Order::Sockets(node, address, used));
    }

    fn start_agent(&mut self, node: NodeIx, ctx: &mut Context<'_>) {
        let free = self.nodes[node.at()].agent.is_none();
        if free && self.nodes[node.at()].state == NodeState::Up {
            let process = self.spawn(Owner::Agent(node), Role::Agent, ctx);
            self.nodes[node.at()].agent = Some(process);
        }
    }

    fn power_off(&mut self, node: NodeIx, state: NodeState, ctx: &mut Context<'_>) {
        self.nodes[node.at()].state = state;
        if let Some(agent) = self.nodes[node.at()].agent.take() {
            ctx.order(Order::Kill(agent));
        }
        for number in 0..self.pods.len() {
            let pod = PodIx(u16::try_from(number).unwrap_or(u16::MAX));
            if self.pods[pod.at()].node == node && self.pods[pod.at()].phase != Phase::Over {
                self.node_lost(pod, ctx);
            }
        }
        for (orphan, at) in self.orphans.iter().chain(&self.twins) {
            if *at == node {
                ctx.order(Order::Kill(*orphan));
            }
        }
        let power = if state == NodeState::Dead { Power::Terminated } else { Power::Lost };
        ctx.order(Order::Node(node, power));
    }
}
