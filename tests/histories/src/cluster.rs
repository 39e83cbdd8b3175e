//! The director: pods, kubelets, controllers and the script, as one state machine without any
//! protocol in it. It decides which process begins, is told to stop, is killed or frozen, and
//! when; a [`Level`] carries that out.
//!
//! A driver repeats: take the earlier of [`Director::next`] and the level's own next event; call
//! [`Director::wake`], or let the level go on and pass what ended to [`Director::ended`].

mod crash;
mod deeds;
mod ending;
mod heal;
mod kubelet;
mod pod;
mod timers;

pub use pod::ApiPod;

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::machine::Outcome;
use firecamp_core::outside::SocketUse;
use firecamp_core::time::Moment;

use crate::level::{Level, Order, Power, Role, Spawn};
use crate::names::{MemberIx, NodeIx, PodIx, ProcessId};
use crate::scenario::{Deed, Scenario};
use crate::seed::{Chance, Purpose};
use crate::strike::{How, Recovery};

use self::pod::{Phase, Pod};
use self::timers::{Timer, Timers};

/// How a process ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ended {
    /// Its machine came to its outcome.
    Outcome(Outcome),
    /// SIGTERM interrupted it.
    Interrupted,
    /// It was killed or frozen where it was to crash, and this is to follow.
    Crashed(How, Recovery),
}

/// The present and a level: what every transition needs.
pub(crate) struct Turn<'a> {
    pub(crate) now: Moment,
    pub(crate) level: &'a mut dyn Level,
}

impl Turn<'_> {
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
    /// Where it is wanted.
    wanted: Option<NodeIx>,
    /// The pod that the API shows.
    pod: Option<PodIx>,
    /// What it attached last.
    address: Option<Ipv4Addr>,
}

/// Whose process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Pod(PodIx),
    Agent(NodeIx),
}

/// The director.
#[derive(Debug, Clone)]
pub struct Director {
    scenario: Scenario,
    pods: Vec<Pod>,
    members: Vec<Member>,
    nodes: Vec<Node>,
    owners: Vec<Owner>,
    timers: Timers,
    chance: Chance,
    api_back: Moment,
    healing: bool,
    /// Init containers that have succeeded.
    lives: u32,
    /// Every member has been restarted once more.
    repeated: bool,
    frozen: Vec<ProcessId>,
    /// Processes that their kubelet has lost track of, and their nodes.
    orphans: Vec<(ProcessId, NodeIx)>,
    /// Agents that are to die, beside which the next one runs, and their nodes.
    twins: Vec<(ProcessId, NodeIx)>,
    done: [u32; Deed::KINDS],
    crashed_at: Moment,
}

impl Director {
    /// A cluster at rest, before its script begins.
    pub fn new(scenario: &Scenario) -> Self {
        let scenario = scenario.laid_out();
        let mut timers = Timers::default();
        for (number, at) in scenario.script.iter().enumerate() {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            timers.set(at.moment(), Timer::Deed(number));
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
            chance: Chance::new(scenario.seed, Purpose::Kubelet, 0),
            api_back: Moment::default(),
            healing: false,
            lives: 0,
            repeated: false,
            frozen: Vec::new(),
            orphans: Vec::new(),
            twins: Vec::new(),
            done: [0; Deed::KINDS],
            crashed_at: Moment::default(),
            scenario,
        }
    }

