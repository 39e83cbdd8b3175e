//! The agent of a node around the core's planner: it looks at the registry, its kernel and EC2,
//! plans, and runs an errand for each duty with the real runner.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_core::agent::{Duty, Errand, Memory, Sight, plan};
use firecamp_core::outside::{Cloud, Owner};
use firecamp_core::time::Moment;
use firecamp_engine::Signal;
use firecamp_histories::level::Spawn;
use firecamp_histories::names::{NodeIx, ProcessId, pool_addresses};
use firecamp_histories::scenario::Fault;
use firecamp_histories::sight::pod_of;
use firecamp_histories::world::World;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::processes;
use crate::site::{Kind, Shared, Site, Slot};
use crate::systems;

/// The most that a Describe may take: the runner's bound.
const READ_BOUND: Duration = Duration::from_secs(5);

/// What an agent remembers of an address.
#[derive(Debug, Clone)]
struct Look {
    address: Ipv4Addr,
    memory: Memory,
    /// What EC2 last answered, in this look.
    in_place: Option<bool>,
    errand: Option<Slot>,
}

struct Agent {
    shared: Shared,
    slot: Slot,
    node: NodeIx,
    cloud: AwsCloud,
    looks: Vec<Look>,
}

/// Looks, plans and acts for as long as the process lives.
pub(crate) async fn watch(shared: Shared, slot: Slot) {
    let (node, pool, first) = {
        let mut site = shared.site();
        let pool = site.scenario.shape.pool;
        let process = site.process(slot);
        (process.spawn.node, pool, process.chance.micros(500, 20_000))
    };
    let look = |address| Look { address, memory: Memory::default(), in_place: None, errand: None };
    let looks = pool_addresses(pool).map(look).collect();
    let cloud = systems::cloud(&shared, slot);
    let mut agent = Agent { shared, slot, node, cloud, looks };
    sleep(first).await;
    loop {
        agent.look_around().await;
        let pause = agent.shared.site().process(slot).chance.millis(2_000, 5_000);
        sleep(pause).await;
    }
}

impl Agent {
    async fn look_around(&mut self) {
        let away = {
            let mut site = self.shared.site();
            site.cluster.api_out || site.strikes(self.slot, Fault::RegistryFails)
        };
        if away {
            return;
        }
        self.ask_ec2().await;
        let now = self.shared.now();
        let sight = self.sight(now);
        let duties = if sight.addresses.is_empty() { Vec::new() } else { plan(&sight, now) };
        let busy = duties.iter().filter(|duty| self.run_errand(now, duty)).count();
        // What is astray and was re-asserted a moment ago is waited for.
        let busy = busy > 0 || self.looks.iter().any(|look| look.memory.is_astray());
        let mut site = self.shared.site();
        site.probes.looks += 1;
        let idle = &mut site.process(self.slot).idle;
        *idle = if busy { 0 } else { idle.saturating_add(1) };
    }

    /// One look-up for each address that is attached here.
    async fn ask_ec2(&mut self) {
        for look in &mut self.looks {
            look.in_place = None;
            let record = {
                let site = self.shared.site();
                site.cluster.attached_at(self.node, look.address, &site.names).cloned()
            };
            let Some(record) = record else { continue };
            let asked = self.cloud.owner(look.address, &record.subnet);
            let Ok(Ok(owner)) = timeout(READ_BOUND, asked).await else { continue };
            let eni = record.attachment.and_then(|attachment| attachment.eni);
            look.in_place = Some(match owner {
                Owner::Eni(owner) => Some(owner.id) == eni,
                Owner::Nobody => false,
            });
        }
    }

    fn sight(&mut self, now: Moment) -> Sight {
        let site = self.shared.site();
        let mut sight = World::sight(self.node, &gone(&site, self.node), &site.names);
        for look in &mut self.looks {
            let place = (self.node, look.address);
            if let Some(found) = site.cluster.look(place, look.in_place, &site.names, now) {
                sight.add(found, &mut look.memory, now);
            }
        }
        sight
    }

    /// Begins an errand, unless one for that address is under way. True: there is something to do.
    fn run_errand(&mut self, now: Moment, duty: &Duty) -> bool {
        let (errand, machine) = {
            let mut site = self.shared.site();
            let (address, member) = site.cluster.subject(duty, &site.names);
            let Some(look) = self.looks.iter_mut().find(|look| Some(look.address) == address)
            else {
                return false;
            };
            if look.errand.is_some_and(|errand| site.processes[errand.at()].alive) {
                return true;
            }
            if let Duty::Reassert { .. } = duty {
                look.memory.reasserts(now);
            }
            let own = site.process(self.slot).spawn;
            let pod = pod_of(duty).unwrap_or_default();
            let spawn = Spawn { member: member.unwrap_or_default(), pod, ..own };
            let errand = site.begin(now, spawn, Some(self.slot));
            look.errand = Some(errand);
            site.process(errand).releases = matches!(duty, Duty::Release { .. });
            site.trace.duty(now, self.slot.0, errand.0, duty);
            let run = site.names.run(ProcessId(errand.0));
            let (duty, cluster) = (duty.clone(), site.names.cluster.clone());
            (errand, move |now| Errand::new(&duty, &cluster, run, now))
        };
        let start = |work| spawn_local(work).abort_handle();
        let never = Signal::Interrupt(CancellationToken::new());
        processes::begin(&self.shared, errand, &start, never, machine);
        true
    }
}

/// The nodes that are gone for good, if this agent is the one that cares for them.
fn gone(site: &Site, node: NodeIx) -> BTreeSet<NodeIx> {
    let agents = site.processes.iter().filter(|p| p.alive && p.kind == Kind::Agent);
    if agents.map(|process| process.spawn.node).min() != Some(node) {
        return BTreeSet::new();
    }
    let nodes = (0..site.scenario.shape.nodes).map(NodeIx);
    nodes.filter(|node| site.cluster.node(*node).gone).collect()
}
