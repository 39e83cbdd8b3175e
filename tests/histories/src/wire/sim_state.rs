//! The state that the processes of one history share besides the VPC: registry, kernels, volumes,
//! and the audits.
//!
//! Lock order: the VPC's lock first, then this one.

mod checks;
mod lifecycle;
mod observed_replies;
mod report;

pub(crate) use checks::eni;
pub(crate) use lifecycle::{Kind, Process, Slot};

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::audit::Audit;
use crate::cluster::Ended;
use crate::coverage::Coverage;
use crate::names::{Names, ProcessId};
use crate::scenario::{Fault, Scenario};
use crate::seed::{Purpose, SeededRng};
use crate::simulated_cluster::SimulatedCluster;
use crate::trace::Trace;
use firecamp_apiserver::ApiServer;
use firecamp_core::time::Moment;
use firecamp_sim_tests::SharedSim;
use firecamp_vpc::{FaultId, Simulator};
use tokio::sync::Notify;

use crate::wire::api;

/// An EC2 call that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) slot: Slot,
    /// T after what authorised it.
    pub(crate) not_after: Moment,
}

/// The shared state.
#[derive(Debug)]
pub(crate) struct SimState {
    pub(crate) names: Arc<Names>,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) audit: Audit,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    /// Registry, pods, kernels and volumes. Its EC2 is not used: the simulator is.
    pub(crate) cluster: SimulatedCluster,
    /// The API server; if there is one, the cluster's records follow it.
    pub(crate) api: Option<ApiServer>,
    pub(crate) processes: Vec<Process>,
    /// By process ID.
    pub(crate) slots: Vec<Slot>,
    pub(crate) ended: VecDeque<(ProcessId, Ended)>,
    pub(crate) others: SeededRng,
    pub(crate) healing: bool,
    /// By the number of the call.
    pub(crate) sent: BTreeMap<u64, Sent>,
    /// Faults that take effect later, by the number of the call.
    pub(crate) pending_faults: BTreeMap<u64, FaultId>,
    /// Registry writes in flight.
    pub(crate) writes: u32,
    /// The last commit that was processed.
    commits: u64,
}

/// The shared state and the VPC. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    sim: Arc<Mutex<SimState>>,
    pub(crate) simulator: SharedSim,
    /// A process has ended by itself.
    pub(crate) ending: Arc<Notify>,
}

impl Shared {
    pub(crate) fn new(scenario: &Scenario, names: &Names, trace: Trace, world: Simulator) -> Self {
        let cluster = SimulatedCluster::new(scenario, names);
        let clustered = api::is_clustered(scenario.seed);
        let mut coverage = Coverage::default();
        coverage.expect(&api::EXPECTED_COVERAGE);
        coverage.hit(if clustered { "registry kube" } else { "registry memory" });
        let sim = SimState {
            names: Arc::new(names.clone()),
            scenario: Arc::new(scenario.clone()),
            audit: Audit::new(scenario),
            coverage,
            trace,
            api: clustered.then(|| api::server(&cluster)),
            cluster,
            processes: Vec::with_capacity(64),
            slots: Vec::with_capacity(64),
            ended: VecDeque::new(),
            others: SeededRng::new(scenario.seed, Purpose::Others, 0),
            healing: false,
            sent: BTreeMap::new(),
            pending_faults: BTreeMap::new(),
            writes: 0,
            commits: 0,
        };
        Self {
            sim: Arc::new(Mutex::new(sim)),
            simulator: SharedSim::new(world),
            ending: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment(self.simulator.now())
    }

    /// The shared state without the VPC.
    pub(crate) fn sim(&self) -> MutexGuard<'_, SimState> {
        self.sim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the shared state and the VPC: processes earlier changes of EC2 first, then
    /// audits the changes that `work` causes.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut SimState, &mut Simulator, Moment) -> T,
    ) -> T {
        let mut world = self.simulator.world();
        let mut sim = self.sim();
        let now = self.now();
        sim.process_commits(&mut world);
        let done = work(&mut sim, &mut world, now);
        sim.process_commits(&mut world);
        done
    }

    /// Ends the history.
    pub(crate) fn close(&self) -> (Coverage, Trace) {
        self.with(|sim, world, now| {
            for violation in world.violations() {
                sim.broken_by_simulator(now, violation);
            }
            for call in world.calls(0) {
                sim.trace.add(now, &format!("{call:?}"), || format!("call {call:?}"));
            }
            (sim.coverage.clone(), std::mem::take(&mut sim.trace))
        })
    }
}

impl SimState {
    pub(crate) fn process(&mut self, slot: Slot) -> &mut Process {
        &mut self.processes[slot.at()]
    }

    /// Draws whether a call of this process fails in this way now.
    pub(crate) fn draws(&mut self, slot: Slot, fault: Fault, part: u16) -> bool {
        let rate = self.scenario.swarm.rate(fault);
        if rate == 0 || self.healing {
            return false;
        }
        self.process(slot).rng.at_rate((rate / part).max(1))
    }

    /// The same for faults that always fire if they are drawn.
    pub(crate) fn injects(&mut self, slot: Slot, fault: Fault) -> bool {
        let injects = self.draws(slot, fault, 1);
        if injects {
            self.coverage.fault(fault);
        }
        injects
    }
}