    /// When it has to be woken next. None: nothing more happens by itself.
    pub fn next(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Lets everything happen that is due.
    pub fn wake(&mut self, now: Moment, level: &mut dyn Level) {
        let mut turn = Turn { now, level };
        while let Some(timer) = self.timers.due(now) {
            self.fire(timer, &mut turn);
        }
    }

    /// A process has ended by itself.
    pub fn ended(&mut self, now: Moment, process: ProcessId, ended: &Ended, level: &mut dyn Level) {
        let mut turn = Turn { now, level };
        if let Ended::Crashed(how, recovery) = ended {
            return self.crashed(process, (*how, *recovery), &mut turn);
        }
        match self.owners.get(process.at()).copied() {
            Some(Owner::Pod(pod)) => self.pod_process_ended(pod, process, ended, &mut turn),
            Some(Owner::Agent(node)) => {
                self.nodes[node.at()].agent = None;
                self.after(&turn, (500, 2_000), Timer::StartAgent(node));
            }
            None => {}
        }
    }

    /// Whether the healing phase has begun.
    pub fn is_healing(&self) -> bool {
        self.healing
    }

    /// Whether every member that is wanted is ready and served, and everything else is gone.
    pub fn is_settled(&self) -> bool {
        let settled = |member: &Member| match (member.wanted, member.pod) {
            (Some(_), Some(pod)) => self.pods[pod.at()].is_serving(),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let over = |pod: &Pod| pod.phase == Phase::Over || pod.is_serving();
        // An agent that was killed starts again, and has not looked around yet.
        let watched = |node: &Node| node.state != NodeState::Up || node.agent.is_some();
        let watched = !self.scenario.shape.agents || self.nodes.iter().all(watched);
        watched && self.members.iter().all(settled) && self.pods.iter().all(over)
    }

    /// How often each kind of deed was done to something.
    pub fn done(&self) -> &[u32; Deed::KINDS] {
        &self.done
    }

    /// What each member's pod is doing, for people.
    pub fn describe(&self) -> String {
        let line = |(number, member): (usize, &Member)| {
            let pod = member.pod.map(|pod| &self.pods[pod.at()]);
            let doing = pod.map(|pod| (pod.node, pod.phase, pod.api, pod.ready, pod.main));
            format!("member {number}, wanted on {:?}: {doing:?}", member.wanted)
        };
        self.members.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }

    fn fire(&mut self, timer: Timer, turn: &mut Turn<'_>) {
        if timer.needs_api() && turn.now < self.api_back {
            let later = self.api_back.plus(self.chance.millis(1, 200));
            return self.timers.set(later, timer);
        }
        match timer {
            Timer::Deed(number) => self.deed(usize::from(number), turn),
            Timer::Heal => self.heal(turn),
            Timer::Create(member) => self.create(member, turn),
            Timer::StartInit(pod, of) if self.is_turn(pod, of) => self.start_init(pod, turn),
            Timer::StartMain(pod, of) if self.is_turn(pod, of) => self.start_main(pod, turn),
            Timer::StartSide(pod, of) if self.is_turn(pod, of) => self.start_side(pod, turn),
            Timer::MainEnds(pod, of) if self.is_turn(pod, of) => self.main_ended(pod, turn),
            Timer::GraceOver(pod, of) if self.is_turn(pod, of) => self.grace_over(pod, turn),
            Timer::KillSide(pod, of) if self.is_turn(pod, of) => self.kill_side(pod, turn),
            Timer::Report(pod, of) if self.is_turn(pod, of) => self.report(pod, turn),
            Timer::StartInit(..)
            | Timer::StartMain(..)
            | Timer::StartSide(..)
            | Timer::MainEnds(..)
            | Timer::GraceOver(..)
            | Timer::KillSide(..)
            | Timer::Report(..) => {}
            Timer::Notice(pod) => self.notice(pod, turn),
            Timer::Collect(pod) => self.leave_api(pod, turn),
            Timer::Thaw(process) => turn.order(Order::Thaw(process)),
            Timer::TellOrphan(process) => turn.order(Order::Signal(process)),
            Timer::Boot(node) => self.boot(node, turn),
            Timer::StartAgent(node) => self.start_agent(node, turn),
            Timer::Unfill(node) => turn.order(Order::Fill(node, false)),
            Timer::OutageEnds(system) => turn.order(Order::Outage(system, false)),
            Timer::KillTwin(process) => turn.order(Order::Kill(process)),
            Timer::LeasesEnd => turn.order(Order::Leases(false)),
        }
    }

    /// Whether a timer was set in the present turn of this pod's life.
    fn is_turn(&self, pod: PodIx, of: u16) -> bool {
        self.pods[pod.at()].turn == of
    }

    /// Sets a timer for some milliseconds from now.
    fn after(&mut self, turn: &Turn<'_>, (low, high): (u64, u64), timer: Timer) {
        let at = turn.now.plus(self.chance.millis(low, high));
        self.timers.set(at, timer);
    }

    fn spawn(&mut self, owner: Owner, role: Role, turn: &mut Turn<'_>) -> ProcessId {
        let process = ProcessId(u32::try_from(self.owners.len()).unwrap_or(u32::MAX));
        self.owners.push(owner);
        let (node, member, pod) = match owner {
            Owner::Pod(ix) => {
                let pod = &self.pods[ix.at()];
                (pod.node, pod.member, ix)
            }
            Owner::Agent(node) => (node, MemberIx::default(), PodIx::default()),
        };
        turn.order(Order::Spawn(Spawn { process, role, node, member, pod }));
        process
    }

    /// Counts the sockets that the main containers of a node have on an address.
    fn count_sockets(&self, node: NodeIx, address: Ipv4Addr, turn: &mut Turn<'_>) {
        let serves = |pod: &&Pod| pod.node == node && pod.serves(address);
        let (listeners, connections) = self
            .pods
            .iter()
            .filter(serves)
            .fold((0, 0), |(all, busy), pod| (all + 1, busy + u32::from(pod.busy)));
        let used = SocketUse { listeners, connections, datagrams: 0 };
        turn.order(Order::Sockets(node, address, used));
    }

    fn start_agent(&mut self, node: NodeIx, turn: &mut Turn<'_>) {
        let free = self.nodes[node.at()].agent.is_none();
        if free && self.nodes[node.at()].state == NodeState::Up {
            let process = self.spawn(Owner::Agent(node), Role::Agent, turn);
            self.nodes[node.at()].agent = Some(process);
        }
    }

    fn power_off(&mut self, node: NodeIx, state: NodeState, turn: &mut Turn<'_>) {
        self.nodes[node.at()].state = state;
        if let Some(agent) = self.nodes[node.at()].agent.take() {
            turn.order(Order::Kill(agent));
        }
        for number in 0..self.pods.len() {
            let pod = PodIx(u16::try_from(number).unwrap_or(u16::MAX));
            if self.pods[pod.at()].node == node && self.pods[pod.at()].phase != Phase::Over {
                self.lose(pod, turn);
            }
        }
        for (orphan, at) in self.orphans.iter().chain(&self.twins) {
            if *at == node {
                turn.order(Order::Kill(*orphan));
            }
        }
        let power = if state == NodeState::Dead { Power::Terminated } else { Power::Lost };
        turn.order(Order::Node(node, power));
    }
}
