//! The tasks of an agent, each of which ends with an event.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::observation::{interface_step, node_facts};
use crate::scenario::Fault;
use crate::watch::{Views, Watches};
use crate::wire::sim_state::{Shared, SimState, Slot};
use crate::wire::systems::{self, SystemsOf};
use firecamp_controllers::node::{
    AdoptionResult, Event as NodeEvent, Finding, LostAddress, QueryResult, Task,
};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Mac, SubnetId};
use firecamp_core::ports::{Cloud, Registry};
use firecamp_core::time::Moment;
use firecamp_node::preflight::CloudChecks;
use firecamp_node::preflight::facts::Reservation;
use firecamp_node::volumes::CloudVolumes;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Running, execute};

/// The time limit of one read.
const READ_BOUND: Duration = Duration::from_secs(20);
/// A registry that does not answer within this is unavailable to an investigation.
const REGISTRY_BOUND: Duration = Duration::from_secs(3);

/// The clients of an agent.
pub(super) struct Tasks {
    shared: Shared,
    slot: Slot,
    pub(super) systems: Arc<SystemsOf>,
    watches: Watches,
}

fn late() -> CloudFailure {
    let detail = "no answer in time".to_owned();
    CloudFailure { kind: CloudKind::Transient, effect: Effect::None, detail }
}

async fn bounded<T>(
    read: impl Future<Output = Result<T, CloudFailure>>,
) -> Result<T, CloudFailure> {
    timeout(READ_BOUND, read).await.unwrap_or_else(|_elapsed| Err(late()))
}

async fn reservations(
    systems: &SystemsOf,
    subnets: BTreeSet<SubnetId>,
) -> Result<BTreeMap<SubnetId, Vec<Reservation>>, CloudFailure> {
    let mut found = BTreeMap::new();
    for subnet in subnets {
        let read = systems.cloud.reservations(&subnet).await?;
        found.insert(subnet, read);
    }
    Ok(found)
}

async fn identified(systems: Arc<SystemsOf>, unused: Option<BTreeSet<Mac>>) -> NodeEvent {
    let read = async {
        match &unused {
            Some(unused) => systems.cloud.poll_identity(unused).await,
            None => systems.cloud.identity().await,
        }
    };
    NodeEvent::Identified(bounded(read).await)
}

impl Tasks {
    pub(super) fn new(shared: &Shared, slot: Slot) -> Self {
        let systems = Arc::new(systems::of(shared, slot));
        Self { shared: shared.clone(), slot, systems, watches: Watches::default() }
    }

    /// Starts a task. An operation is a process of its own, and tells its end itself.
    pub(super) fn start(&mut self, task: Task) -> Option<Running> {
        let systems = Arc::clone(&self.systems);
        Some(match task {
            Task::List(known) => self.list(&known),
            Task::Identify(unused) => Box::pin(identified(systems, unused)),
            Task::ReadFiles => Box::pin(async { NodeEvent::Files(node_facts()) }),
            Task::QueryInterfaces(instance) => Box::pin(async move {
                let read = bounded(systems.cloud.interfaces(&instance)).await;
                NodeEvent::Queried(QueryResult::Interfaces(read), systems.cloud.clocks())
            }),
            Task::QueryVolumes(instance) => Box::pin(async move {
                let read = bounded(systems.cloud.attachments(&instance)).await;
                let read = read.map(|here| (here, Vec::new()));
                NodeEvent::Queried(QueryResult::Volumes(read), systems.cloud.clocks())
            }),
            Task::QueryTypeLimits(name) => Box::pin(async move {
                let read = bounded(systems.cloud.type_limits(&name)).await;
                NodeEvent::Queried(QueryResult::TypeLimits(read), systems.cloud.clocks())
            }),
            Task::QueryReservations(subnets) => Box::pin(async move {
                let result = bounded(reservations(&systems, subnets)).await;
                let result = QueryResult::Reservations(result);
                NodeEvent::Queried(result, systems.cloud.clocks())
            }),
            Task::QueryClaims(addresses) => {
                Box::pin(
                    async move { NodeEvent::Claimed(claimed(&systems.registry, addresses).await) },
                )
            }
            Task::CheckOrphans(found, begun) => Box::pin(async move {
                let addresses = found.iter().map(|orphan| orphan.address).collect();
                let recorded = claimed(&systems.registry, addresses).await;
                NodeEvent::Orphans(found, recorded, begun)
            }),
            // The pools of these histories adopt nothing.
            Task::Adopt(orphan, _) => Box::pin(async move {
                let result = AdoptionResult::Failed("no orphans at this level".to_owned());
                NodeEvent::AdoptionTried(orphan, result)
            }),
            Task::Investigate(lost) => {
                let (shared, slot) = (self.shared.clone(), self.slot);
                Box::pin(async move { investigated(&shared, slot, &systems, lost).await })
            }
            Task::Raise(eni) => Box::pin(async { NodeEvent::Raised(eni.id, Ok(true)) }),
            // No pool wants interfaces, and no node has the startup taint.
            Task::Interface(step) => Box::pin(ready(interface_step(&step))),
            Task::Execute(operation, address, member) => {
                let never = CancellationToken::new();
                execute(&self.shared, self.slot, (&operation, never), (address, &member));
                return None;
            }
        })
    }

