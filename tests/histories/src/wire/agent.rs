//! A node's agent around the core's planner: it reads the registry, its kernel and EC2, plans, and
//! executes each operation with the real runner.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::coverage::{OperationContext, is_by_leader};
use crate::level::Spawn;
use crate::names::{NodeIx, ProcessId, pool_addresses};
use crate::observation::pod_of;
use crate::scenario::Fault;
use crate::simulated_cluster::SimulatedCluster;
use crate::watch::{Views, Watches};
use firecamp_cloud::AwsCloud;
use firecamp_core::agent::{Execution, Memory, Observation, Operation, plan};
use firecamp_core::ports::{Cloud, Owner};
use firecamp_core::time::Moment;
use firecamp_engine::Signal;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::wire::processes;
use crate::wire::sim_state::{Kind, Shared, SimState, Slot};
use crate::wire::systems;

/// The time limit of a Describe in the runner.
const READ_BOUND: Duration = Duration::from_secs(5);

/// What an agent remembers of an address.
#[derive(Debug, Clone)]
struct TrackedAddress {
    address: Ipv4Addr,
    memory: Memory,
    /// EC2's latest answer in this pass.
    in_place: Option<bool>,
    execution: Option<Slot>,
}

struct Agent {
    shared: Shared,
    slot: Slot,
    node: NodeIx,
    cloud: AwsCloud,
    tracked: Vec<TrackedAddress>,
    watches: Watches,
}

/// Observes, plans and acts as long as the process runs.
pub(crate) async fn watch(shared: Shared, slot: Slot) {
    let (node, pool, first) = {
        let mut sim = shared.sim();
        let pool = sim.scenario.shape.pool;
        let process = sim.process(slot);
        (process.spawn.node, pool, process.rng.micros(500, 20_000))
    };
    let entry = |address| TrackedAddress {
        address,
        memory: Memory::default(),
        in_place: None,
        execution: None,
    };
    let tracked = pool_addresses(pool).map(entry).collect();
    let cloud = systems::cloud(&shared, slot);
    let mut agent = Agent { shared, slot, node, cloud, tracked, watches: Watches::default() };
    sleep(first).await;
    loop {
        agent.run_pass().await;
        let pause = agent.shared.sim().process(slot).rng.millis(2_000, 5_000);
        sleep(pause).await;
    }
}

impl Agent {
    async fn run_pass(&mut self) {
        let Some(views) = self.views() else { return };
        self.query_ec2(views).await;
        let now = self.shared.now();
        let observation = self.observation(views, now);
        let operations =
            if observation.addresses.is_empty() { Vec::new() } else { plan(&observation, now) };
        let busy =
            operations.iter().filter(|operation| self.start_execution(now, operation)).count();
        // Misplaced addresses that were re-asserted a moment ago need more time.
        let busy = busy > 0 || self.tracked.iter().any(|entry| entry.memory.is_misplaced());
        let mut sim = self.shared.sim();
        sim.coverage.agent_passes += 1;
        let idle = &mut sim.process(self.slot).idle;
        *idle = if busy { 0 } else { idle.saturating_add(1) };
    }

    /// The registry as the watches show it. None if it does not answer, and nothing is known.
    fn views(&mut self) -> Option<Views> {
        let mut sim = self.shared.sim();
        let away = sim.cluster.api_out;
        if !sim.scenario.shape.watches {
            let away = away || sim.injects(self.slot, Fault::RegistryFails);
            return (!away).then_some(Views::FRESH);
        }
        let mut faults = Fault::WATCHES.into_iter();
        let fault = faults.find(|fault| !away && sim.injects(self.slot, *fault));
        let now = self.shared.now();
        Some(self.watches.observe(now, away, fault, &mut sim.process(self.slot).rng))
    }

    /// One lookup for each address that is attached here.
    async fn query_ec2(&mut self, views: Views) {
        for entry in &mut self.tracked {
            entry.in_place = None;
            let record = {
                let sim = self.shared.sim();
                let place = (self.node, entry.address);
                sim.cluster.attached_at(place, views.records, &sim.names).cloned()
            };
            let Some(record) = record else { continue };
            let lookup = self.cloud.owner(entry.address, &record.subnet);
            let Ok(Ok(owner)) = timeout(READ_BOUND, lookup).await else { continue };
            let eni = record.attachment.and_then(|attachment| attachment.eni);
            entry.in_place = Some(match owner {
                Owner::Eni(owner) => Some(owner.id) == eni,
                Owner::Unassigned => false,
            });
        }
    }

    fn observation(&mut self, views: Views, now: Moment) -> Observation {
        let sim = self.shared.sim();
        let agents = sim.processes.iter().filter(|p| p.alive && p.kind == Kind::Agent);
        let gone = sim.cluster.gone(self.node, agents.map(|agent| agent.spawn.node));
        let mut observation = SimulatedCluster::observation(self.node, &gone, &sim.names);
        for entry in &mut self.tracked {
            let place = (self.node, entry.address);
            let known = (&*sim.names, now);
            if let Some(found) = sim.cluster.readings(place, views, entry.in_place, known) {
                observation.add(found, &mut entry.memory, now);
            }
        }
        observation
    }

    /// Starts an operation, unless one for that address is running. True if there is something to
    /// do.
    fn start_execution(&mut self, now: Moment, operation: &Operation) -> bool {
        let (execution, machine) = {
            let mut sim = self.shared.sim();
            let (address, member) = sim.cluster.subject(operation, &sim.names);
            let Some(entry) = self.tracked.iter_mut().find(|entry| Some(entry.address) == address)
            else {
                return false;
            };
            if entry.execution.is_some_and(|execution| sim.processes[execution.at()].alive) {
                return true;
            }
            if let Operation::Reassert { .. } = operation {
                entry.memory.reasserts(now);
            }
            sim.record_coverage(self.slot, operation, entry.address);
            let own = sim.process(self.slot).spawn;
            let pod = pod_of(operation).unwrap_or_default();
            let spawn = Spawn { member: member.unwrap_or_default(), pod, ..own };
            let execution = sim.begin(now, spawn, Some(self.slot));
            entry.execution = Some(execution);
            let process = sim.process(execution);
            process.releases = matches!(operation, Operation::Release { .. });
            process.about = Some(entry.address);
            process.by_leader = is_by_leader(operation);
            sim.trace.operation(now, self.slot.0, execution.0, operation);
            let run = sim.names.run(ProcessId(execution.0));
            let (operation, cluster) = (operation.clone(), sim.names.cluster.clone());
            (execution, move |now| Execution::new(&operation, &cluster, run, now))
        };
        let start = |work| spawn_local(work).abort_handle();
        let never = Signal::Interrupt(CancellationToken::new());
        processes::begin(&self.shared, execution, &start, never, machine);
        true
    }
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
}
