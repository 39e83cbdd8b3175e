//! The passes of the leader over lost nodes, with the real clients.

use std::time::Duration;

use crate::lease_holder::{releases, site};
use crate::wire::sim_state::{Kind, Shared, Slot};
use crate::wire::systems;
use firecamp_controllers::leader::{ObservedPod, Planner, Queries, QueryResults, Site, View};
use firecamp_core::agent::Operation;
use firecamp_core::ports::{Cloud, Owner, Registry};
use tokio::time::{sleep, timeout};

use super::execute;

/// The pause between two passes.
const EVERY: Duration = Duration::from_secs(2);
/// The time limit of a look-up.
const READ_BOUND: Duration = Duration::from_secs(5);

/// Plans and releases as long as the process runs.
pub(super) async fn run(shared: &Shared, slot: Slot) {
    let systems = systems::of(shared, slot);
    let mut planner = Planner::default();
    loop {
        sleep(EVERY).await;
        let Some((view, site)) = observe(shared, slot) else {
            // A new leader starts from scratch.
            planner = Planner::default();
            continue;
        };
        let queries = planner.ask(&view, &site);
        let answers = answers(shared, (&systems.registry, &systems.cloud), &view, queries).await;
        let now = shared.now();
        for (address, operation) in releases(&mut planner, (&view, &site), &answers, now) {
            let Operation::Release { member, .. } = &operation else { continue };
            let running = shared.sim().processes.iter().any(|p| {
                p.alive && p.agent == Some(slot) && p.by_leader && p.about == Some(address)
            });
            if !running {
                execute(shared, slot, &operation, (address, member));
            }
        }
    }
}

/// What the holder of the Lease observes while a node is lost.
fn observe(shared: &Shared, slot: Slot) -> Option<(View, Site)> {
    let sim = shared.sim();
    let node = sim.processes[slot.at()].spawn.node;
    let agents = sim.processes.iter().filter(|p| p.alive && p.kind == Kind::Agent);
    let leads = sim.cluster.holds_lease(node, agents.map(|agent| agent.spawn.node));
    let acts = leads && sim.cluster.is_any_node_lost() && !sim.cluster.api_out;
    acts.then(|| (sim.cluster.leader_view(&sim.names), site(node, &sim.names)))
}

async fn answers(
    shared: &Shared,
    (registry, cloud): (&impl Registry, &impl Cloud),
    view: &View,
    queries: Queries,
) -> QueryResults {
    let mut answers = QueryResults::default();
    for member in queries.pods {
        if let Ok(view) = registry.pod(&member).await {
            answers.pods.insert(member, ObservedPod { view, controller: None });
        }
    }
    for address in queries.owners {
        let record = view.addresses.get(&address).and_then(Option::as_ref);
        let eni = record.and_then(|seen| seen.record.attachment.as_ref()?.eni.clone());
        let subnet = shared.sim().names.subnet.clone();
        if let Ok(Ok(owner)) = timeout(READ_BOUND, cloud.owner(address, &subnet)).await {
            let held = matches!(&owner, Owner::Eni(owner)
                if owner.instance.is_some() && eni.as_ref() == Some(&owner.id));
            answers.held.insert(address, held);
        }
    }
    answers
}
