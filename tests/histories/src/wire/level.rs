//! The level itself: a runtime with a paused clock, the tasks of all processes, and the shared
//! state.

use std::time::Duration;

use crate::audit::{Promise, Violation};
use crate::cluster::Ended;
use crate::coverage::Coverage;
use crate::history::{Healing, SimulationLevel};
use crate::level::Ready;
use crate::names::{Names, NodeIx, PodIx, ProcessId};
use crate::scenario::{Fault, Scenario};
use crate::trace::Trace;
use firecamp_core::time::Moment;
use firecamp_testkit::sim::Kernel;
use firecamp_vpc::{Fault as Break, FaultSpec, Selector, Simulator};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::wire::fixture;
use crate::wire::sim_state::{Kind, Shared};

/// The longest time without a check of the history.
const SLICE: Duration = Duration::from_millis(500);

/// The processes and the outside systems of one history.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) shared: Shared,
    pub(crate) tasks: LocalSet,
    pub(crate) runtime: Runtime,
}

impl Wire {
    /// An idle cluster.
    pub(crate) fn new(scenario: &Scenario, names: &Names, trace: Trace) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O");
        let shared = {
            let _inside = runtime.enter();
            let mut world = fixture::world(scenario, names);
            starve(scenario, &mut world);
            Shared::new(scenario, names, trace, world)
        };
        Self { shared, tasks: LocalSet::new(), runtime }
    }

    /// Lets the processes run until then, or until an event that may matter to others.
    async fn until(shared: Shared, until: Moment) {
        loop {
            let now = shared.now();
            if now >= until || shared.has_events() {
                return;
            }
            // EC2's own events are processed when they happen.
            let next = shared.simulator.world().next_event().map_or(until, Moment).min(until);
            tokio::select! {
                biased;
                () = shared.ending.notified() => {}
                () = sleep(next.since(now)) => {}
            }
            shared.with(|_, _, _| ());
        }
    }
}

/// Almost empty token buckets, as in an account with many other callers.
fn starve(scenario: &Scenario, world: &mut Simulator) {
    if scenario.swarm.rate(Fault::CloudThrottled) == 0 {
        return;
    }
    let buckets = [
        ("AssignPrivateIpAddresses", 2, 1.0),
        ("UnassignPrivateIpAddresses", 2, 1.0),
        ("DescribeNetworkInterfaces", 4, 2.0),
    ];
    for (action, capacity, refill) in buckets {
        let when = Selector { op: Some(action.to_owned()), ..Selector::default() };
        let spec = FaultSpec { fault: Break::Bucket { capacity, refill }, when };
        world.fault_set(Duration::ZERO, spec).expect("a fault that can be set");
    }
}

impl Shared {
    fn has_events(&self) -> bool {
        let sim = self.sim();
        !sim.ended.is_empty() || sim.audit.violation().is_some()
    }
}

impl SimulationLevel for Wire {
    const LEADER_LISTS: bool = false;

    fn advance(&mut self, until: Option<Moment>) -> Option<Moment> {
        let runtime = self.runtime.handle().clone();
        let _inside = runtime.enter();
        let now = self.shared.now();
        if until.is_some_and(|until| until <= now) {
            return None;
        }
        let slice = now.plus(SLICE);
        let end = until.map_or(slice, |until| until.min(slice));
        let work = Self::until(self.shared.clone(), end);
        self.tasks.block_on(&self.runtime, work);
        let reached = until.is_some_and(|until| self.shared.now() >= until);
        (!reached || self.shared.has_events()).then(|| self.shared.now())
    }

    fn take_ended(&mut self) -> Option<(ProcessId, Ended)> {
        self.shared.sim().ended.pop_front()
    }

    fn violation(&self) -> Option<Violation> {
        self.shared.sim().audit.violation().cloned()
    }

    fn broken(&mut self, promise: Promise, text: String) {
        let runtime = self.runtime.handle().clone();
        let _inside = runtime.enter();
        let now = self.shared.now();
        self.shared.sim().audit.broken(promise, now, || text);
    }

    fn mutations(&self) -> u64 {
        self.shared.sim().coverage.mutations
    }

    fn close(self) -> (Coverage, Trace) {
        let runtime = self.runtime.handle().clone();
        let _inside = runtime.enter();
        self.shared.close()
    }
}

impl Healing for Wire {
    fn ready_pods(&self) -> Vec<(PodIx, Ready)> {
        self.shared.sim().audit.ready_pods().to_vec()
    }

    fn kernel(&self, node: NodeIx) -> Option<Kernel> {
        let sim = self.shared.sim();
        let node = sim.cluster.node(node);
        (!node.gone).then(|| node.kernel.clone())
    }

    fn disturb_agents(&mut self) {
        self.shared.sim().disturb();
    }

    fn agents_idle(&self, times: u32) -> bool {
        let is_idle = |kind, idle| match kind {
            Kind::Agent => idle >= times,
            Kind::Execution => false,
            Kind::Init | Kind::Stop => true,
        };
        let agents = {
            let sim = self.shared.sim();
            sim.writes == 0 && sim.processes.iter().all(|p| !p.alive || is_idle(p.kind, p.idle))
        };
        let runtime = self.runtime.handle().clone();
        let _inside = runtime.enter();
        agents && self.shared.with(|sim, world, now| sim.is_everything_in_place(world, now))
    }

    fn check_without_doubt(&mut self) {
        let runtime = self.runtime.handle().clone();
        let _inside = runtime.enter();
        self.shared.with(|sim, world, now| {
            sim.audit.clear_doubt();
            sim.check_all(world, now);
            sim.check_leaks(world, now);
        });
    }

    fn stuck(&self) -> Option<String> {
        self.shared.sim().find_stuck()
    }
}
