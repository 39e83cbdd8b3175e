//! A node's agent: the product's controllers of the node and of the leader with the real clients of
//! EC2 and the registry, and the real runner for each operation.

mod leader;
mod tasks;

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::time::Duration;

use crate::coverage::{OperationContext, is_by_leader};
use crate::leader::{AgentEvent, Leader};
use crate::level::Spawn;
use crate::names::{NodeIx, ProcessId};
use crate::observation::{pod_of, will_repeat};
use crate::scenario::Fault;
use firecamp_controllers::Controller as _;
use firecamp_controllers::leader::Event as LeaderEvent;
use firecamp_controllers::node::{
    Effect, Event as NodeEvent, NodeController, OperationKind, Report, Tick,
};
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::ids::Member;
use firecamp_core::ports::KernelTarget;
use firecamp_core::time::Moment;
use firecamp_engine::Signal;
use firecamp_node::volumes::Recheck;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::spawn_local;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::wire::processes;
use crate::wire::sim_state::{Shared, SimState, Slot};

use self::tasks::Tasks;

/// A task that ends with an event.
type Running<E = NodeEvent> = Pin<Box<dyn Future<Output = E>>>;

struct Agent {
    shared: Shared,
    slot: Slot,
    node: NodeIx,
    controller: NodeController,
    tasks: Tasks,
    running: FuturesUnordered<Running>,
    /// How many of its addresses EC2 shows elsewhere, as far as it knows.
    misplaced: usize,
    /// Whether it will repeat an operation that failed.
    failing: bool,
    leader: Leader,
    /// Requests about the Lease, and the running step of a pass.
    requests: FuturesUnordered<Running<LeaderEvent>>,
    /// Cancelled at the end of the term.
    term: CancellationToken,
}

/// Runs the controllers as long as the process runs.
pub(crate) async fn watch(shared: Shared, slot: Slot) {
    let (inbox, events) = unbounded_channel();
    let (agent, first) = {
        let mut sim = shared.sim();
        let process = sim.process(slot);
        process.inbox = Some(inbox);
        let (node, first) = (process.spawn.node, process.rng.micros(500, 20_000));
        let secondary = sim.scenario.shape.secondary;
        let rule = if secondary { EniRule::DeviceIndex(1) } else { EniRule::Primary };
        let (name, cluster) = (sim.names.node(node).name.clone(), sim.names.cluster.clone());
        let last = sim.cluster.node(node).snapshot.clone();
        let random = sim.process(slot).rng.millis(0, 1_000).as_secs_f64();
        let controller = NodeController::new(name, cluster, rule, last, random);
        let leader = Leader::new(node, ProcessId(slot.0), &sim.names);
        drop(sim);
        let agent = Agent {
            tasks: Tasks::new(&shared, slot),
            shared,
            slot,
            node,
            controller,
            running: FuturesUnordered::new(),
            misplaced: 0,
            failing: false,
            leader,
            requests: FuturesUnordered::new(),
            term: CancellationToken::new(),
        };
        (agent, first)
    };
    sleep(first).await;
    agent.run(events).await;
}

async fn until(shared: &Shared, due: Moment) {
    sleep(due.since(shared.now())).await;
}

impl Agent {
    async fn run(mut self, mut inbox: UnboundedReceiver<AgentEvent>) {
        let mut poll = self.shared.now();
        loop {
            let due = self.controller.next_tick().unwrap_or(Moment(Duration::MAX));
            let leader_due = self.leader.next_tick().unwrap_or(Moment(Duration::MAX));
            let event = tokio::select! {
                biased;
                Some(event) = inbox.recv() => event,
                Some(event) = self.running.next() => event.into(),
                Some(event) = self.requests.next() => event.into(),
                () = until(&self.shared, due) => self.tick().into(),
                () = until(&self.shared, leader_due) => self.leader_tick().into(),
                () = until(&self.shared, poll) => {
                    let mut sim = self.shared.sim();
                    let pause = sim.process(self.slot).rng.millis(2_000, 5_000);
                    poll = self.shared.now().plus(pause);
                    NodeEvent::RegistryChanged.into()
                }
            };
            match event {
                AgentEvent::Node(event) => self.handle(event),
                AgentEvent::Leader(event) => self.lead(event),
            }
        }
    }

    fn tick(&self) -> NodeEvent {
        let random = self.shared.sim().process(self.slot).rng.millis(0, 1_000).as_secs_f64();
        NodeEvent::Tick(Tick { random, volumes: Recheck::Regularly, offered_volumes: None })
    }

    fn list_handled(&self) {
        let mut sim = self.shared.sim();
        sim.coverage.agent_passes += 1;
        let busy = sim.processes.iter().any(|p| p.alive && p.agent == Some(self.slot));
        let idle = &mut sim.process(self.slot).idle;
        *idle = if busy || self.misplaced > 0 || self.failing { 0 } else { idle.saturating_add(1) };
    }