    /// The registry as the watches show it, or as it is now.
    fn list(&mut self, known: &BTreeSet<Ipv4Addr>) -> Running {
        let (mut sim, now) = (self.shared.sim(), self.shared.now());
        let node = sim.process(self.slot).spawn.node;
        let listing = self
            .watches
            .views(&mut sim, self.slot, now)
            .map(|views| sim.cluster.listing((node, known), (views, now), (&sim.names, now)));
        let after = sim.process(self.slot).rng.micros(500, 6_000);
        let kind = RegistryKind::Unavailable;
        let failure = || RegistryFailure { kind, effect: Effect::None, detail: String::new() };
        let read = listing.ok_or_else(failure);
        Box::pin(async move {
            sleep(after).await;
            NodeEvent::Listed(read)
        })
    }
}

impl Watches {
    /// None if the registry does not answer, and nothing is known.
    fn views(&mut self, sim: &mut SimState, slot: Slot, now: Moment) -> Option<Views> {
        let away = sim.cluster.api_out;
        if !sim.scenario.shape.watches {
            let away = away || sim.injects(slot, Fault::RegistryFails);
            return (!away).then_some(Views::FRESH);
        }
        let mut faults = Fault::WATCHES.into_iter();
        let fault = faults.find(|fault| !away && sim.injects(slot, *fault));
        Some(self.observe(now, away, fault, &mut sim.process(slot).rng))
    }
}

/// Whether each address has a record; leaves out an address whose read fails.
async fn claimed(registry: &impl Registry, of: BTreeSet<Ipv4Addr>) -> BTreeMap<Ipv4Addr, bool> {
    let mut claimed = BTreeMap::new();
    for address in of {
        if let Ok(found) = registry.static_ip(address).await {
            claimed.insert(address, found.is_some());
        }
    }
    claimed
}

/// Investigates a misplaced address, like the product's `partition`.
async fn investigated(
    shared: &Shared,
    slot: Slot,
    systems: &SystemsOf,
    lost: LostAddress,
) -> NodeEvent {
    let read = timeout(REGISTRY_BOUND, systems.registry.static_ip(lost.address)).await;
    let read = read.ok().map(|read| read.map(|found| found.map(|stored| stored.object)));
    let found = match lost.finding_by_record(read.as_ref()) {
        Some(found) => found,
        None if lost.withheld => Finding::Unknown,
        None => lost.finding_by_owner(systems.cloud.owner(lost.address, &lost.subnet).await),
    };
    let done = match &found {
        Finding::Partitioned(_) => {
            let mut sim = shared.sim();
            let node = sim.process(slot).spawn.node;
            let done = sim.cluster.withhold(node, &lost);
            if done == Ok(true) {
                sim.audit.stripped(node, lost.address);
            }
            Some(done)
        }
        Finding::Ours | Finding::Moved | Finding::Unknown => None,
    };
    NodeEvent::LossInvestigated(lost, found, done)
}
