//! The agent of a node around the core's planner: it looks at the registry, its kernel and EC2,
//! plans, and runs an errand for each duty with the real runner.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::level::Spawn;
use crate::names::{NodeIx, ProcessId, pool_addresses};
use crate::probe::{DutyMet, is_by_lease};
use crate::scenario::Fault;
use crate::sight::pod_of;
use crate::watch::{Views, Watches};
use crate::world::World;
use firecamp_cloud::AwsCloud;
use firecamp_core::agent::{Duty, Errand, Memory, Sight, plan};
use firecamp_core::outside::{Cloud, Owner};
use firecamp_core::time::Moment;
use firecamp_engine::Signal;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::wire::processes;
use crate::wire::site::{Kind, Shared, Site, Slot};
use crate::wire::systems;

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
    watches: Watches,
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
    let mut agent = Agent { shared, slot, node, cloud, looks, watches: Watches::default() };
    sleep(first).await;
    loop {
        agent.look_around().await;
        let pause = agent.shared.site().process(slot).chance.millis(2_000, 5_000);
        sleep(pause).await;
    }
}

impl Agent {
    async fn look_around(&mut self) {
        let Some(views) = self.views() else { return };
        self.ask_ec2(views).await;
        let now = self.shared.now();
        let sight = self.sight(views, now);
        let duties = if sight.addresses.is_empty() { Vec::new() } else { plan(&sight, now) };
        let busy = duties.iter().filter(|duty| self.run_errand(now, duty)).count();
        // What is astray and was re-asserted a moment ago is waited for.
        let busy = busy > 0 || self.looks.iter().any(|look| look.memory.is_astray());
        let mut site = self.shared.site();
        site.probes.looks += 1;
        let idle = &mut site.process(self.slot).idle;
        *idle = if busy { 0 } else { idle.saturating_add(1) };
    }

    /// What the registry shows. None: it does not answer, and nothing is known.
    fn views(&mut self) -> Option<Views> {
        let mut site = self.shared.site();
        let away = site.cluster.api_out;
        if !site.scenario.shape.watches {
            let away = away || site.strikes(self.slot, Fault::RegistryFails);
            return (!away).then_some(Views::FRESH);
        }
        let mut faults = Fault::WATCHES.into_iter();
        let struck = faults.find(|fault| !away && site.strikes(self.slot, *fault));
        let now = self.shared.now();
        Some(self.watches.look(now, away, struck, &mut site.process(self.slot).chance))
    }

    /// One look-up for each address that is attached here.
    async fn ask_ec2(&mut self, views: Views) {
        for look in &mut self.looks {
            look.in_place = None;
            let record = {
                let site = self.shared.site();
                let place = (self.node, look.address);
                site.cluster.attached_at(place, views.records, &site.names).cloned()
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

    fn sight(&mut self, views: Views, now: Moment) -> Sight {
        let site = self.shared.site();
        let agents = site.processes.iter().filter(|p| p.alive && p.kind == Kind::Agent);
        let gone = site.cluster.gone(self.node, agents.map(|agent| agent.spawn.node));
        let mut sight = World::sight(self.node, &gone, &site.names);
        for look in &mut self.looks {
            let place = (self.node, look.address);
            let known = (&*site.names, now);
            if let Some(found) = site.cluster.look(place, views, look.in_place, known) {
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
            site.meets(self.slot, duty, look.address);
            let own = site.process(self.slot).spawn;
            let pod = pod_of(duty).unwrap_or_default();
            let spawn = Spawn { member: member.unwrap_or_default(), pod, ..own };
            let errand = site.begin(now, spawn, Some(self.slot));
            look.errand = Some(errand);
            let process = site.process(errand);
            process.releases = matches!(duty, Duty::Release { .. });
            process.about = Some(look.address);
            process.by_lease = is_by_lease(duty);
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

impl Site {
    /// Counts what an agent meets when it begins a duty.
    fn meets(&mut self, agent: Slot, duty: &Duty, address: Ipv4Addr) {
        let node = self.process(agent).spawn.node;
        let errands = self.processes.iter().filter(|p| p.alive && p.about == Some(address));
        let (mut here, mut elsewhere) = (false, false);
        for rival in errands.filter(|p| p.agent != Some(agent)) {
            here |= rival.spawn.node == node;
            elsewhere |= rival.by_lease;
        }
        self.probes.duty(duty, DutyMet { away: self.cluster.api_out, here, elsewhere });
    }
}