    /// Passes an event to the controller and performs the effects.
    fn handle(&mut self, event: NodeEvent) {
        let lists = matches!(event, NodeEvent::Listed(Ok(_)));
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for effect in self.controller.handle(event, self.shared.now()) {
                next = self.perform(effect).or(next);
            }
        }
        if lists {
            self.list_handled();
        }
    }

    /// Performs an effect. Returns the event to which it leads at once.
    fn perform(&mut self, effect: Effect) -> Option<NodeEvent> {
        match effect {
            Effect::ReadKernel { links } => return Some(self.read_kernel(links)),
            Effect::ViewKernel(targets) => return Some(self.view_kernel(targets)),
            Effect::Start(task) => self.running.extend(self.tasks.start(task)),
            Effect::WriteSnapshot(snapshot) => {
                self.shared.sim().cluster.node_mut(self.node).snapshot = Some(snapshot);
            }
            Effect::Report(Report::Counted(counts)) => self.misplaced = counts.misplaced,
            Effect::Publish(facts) => self.failing = will_repeat(&facts),
            // Nothing in the simulated cluster depends on these.
            Effect::ListEnis { .. }
            | Effect::AvoidEnis(_)
            | Effect::IdentifyCluster(_)
            | Effect::ObserveVolumes(_)
            | Effect::Notify(_)
            | Effect::Report(_) => {}
        }
        None
    }

    fn read_kernel(&self, links: bool) -> NodeEvent {
        let (mut sim, now) = (self.shared.sim(), self.shared.now());
        if sim.injects(self.slot, Fault::HostRefuses) {
            return NodeEvent::KernelRead(None, None);
        }
        let links = links.then(|| sim.cluster.links(self.node, &sim.names, now));
        NodeEvent::KernelRead(Some(sim.cluster.kernel_snapshot(self.node)), links)
    }

    fn view_kernel(&self, targets: Vec<KernelTarget>) -> NodeEvent {
        let (mut sim, now) = (self.shared.sim(), self.shared.now());
        let view = |target: KernelTarget| {
            let refused = sim.injects(self.slot, Fault::HostRefuses);
            let view = (!refused).then(|| sim.cluster.kernel_view(self.node, &target, now));
            (target, view)
        };
        NodeEvent::KernelViewed(targets.into_iter().map(view).collect())
    }
}

/// Starts an operation of an agent, which ends at once when `end` is cancelled.
fn execute(
    shared: &Shared,
    agent: Slot,
    (operation, end): (&Operation, CancellationToken),
    (address, member): (Ipv4Addr, &Member),
) {
    let now = shared.now();
    let (execution, machine) = {
        let mut sim = shared.sim();
        sim.record_coverage(agent, operation, address);
        if let Operation::Reassert { .. } = operation {
            sim.audit.reasserts(now, agent.0, address);
        }
        sim.process(agent).idle = 0;
        let member = sim.names.member_ix(member).unwrap_or_default();
        let pod = pod_of(operation).unwrap_or_default();
        let spawn = Spawn { member, pod, ..sim.process(agent).spawn };
        let execution = sim.begin(now, spawn, Some(agent));
        let process = sim.process(execution);
        process.releases = matches!(operation, Operation::Release { .. });
        process.about = Some(address);
        process.operation = Some(OperationKind::of(operation));
        process.by_leader = is_by_leader(operation);
        sim.trace.operation(now, agent.0, execution.0, operation);
        let run = sim.names.run(ProcessId(execution.0));
        let (operation, cluster) = (operation.clone(), sim.names.cluster.clone());
        (execution, move |now| Execution::new(&operation, &cluster, run, now))
    };
    let start = |work| spawn_local(work).abort_handle();
    processes::begin(shared, execution, &start, Signal::Interrupt(end), machine);
}

impl SimState {
    /// Counts the circumstances in which an agent starts an operation.
    fn record_coverage(&mut self, agent: Slot, operation: &Operation, address: Ipv4Addr) {
        let node = self.process(agent).spawn.node;
        let executions = self.processes.iter().filter(|p| p.alive && p.about == Some(address));
        let (mut here, mut elsewhere) = (false, false);
        for rival in executions.filter(|p| p.agent != Some(agent)) {
            here |= rival.spawn.node == node;
            elsewhere |= rival.by_leader;
        }
        self.coverage
            .operation(operation, OperationContext { away: self.cluster.api_out, here, elsewhere });
    }

    /// Tells the running agents of a node.
    pub(crate) fn tell_node(&self, node: NodeIx, event: impl Fn() -> NodeEvent) {
        let agents = self.processes.iter().filter(|p| p.alive && p.spawn.node == node);
        for inbox in agents.filter_map(|agent| agent.inbox.as_ref()) {
            // An agent that ends hears nothing more.
            drop(inbox.send(event().into()));
        }
    }
}
