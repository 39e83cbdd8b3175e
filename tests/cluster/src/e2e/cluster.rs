//! The control plane and the scheduler, while members go on.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use vpcbox::protocol::KernelAct;

use super::scene::{CLAIMS, Scene, all_but, ensure, text};
use super::set::Set;
use crate::Outcome;
use crate::install::{nodes_ready, until};
use crate::topology::WORKERS;

/// So long the API server stays away.
const OUTAGE: Duration = Duration::from_mins(1);
/// Between two strips.
const EVERY: Duration = Duration::from_secs(15);

pub(super) async fn a_stripped_address_is_put_back_while_the_api_server_is_away(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("stripped", 1);
    scene.create(&set).await?;
    let pod = scene.ready("stripped-0", None).await?;
    let held = scene.holds(&pod).await?;
    let before = scene.calls()?;
    let reported = scene.restores(held.address).await?;
    scene.running.order("stop kube-apiserver")?;
    let begun = Instant::now();
    let mut strips = 0;
    while begun.elapsed() < OUTAGE {
        let (node, address) = (pod.node.clone(), held.address);
        scene.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))?;
        strips += 1;
        until("it is put back, and serves", || async {
            let there = scene.in_kernel(&pod.node, held.address)?;
            ensure(there, || "it is not in the kernel".to_owned())?;
            scene.dial(held.address).map(drop)
        })
        .await?;
        sleep(EVERY).await;
    }
    ensure(strips >= 2, || "it was stripped once".to_owned())?;
    scene.running.order("start kube-apiserver")?;
    scene.served().await?;
    scene.schedule_anew()?;
    nodes_ready(&scene.admin).await?;
    let now = scene.holds(&pod).await?;
    ensure(now == held, || format!("{now:?} after {held:?}"))?;
    scene.changed(before, 0)?;
    scene.delete(&set).await?;
    // What an agent has to tell waits for the API server, and the agent a while longer.
    scene.reported_restore(&pod, held.address, reported).await
}

pub(super) async fn no_member_is_placed_where_no_slot_is_free(scene: &Scene<'_>) -> Outcome {
    let (most, node) = until("a node with slots that are free", || async {
        let mut free = Vec::new();
        for worker in WORKERS {
            let node = scene.admin.get(&format!("/api/v1/nodes/{}", worker.name)).await?;
            free.push((slots(&node["status"]["allocatable"]), worker.name));
        }
        let most = free.iter().max().filter(|(slots, _node)| *slots > 1);
        most.copied().ok_or_else(|| format!("{free:?}"))
    })
    .await?;
    // There is room for one of these, and none for two.
    let set = Set { slots: most / 2 + 1, ..Set::new("greedy", 2) };
    scene.cordon(&all_but(node), true).await?;
    scene.create(&set).await?;
    let first = scene.ready("greedy-0", None).await?;
    scene.holds(&first).await?;
    let before = scene.calls()?;
    until("the second waits for a slot", || async {
        let pod = scene.pod("greedy-1").await?;
        let said = pod["status"]["conditions"].to_string();
        ensure(said.contains("Insufficient firecamp.io/static-ip"), || pod["status"].to_string())?;
        let reported =
            scene.reported_of("FailedScheduling", &text(&pod["metadata"]["uid"])).await?;
        ensure(reported, || "no Event says so".to_owned())
    })
    .await?;
    // What is nowhere has nothing.
    let claim = scene.admin.get(&format!("{CLAIMS}/greedy-1")).await?;
    ensure(claim.is_null(), || claim.to_string())?;
    scene.changed(before, 0)?;
    scene.delete(&set).await?;
    scene.cordon(&all_but(node), false).await
}

fn slots(resources: &Value) -> u32 {
    let text = resources["firecamp.io/static-ip"].as_str().unwrap_or_default();
    text.parse().unwrap_or_default()
}
