//! Everything that the processes of one history share besides the VPC: registry, kernels,
//! volumes, and those who watch.
//!
//! Locks are taken in one order: the VPC's, then the site's.

mod checks;
mod heard;
mod life;
mod tell;

pub(crate) use checks::eni;
pub(crate) use life::{Kind, Process, Slot};

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::audit::Audit;
use crate::cluster::Ended;
use crate::names::{Names, ProcessId};
use crate::probe::Probes;
use crate::scenario::{Fault, Scenario};
use crate::seed::{Chance, Purpose};
use crate::trace::Trace;
use crate::world::World as Cluster;
use firecamp_apiserver::ApiServer;
use firecamp_core::time::Moment;
use firecamp_sim_tests::Clockwork;
use firecamp_vpc::{FaultId, World};
use tokio::sync::Notify;

use crate::wire::api;

/// A call to EC2 that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) slot: Slot,
    /// T after what authorised it.
    pub(crate) not_after: Moment,
}

/// The site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) names: Arc<Names>,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) audit: Audit,
    pub(crate) probes: Probes,
    pub(crate) trace: Trace,
    /// Registry, pods, kernels and volumes. Its EC2 is not used: the simulator is.
    pub(crate) cluster: Cluster,
    /// The API server, whose records those of the cluster then follow.
    pub(crate) api: Option<ApiServer>,
    pub(crate) processes: Vec<Process>,
    /// By process id.
    pub(crate) slots: Vec<Slot>,
    pub(crate) ended: VecDeque<(ProcessId, Ended)>,
    pub(crate) others: Chance,
    pub(crate) healing: bool,
    /// By the number of the call.
    pub(crate) sent: BTreeMap<u64, Sent>,
    /// Faults of single calls that act later, by the number of the call.
    pub(crate) tricks: BTreeMap<u64, FaultId>,
    /// Registry writes in flight.
    pub(crate) writes: u32,
    /// The last commit that was looked at.
    commits: u64,
}

/// The site and the VPC. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    site: Arc<Mutex<Site>>,
    pub(crate) clockwork: Clockwork,
    /// A process has ended by itself.
    pub(crate) ending: Arc<Notify>,
}

impl Shared {
    pub(crate) fn new(scenario: &Scenario, names: &Names, trace: Trace, world: World) -> Self {
        let cluster = Cluster::new(scenario, names);
        let clustered = api::is_clustered(scenario.seed);
        let mut probes = Probes::default();
        probes.expect(&api::MEETS);
        probes.meet(if clustered { "registry kube" } else { "registry memory" });
        let site = Site {
            names: Arc::new(names.clone()),
            scenario: Arc::new(scenario.clone()),
            audit: Audit::new(scenario),
            probes,
            trace,
            api: clustered.then(|| api::server(&cluster)),
            cluster,
            processes: Vec::with_capacity(64),
            slots: Vec::with_capacity(64),
            ended: VecDeque::new(),
            others: Chance::new(scenario.seed, Purpose::Others, 0),
            healing: false,
            sent: BTreeMap::new(),
            tricks: BTreeMap::new(),
            writes: 0,
            commits: 0,
        };
        Self {
            site: Arc::new(Mutex::new(site)),
            clockwork: Clockwork::new(world),
            ending: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment(self.clockwork.now())
    }

    /// The site alone.
    pub(crate) fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the site and the VPC, after what EC2 has done before, and audits what
    /// EC2 does because of it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Site, &mut World, Moment) -> T) -> T {
        let mut world = self.clockwork.world();
        let mut site = self.site();
        let now = self.now();
        site.absorb(&mut world);
        let done = work(&mut site, &mut world, now);
        site.absorb(&mut world);
        done
    }

    /// Ends the history.
    pub(crate) fn close(&self) -> (Probes, Trace) {
        self.with(|site, world, now| {
            for violation in world.violations() {
                site.broken_by_simulator(now, violation);
            }
            for call in world.calls(0) {
                site.trace.add(now, &format!("{call:?}"), || format!("call {call:?}"));
            }
            (site.probes.clone(), std::mem::take(&mut site.trace))
        })
    }
}

impl Site {
    pub(crate) fn process(&mut self, slot: Slot) -> &mut Process {
        &mut self.processes[slot.at()]
    }

    /// Draws whether a call of this process breaks so now.
    pub(crate) fn draws(&mut self, slot: Slot, fault: Fault, part: u16) -> bool {
        let rate = self.scenario.swarm.rate(fault);
        if rate == 0 || self.healing {
            return false;
        }
        self.process(slot).chance.at_rate((rate / part).max(1))
    }

    /// The same for what breaks for certain if it is drawn.
    pub(crate) fn strikes(&mut self, slot: Slot, fault: Fault) -> bool {
        let strikes = self.draws(slot, fault, 1);
        if strikes {
            self.probes.fault(fault);
        }
        strikes
    }
}
