//! Outages of the API server, and scheduling by slots.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::set::Set;
use super::test_cluster::{CLAIMS, TestCluster, all_but, ensure, text};
use crate::Outcome;
use crate::install::{nodes_ready, until};
use crate::topology::WORKERS;

/// How long the API server is stopped.
const OUTAGE: Duration = Duration::from_mins(1);
/// Pause between two removals of the address.
const EVERY: Duration = Duration::from_secs(15);

pub(super) async fn a_removed_address_is_restored_while_the_api_server_is_down(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("stripped", 1);
    cluster.create(&set).await?;
    let pod = cluster.wait_ready("stripped-0", None).await?;
    let held = cluster.wait_held(&pod).await?;
    let before = cluster.last_call()?;
    let restores = cluster.count_restores(held.address).await?;
    cluster.running.order("stop kube-apiserver")?;
    let begun = Instant::now();
    let mut removals = 0;
    while begun.elapsed() < OUTAGE {
        cluster.strip(&pod.node, held.address)?;
        removals += 1;
        until("the agent restores the address, and the member answers", || async {
            let there = cluster.in_kernel(&pod.node, held.address)?;
            ensure(there, || "the address is not in the kernel".to_owned())?;
            cluster.dial(held.address).map(drop)
        })
        .await?;
        sleep(EVERY).await;
    }
    ensure(removals >= 2, || "the address was removed only once".to_owned())?;
    cluster.running.order("start kube-apiserver")?;
    cluster.wait_for_api_server().await?;
    cluster.restart_scheduler()?;
    nodes_ready(&cluster.admin).await?;
    let now = cluster.wait_held(&pod).await?;
    ensure(now == held, || format!("{now:?} after {held:?}"))?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await?;
    // The agent can write the Event only after the outage, and backs off a while longer.
    cluster.wait_for_restore_event(&pod, held.address, restores).await
}

pub(super) async fn no_member_is_scheduled_to_a_node_without_free_slots(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let (most, node) = until("a node with free slots", || async {
        let mut free = Vec::new();
        for worker in WORKERS {
            let node = cluster.admin.get(&format!("/api/v1/nodes/{}", worker.name)).await?;
            free.push((slots(&node["status"]["allocatable"]), worker.name));
        }
        let most = free.iter().max().filter(|(slots, _node)| *slots > 1);
        most.copied().ok_or_else(|| format!("{free:?}"))
    })
    .await?;
    // The node has enough slots for one of these members, but not for two, even if more become
    // free: addresses that are parked there may leave.
    let set = Set { slots: most * 3 / 4 + 1, ..Set::new("greedy", 2) };
    cluster.cordon(&all_but(node), true).await?;
    cluster.create(&set).await?;
    let first = cluster.wait_ready("greedy-0", None).await?;
    cluster.wait_held(&first).await?;
    let before = cluster.last_call()?;
    until("the second member stays pending without a slot", || async {
        let pod = cluster.pod("greedy-1").await?;
        let conditions = pod["status"]["conditions"].to_string();
        ensure(conditions.contains("Insufficient firecamp.io/static-ip"), || {
            pod["status"].to_string()
        })?;
        let found =
            cluster.has_pod_event("FailedScheduling", &text(&pod["metadata"]["uid"])).await?;
        ensure(found, || "no Event FailedScheduling of greedy-1".to_owned())
    })
    .await?;
    // A member that was never scheduled has no claim.
    let claim = cluster.admin.get(&format!("{CLAIMS}/greedy-1")).await?;
    ensure(claim.is_null(), || claim.to_string())?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await?;
    cluster.cordon(&all_but(node), false).await
}

fn slots(resources: &Value) -> u32 {
    let text = resources["firecamp.io/static-ip"].as_str().unwrap_or_default();
    text.parse().unwrap_or_default()
}
