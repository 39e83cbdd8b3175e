//! The agent of a node around the core's planner: it looks at the registry, its kernel and EC2,
//! plans, and runs an errand for each duty with the real runner.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_core::agent::{Duty, Errand, Seen, Sight, plan};
use firecamp_core::lock::Hold;
use firecamp_core::outside::{Cloud, Owner};
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_engine::Signal;
use firecamp_histories::cluster::ApiPod;
use firecamp_histories::level::Spawn;
use firecamp_histories::names::{MemberIx, Names, NodeIx, PodIx, ProcessId, pool_addresses};
use firecamp_histories::scenario::Fault;
use firecamp_sim::Tag;
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
    astray: Option<Moment>,
    reasserted: Option<Moment>,
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
    let look = |address| Look { address, astray: None, reasserted: None, errand: None };
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
        let busy = busy > 0 || self.looks.iter().any(|look| look.astray.is_some());
        let mut site = self.shared.site();
        site.probes.looks += 1;
        let idle = &mut site.process(self.slot).idle;
        *idle = if busy { 0 } else { idle.saturating_add(1) };
    }

    /// One look-up for each address that is attached here.
    async fn ask_ec2(&mut self) {
        for look in &mut self.looks {
            let Some(record) = attached_here(&self.shared.site(), self.node, look.address) else {
                look.astray = None;
                continue;
            };
            let asked = self.cloud.owner(look.address, &record.subnet);
            let Ok(Ok(owner)) = timeout(READ_BOUND, asked).await else { continue };
            let eni = record.attachment.and_then(|attachment| attachment.eni);
            let there = match owner {
                Owner::Eni(owner) => Some(owner.id) == eni,
                Owner::Nobody => false,
            };
            let now = self.shared.now();
            look.astray = if there { None } else { look.astray.or(Some(now)) };
        }
    }

    fn sight(&self, now: Moment) -> Sight {
        let site = self.shared.site();
        let gone = gone(&site, self.node);
        let seen = |look: &Look| see(&site, self.node, &gone, look, now);
        let addresses = self.looks.iter().filter_map(seen).collect();
        let name = |node: &NodeIx| site.names.node(*node).name.clone();
        Sight {
            node: name(&self.node),
            cluster: site.names.cluster.clone(),
            gone: gone.iter().map(name).collect(),
            addresses,
        }
    }

    /// Begins an errand, unless one for that address is under way. True: there is something to do.
    fn run_errand(&mut self, now: Moment, duty: &Duty) -> bool {
        let (errand, machine) = {
            let mut site = self.shared.site();
            let (address, member) = subject(&site, duty);
            let Some(look) = self.looks.iter_mut().find(|look| Some(look.address) == address)
            else {
                return false;
            };
            if look.errand.is_some_and(|errand| site.processes[errand.at()].alive) {
                return true;
            }
            if let Duty::Reassert { .. } = duty {
                look.reasserted = Some(now);
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

fn attached_here(site: &Site, node: NodeIx, address: Ipv4Addr) -> Option<StaticIp> {
    let stored = site.cluster.registry.static_ips.get(&address)?;
    let attachment = stored.object.attachment.as_ref()?;
    let here = attachment.node == site.names.node(node).name;
    (here && attachment.state == State::Attached).then(|| stored.object.clone())
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

/// What an agent sees of an address; none if it does not concern its node at all.
fn see(
    site: &Site,
    node: NodeIx,
    gone: &BTreeSet<NodeIx>,
    look: &Look,
    now: Moment,
) -> Option<Seen> {
    let stored = site.cluster.registry.static_ips.get(&look.address)?;
    let attachment = stored.object.attachment.as_ref()?;
    let kernel = &site.cluster.node(node).kernel;
    let recorded = kernel.locks.get(&look.address);
    let ours = kernel.addresses.get(&look.address).is_some_and(|(_, tag)| *tag == Tag::Ours);
    let in_kernel = ours || kernel.routed.contains(&look.address);
    let held = recorded.is_some_and(|last| last.hold == Hold::Held);
    let here = attachment.node == site.names.node(node).name;
    let lost = gone.iter().any(|node| attachment.node == site.names.node(*node).name);
    if !in_kernel && !held && !here && !lost {
        return None;
    }
    let member = site.names.member_ix(&stored.object.member)?;
    let pod = ApiPod::view(site.cluster.pods[member.at()], &site.names, now);
    Some(Seen {
        record: stored.object.clone(),
        lock: recorded.cloned(),
        in_kernel,
        pod,
        astray: look.astray,
        reasserted: look.reasserted,
    })
}

fn subject(site: &Site, duty: &Duty) -> (Option<Ipv4Addr>, Option<MemberIx>) {
    let records = &site.cluster.registry.static_ips;
    let member_of = |address: &Ipv4Addr| {
        records.get(address).and_then(|stored| site.names.member_ix(&stored.object.member))
    };
    match duty {
        Duty::GiveWay { address, .. } | Duty::Reassert { address, .. } => {
            (Some(*address), member_of(address))
        }
        Duty::Release { member, .. } => {
            let found = records.values().find(|stored| stored.object.member == *member);
            (found.map(|stored| stored.object.address), site.names.member_ix(member))
        }
    }
}

fn pod_of(duty: &Duty) -> Option<PodIx> {
    match duty {
        Duty::GiveWay { holder, .. } => Names::pod_ix(&holder.pod),
        Duty::Release { pod, .. } => Names::pod_ix(pod),
        Duty::Reassert { .. } => None,
    }
}
